package report

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Comparison holds configuration B against A.
type Comparison struct {
	A string `json:"a"`
	B string `json:"b"`
	// Paired says that values of the same cycle were held against each other.
	Paired bool `json:"paired"`
	// ExcludedA and ExcludedB are runs that were ok and are not compared.
	ExcludedA []result.Exclusion `json:"excluded_a,omitempty"`
	ExcludedB []result.Exclusion `json:"excluded_b,omitempty"`

	// Differ are the keys in which the two configurations differ.
	Differ   []ComparedKey    `json:"differ"`
	Metrics  []ComparedMetric `json:"metrics"`
	Warnings []string         `json:"warnings,omitempty"`
}

// ComparedKey is a key with different values on both sides; a value is empty where the side does not have the key.
type ComparedKey struct {
	Key string `json:"key"`
	A   string `json:"a"`
	B   string `json:"b"`
}

// Differing lists the keys in which two configurations differ.
func Differing(a, b study.Experiment) []ComparedKey {
	out := []ComparedKey{}
	for _, k := range naming.Varying([]study.Experiment{a, b}) {
		out = append(out, ComparedKey{k.Name, k.Text(a), k.Text(b)})
	}
	return out
}

// ComparedMetric is one number on both sides.
type ComparedMetric struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// A and B are the means over NA and NB runs.
	A  float64 `json:"a"`
	B  float64 `json:"b"`
	NA int     `json:"n_a"`
	NB int     `json:"n_b"`
	// Ratio is B / A with its 95 % interval; null where it cannot be known.
	Ratio *float64    `json:"ratio"`
	CI95  *[2]float64 `json:"ci95"`
	// P is that of a permutation test, PAdjusted corrected for all metrics.
	P         float64  `json:"p"`
	PAdjusted float64  `json:"p_adjusted"`
	Caveats   []string `json:"caveats,omitempty"`
}

// Comparison prints two configurations side by side.
func (t Terminal) Comparison(w io.Writer, c *Comparison) error {
	var b strings.Builder
	t.wrap(&b, "A  ", "   ", c.A)
	t.wrap(&b, "B  ", "   ", c.B)
	b.WriteString("\n")
	rows := []Row{{Label: "", Cells: []string{"A", "B", "B / A", "95 %", "p"}}}
	for _, k := range c.Differ {
		values := table.Shorten([]string{cmp.Or(k.A, missing), cmp.Or(k.B, missing)}, valueWidth)
		rows = append(rows, Row{Label: k.Key, Cells: append(values, "", "", "")})
	}
	seen := map[string]bool{}
	var caveats []string
	for _, m := range c.Metrics {
		cells := []string{metricValue(m.A, m.Unit), metricValue(m.B, m.Unit), missing, missing, missing}
		if m.Ratio != nil {
			cells[2] = fmt.Sprintf("%.3f", *m.Ratio)
		}
		if m.CI95 != nil {
			cells[3] = fmt.Sprintf("%.3f to %.3f", m.CI95[0], m.CI95[1])
		}
		if m.NA > 1 || m.NB > 1 {
			cells[4] = digits.Significant(m.PAdjusted, 2)
		}
		rows = append(rows, Row{Label: m.Name, Cells: cells})
		for _, text := range m.Caveats {
			if !seen[text] {
				seen[text] = true
				caveats = append(caveats, text)
			}
		}
	}
	t.columns(&b, 2, rows)
	how := "independent runs"
	if c.Paired {
		how = "runs of the same cycle in pairs"
	}
	t.wrap(&b, "  ", "  ", how+
		"; p by permutation, corrected for the number of metrics (Holm); the sensor's gain cancels in ratios "+
		"on one device")
	for _, text := range append(append(left("A", c.ExcludedA), left("B", c.ExcludedB)...),
		append(c.Warnings, caveats...)...) {
		t.wrap(&b, t.warn("caution")+": ", "         ", text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// left says which runs of a side are not compared.
func left(side string, all []result.Exclusion) []string {
	var out []string
	for _, x := range all {
		out = append(out, fmt.Sprintf("%s of %s not compared (%s): %s; next: %s", digits.Count(x.Runs, "run"), side,
			x.Code,
			x.Message, x.Next))
	}
	return out
}

func metricValue(v float64, of string) string {
	switch of {
	case "ms":
		return duration(v)
	case "1/s", "1/J":
		return digits.Significant(v, 3) + " " + of
	case "B":
		return digits.Bytes(int64(v)).String()
	}
	return digits.SI(v, of)
}

// valueWidth is how wide values of keys are beside numbers.
const valueWidth = 16

// Best is a question for the best configuration of a study, and its answer.
type Best struct {
	Study *result.StudyResult
	// Metric is what is to be best, and Limits what is to be met.
	Metric string
	Limits []string
	Choice *result.Choice
}

// Best prints the best configuration under limits, and which others may be as good.
func (t Terminal) Best(w io.Writer, q Best) error {
	var b strings.Builder
	what := "best " + q.Metric
	if len(q.Limits) > 0 {
		what += " with " + strings.Join(q.Limits, " and ")
	}
	c := q.Choice
	if c.Best == nil {
		what += ": no configuration is known to meet it"
	}
	t.styled(&b, t.bold, what)
	n := Naming(q.Study)
	heads := n.Heads()
	rows := table.Table{Head: append(heads, "id", q.Metric, "95 %", "runs", ""), Names: len(heads), Title: "experiment",
		Indent: 2, Text: true}
	add := func(verdict string, all ...result.ExperimentSummary) {
		for _, e := range all {
			rows.Rows = append(rows.Rows,
				append(append(n.Values(e.Config), e.ID), append(chosen(e, q.Metric), verdict)...))
		}
	}
	if c.Best != nil {
		add("best", *c.Best)
	}
	add("not to be told from it", c.NotSeparable...)
	add("may or may not meet the limits", c.Possible...)
	if len(rows.Rows) > 0 {
		t.print(&b, rows)
	}
	if c.Best != nil {
		if m, ok := c.Best.Metrics.Get(q.Metric); ok && m.CI95 == nil {
			t.wrap(&b, "  ", "  ", "one run: nothing is known of its spread")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// chosen are the value of a metric, its interval and the number of its runs.
func chosen(e result.ExperimentSummary, metric string) []string {
	cells := []string{missing, missing, missing}
	m, ok := e.Metrics.Get(metric)
	info, err := result.Metric(metric)
	if !ok || err != nil {
		return cells
	}
	cells[0], cells[2] = metricValue(m.Mean, info.Unit), strconv.Itoa(m.N)
	if by := e.Method(metric); by != "" {
		cells[0] += " by " + string(by)
	}
	if m.CI95 != nil {
		cells[1] = metricValue(m.CI95[0], info.Unit) + " to " + metricValue(m.CI95[1], info.Unit)
	}
	return cells
}
