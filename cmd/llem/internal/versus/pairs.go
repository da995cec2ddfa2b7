package versus

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/load/trace"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// judged are the metrics that depend on the objective, the primary one first.
var judged = []string{loads.GoodTokenMetric, loads.AttainmentMetric, loads.GoodputMetric}

// metrics at a load, beside those.
var metrics = []string{"energy.per_output_token_j", "energy.net_per_output_token_j", loads.CompletedMetric}

// Times of requests, from the schedule, or without them as the engine tells them.
var (
	responseTimes = []string{"latency.response_ttft_ms.p50", "latency.response_ttft_ms.p95", "latency.tpot_ms.p50",
		"latency.tpot_ms.p95", "latency.response_e2e_ms.p50", "latency.response_e2e_ms.p95"}
	engineTimes = []string{"latency.ttft_ms.p50", "latency.ttft_ms.p95", "latency.tpot_ms.p50", "latency.tpot_ms.p95",
		"latency.e2e_ms.p50", "latency.e2e_ms.p95"}
)

// at is what two points must share to be compared.
type at struct {
	load        study.Arrivals
	concurrency int
}

// atOf is the load of a configuration, without what does not change the rate: its seed, how long it lasts, and where
// the file of a trace is.
func atOf(e study.Experiment) at {
	l := e.Workload.Load.Canonical()
	l.Seed, l.DurationS = 0, 0
	l.Trace = path.Base(filepath.ToSlash(l.Trace))
	return at{l, e.Workload.Concurrency}
}

// pair compares the loads that both sides have.
func (c *Comparison) pair(a, b Side, common bool, o Options) error {
	of := map[at]loads.Point{}
	for _, p := range b.Group.Points {
		of[atOf(p.Summary.Config)] = p
	}
	paired := map[string]bool{}
	var found []*compare.Comparison
	for _, p := range a.Group.Points {
		q, both := of[atOf(p.Summary.Config)]
		if why := apart(p, "A"); why != "" || !both {
			c.Alone = append(c.Alone, Alone{"A", p.Load, p.Summary.ID, cmp.Or(why, "B was not measured")})
			continue
		}
		if why := cmp.Or(apart(q, "B"), otherTrace(p, q)); why != "" {
			c.Alone = append(c.Alone, Alone{"A", p.Load, p.Summary.ID, why})
			paired[q.Summary.ID] = true
			continue
		}
		paired[q.Summary.ID] = true
		why := noLatencies(p, q)
		one, err := compare.Sides(a.at(p), b.at(q), optionsOf(p, q, common, why, o))
		if errors.Is(err, compare.ErrNothing) {
			c.Alone = append(c.Alone, Alone{"A", p.Load, p.Summary.ID, "A and B have no number in common"})
			continue
		}
		if err != nil {
			return fmt.Errorf("compare at %s: %w", a.Group.At(p.Load), err)
		}
		for i, g := range one.Missing {
			if slices.Contains(g.Metrics, loads.GoodTokenMetric) {
				one.Missing[i].Reason = cmp.Or(p.WhyNoEnergy(), q.WhyNoEnergy(), g.Reason)
			}
		}
		found = append(found, one)
		c.Pairs = append(c.Pairs, Pair{Load: p.Load, A: p.Summary.ID, B: q.Summary.ID, MetA: p.SLOMet, MetB: q.SLOMet,
			How: one.How(), Why: why})
		c.warn(a.Group.At(p.Load), one.Warnings)
	}
	for _, q := range b.Group.Points {
		if !paired[q.Summary.ID] {
			c.Alone = append(c.Alone, Alone{"B", q.Load, q.Summary.ID,
				cmp.Or(apart(q, "B"), "A was not measured")})
		}
	}
	c.Primary = primaryOf(found, o.Primary)
	if o.Primary != "" && len(found) > 0 && c.Primary != o.Primary {
		return fmt.Errorf("%s %w at any load of both", o.Primary, compare.ErrPrimary)
	}
	if err := compare.Jointly(found, c.Primary); err != nil {
		return err
	}
	for i, one := range found {
		c.Pairs[i].Metrics, c.Pairs[i].Missing = inOrder(one.Metrics, c.Primary), one.Missing
	}
	return nil
}

// primaryOf is the metric that was asked for, or the first of the usual ones, which both sides have at a load.
func primaryOf(found []*compare.Comparison, asked string) string {
	usual := order()
	if asked != "" {
		usual = []string{asked}
	}
	for _, name := range usual {
		for _, c := range found {
			if slices.ContainsFunc(c.Metrics, func(m compare.Metric) bool { return m.Name == name }) {
				return name
			}
		}
	}
	return ""
}

// order are the metrics in the order in which they are shown.
func order() []string {
	return slices.Concat(judged[:1], metrics[:2], judged[1:], metrics[2:], responseTimes, engineTimes)
}

