package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/result"
)

// Gap is why metrics are not compared, or compared with fewer runs.
type Gap struct {
	Metrics []string `json:"metrics"`
	// Of lists the runs that lack them: A, B, A and B, or 2 of 5 runs of A.
	Of string `json:"of"`
	// Reason is empty if the results have none.
	Reason string `json:"reason,omitempty"`
	labels []string
}

// Head lists the metrics and the runs that lack them.
func (g Gap) Head() string { return fmt.Sprintf("no %s (%s)", strings.Join(g.labels, ", "), g.Of) }

// lack records which runs of the two sides lack a metric, and why. If all runs lack it without a reason, the
// metric does not apply to them.
func (c *Comparison) lack(m result.MetricInfo, a, b []*result.Record) {
	inA, whyA := lacking(m, a)
	inB, whyB := lacking(m, b)
	if inA == len(a) && inB == len(b) {
		if whyA == whyB && whyA != "" {
			c.addGap(m, "A and B", whyA)
			return
		} else if whyA == "" && whyB == "" {
			return
		}
	}
	for _, q := range []struct {
		side  string
		n, of int
		why   string
	}{{"A", inA, len(a), whyA}, {"B", inB, len(b), whyB}} {
		if q.n > 0 && q.n < q.of {
			q.side = fmt.Sprintf("%d of %s of %s", q.n, digits.Count(q.of, "run"), q.side)
		}
		if q.n > 0 {
			c.addGap(m, q.side, q.why)
		}
	}
}

// refused records that a metric is not compared, if it is one of these.
func (c *Comparison) refused(m result.MetricInfo, without []Gap) bool {
	i := slices.IndexFunc(without, func(g Gap) bool { return slices.Contains(g.Metrics, m.Name) })
	if i >= 0 {
		c.addGap(m, without[i].Of, without[i].Reason)
	}
	return i >= 0
}

// addGap groups metrics that the same runs lack for the same reason.
func (c *Comparison) addGap(m result.MetricInfo, of, reason string) {
	i := slices.IndexFunc(c.Missing, func(g Gap) bool { return g.Of == of && g.Reason == reason })
	if i < 0 {
		i, c.Missing = len(c.Missing), append(c.Missing, Gap{Of: of, Reason: reason})
	}
	g := &c.Missing[i]
	g.Metrics, g.labels = append(g.Metrics, m.Name), append(g.labels, m.Label)
}

// lacking returns the number of runs that lack a metric, and the first one's reason.
func lacking(m result.MetricInfo, runs []*result.Record) (n int, reason string) {
	for _, r := range runs {
		if _, ok := m.Value(r); ok {
			continue
		}
		n++
		all := r.Missing()
		if i := slices.IndexFunc(all, func(q result.Missing) bool { return q.Holds(m.Name) }); i >= 0 && reason == "" {
			reason = all[i].Reason
		}
	}
	return n, reason
}
