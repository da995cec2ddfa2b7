package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/unit"
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

	Metrics  []ComparedMetric `json:"metrics"`
	Warnings []string         `json:"warnings,omitempty"`
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
			cells[4] = unit.Significant(m.PAdjusted, 2)
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
		out = append(out, fmt.Sprintf("%s of %s not compared (%s): %s; next: %s", count(x.Runs, "run"), side, x.Code,
			x.Message, x.Next))
	}
	return out
}

func metricValue(v float64, of string) string {
	switch of {
	case "ms":
		return duration(v)
	case "1/s", "1/J":
		return unit.Significant(v, 3) + " " + of
	case "B":
		return unit.Bytes(int64(v)).String()
	}
	return unit.SI(v, of)
}

// Choice prints the best configuration under limits.
func (t Terminal) Choice(w io.Writer, metric string, limits []string, c *result.Choice) error {
	var b strings.Builder
	what := "best " + metric
	if len(limits) > 0 {
		what += " with " + strings.Join(limits, " and ")
	}
	if c.Best == nil {
		t.wrap(&b, "", "  ", what+": no configuration is known to meet it")
	} else {
		t.wrap(&b, "", "  ", t.bold(what)+": "+chosen(*c.Best, metric))
	}
	for _, e := range c.NotSeparable {
		t.wrap(&b, "  not to be told from it: ", "    ", chosen(e, metric))
	}
	for _, e := range c.Possible {
		t.wrap(&b, "  may or may not meet the limits: ", "    ", chosen(e, metric))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func chosen(e result.ExperimentSummary, metric string) string {
	text := e.Config.Label() + " (" + e.ID + ")"
	m, ok := e.Metrics.Get(metric)
	info, err := result.Metric(metric)
	if !ok || err != nil {
		return text
	}
	text += ", " + metricValue(m.Mean, info.Unit)
	if m := e.Method(metric); m != "" {
		text += " by " + string(m)
	}
	if m.CI95 != nil {
		text += fmt.Sprintf(" (%s to %s, %d runs)", metricValue(m.CI95[0], info.Unit),
			metricValue(m.CI95[1], info.Unit), m.N)
	} else {
		text += " (one run: nothing is known of its spread)"
	}
	return text
}