// inOrder sorts metrics: the primary one first, then the usual ones, then the others.
func inOrder(all []compare.Metric, primary string) []compare.Metric {
	usual := append([]string{primary}, order()...)
	place := func(m compare.Metric) int {
		if i := slices.Index(usual, m.Name); i >= 0 {
			return i
		}
		return len(usual)
	}
	out := slices.Clone(all)
	slices.SortStableFunc(out, func(x, y compare.Metric) int { return cmp.Compare(place(x), place(y)) })
	return out
}

// apart returns why a point is compared with no other one; empty if it may be.
func apart(p loads.Point, side string) string {
	switch {
	case len(p.Runs) == 0 && p.Summary.Status != result.OK:
		return fmt.Sprintf("%s has no run to compare: %s", side, p.Summary.Status)
	case len(p.Runs) == 0:
		return side + " has no run to compare: " + view.NotCompared
	case p.Summary.Config.Workload.Load.Search != "":
		return "a search chose the load of " + side
	}
	return ""
}

// otherTrace returns why two points with a trace of one name replayed different requests: the file was changed, or is
// another one of that name; empty if they did not.
func otherTrace(p, q loads.Point) string {
	x, y := replayed(p), replayed(q)
	if x == nil || y == nil || x.Rows == y.Rows && x.Requests == y.Requests && x.RecordedS == y.RecordedS &&
		x.Repeated == y.Repeated {
		return ""
	}
	return fmt.Sprintf("the traces of this name differ: A replayed %s over %s s, B %s over %s s",
		digits.Count(int(x.Requests), "request"), digits.Significant(x.RecordedS, 3),
		digits.Count(int(y.Requests), "request"), digits.Significant(y.RecordedS, 3))
}

// replayed is what the runs of a point took from their trace; nil if that is not known.
func replayed(p loads.Point) *trace.Summary {
	for _, r := range p.Runs {
		if r.Load != nil && r.Load.Trace != nil {
			return r.Load.Trace
		}
	}
	return nil
}

// at are the runs of a point, as they are judged.
func (s Side) at(p loads.Point) compare.Side {
	out := compare.SideWith(s.Study, p.Summary.ID, p.Runs)
	out.Machine = s.Machine
	return out
}

// noLatencies returns why the latencies of two points are not compared; empty if they are.
func noLatencies(p, q loads.Point) string {
	var out []string
	for _, s := range []struct {
		name string
		of   loads.Point
	}{{"A", p}, {"B", q}} {
		has := func(code note.Code) (n int) {
			for _, r := range s.of.Runs {
				if _, found := r.Warnings.Find(code); found {
					n++
				}
			}
			return n
		}
		of := digits.Count(len(s.of.Runs), "run")
		if n := s.of.Saturated; n > 0 {
			out = append(out, fmt.Sprintf("%s was saturated in %d of %s", s.name, n, of))
		}
		if n := has(codes.SendLag); n > 0 {
			out = append(out, fmt.Sprintf("%s sent requests late in %d of %s", s.name, n, of))
		}
		if n := has(codes.LoadCapped); n > 0 {
			out = append(out, fmt.Sprintf("requests of %s waited for workload.concurrency in %d of %s", s.name, n, of))
		}
	}
	return strings.Join(out, "; ")
}

// optionsOf are the metrics that two points are compared in.
func optionsOf(p, q loads.Point, common bool, noLatency string, o Options) compare.Options {
	times := engineTimes
	if slices.ContainsFunc(slices.Concat(p.Runs, q.Runs), func(r *result.Record) bool {
		return r.Latency != nil && r.Latency.ResponseTTFT != nil
	}) {
		times = responseTimes
	}
	out := compare.Options{All: o.All, Metrics: slices.Concat(judged, metrics, times)}
	if o.Primary != "" {
		out.Metrics = append(out.Metrics, o.Primary)
	}
	if noLatency != "" {
		var all []string
		for _, m := range result.Metrics() {
			if strings.HasPrefix(m.Name, "latency.") || strings.HasPrefix(m.Name, "load.service_") {
				all = append(all, m.Name)
			}
		}
		out.Without = append(out.Without, compare.Gap{Metrics: all, Of: "A and B", Reason: noLatency})
	}
	if !common {
		all := append(slices.Clone(judged), "load.good", "load.wasted_j")
		out.Without = append(out.Without, compare.Gap{Metrics: all, Of: "A and B",
			Reason: "the sides have different objectives"})
	}
	return out
}

// warn adds the doubts of a pair, each once with the loads that it is about.
func (c *Comparison) warn(where string, texts []string) {
	for _, text := range texts {
		if i := slices.IndexFunc(c.Warnings, func(w string) bool { return strings.HasPrefix(w, text) }); i < 0 {
			c.Warnings = append(c.Warnings, text+" (at "+where+")")
		} else if head, ok := strings.CutSuffix(c.Warnings[i], ")"); ok {
			c.Warnings[i] = head + ", " + where + ")"
		}
	}
}
