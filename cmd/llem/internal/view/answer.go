package view

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/result"
)

// Answer is the sentence that comes first: which configuration takes the least energy, by how much, and which others
// cannot be told apart from it.
func Answer(s *result.StudyResult, named Names) string {
	m, err := result.Metric(EnergyMetric)
	figures := map[int]Figure{}
	best, worst := -1, -1
	for i := range s.Experiments {
		f, ok := FigureOf(&s.Experiments[i], EnergyMetric)
		if !ok || err != nil {
			continue
		}
		figures[i] = f
		if best < 0 || f.Value < figures[best].Value {
			best = i
		}
		if worst < 0 || f.Value > figures[worst].Value {
			worst = i
		}
	}
	if best < 0 {
		if text := metered(s); text != "" {
			return text
		}
		return fmt.Sprintf("No configuration has an energy per output token. %d of %s finished.", s.OK,
			digits.Count(s.Planned, "run"))
	}
	least := Number(m, figures[best].Value) + " per output token" + about(figures[best], m, s.Experiments[best])
	if len(figures) == 1 {
		if len(s.Experiments) == 1 {
			return least + "."
		}
		return named.Called(best) + " alone has an energy: " + least + "."
	}
	out := fmt.Sprintf("%s takes the least energy: %s. %s takes the most: %s", named.Called(best), least,
		named.Called(worst), Number(m, figures[worst].Value))
	if low := figures[best].Value; low > 0 {
		out += ", " + strconv.FormatFloat(figures[worst].Value/low, 'g', 3, 64) + " times as much"
	}
	return out + "." + inseparable(s, named, figures, best)
}

// TotalMetric is the energy of things without tokens.
const TotalMetric = "energy.total_j"

// metered is the answer about commands and marked windows, which have no tokens: the energy of each; empty for studies
// of engines.
func metered(s *result.StudyResult) string {
	m, err := result.Metric(TotalMetric)
	var out []string
	for i := range s.Experiments {
		e := &s.Experiments[i]
		f, ok := FigureOf(e, TotalMetric)
		if e.Config.Backend != terms.Command || !ok || err != nil {
			continue
		}
		out = append(out, e.Config.Model+": "+Number(m, f.Value)+about(f, m, *e)+".")
	}
	return strings.Join(out, " ")
}

// about is what qualifies a figure: its interval, and that it is not measured.
func about(f Figure, m result.MetricInfo, e result.ExperimentSummary) string {
	var parts []string
	if text := f.Range(m); text != "" {
		parts = append(parts, "95 %: "+text)
	}
	if p := e.Provenance; p != "" && p != result.Measured {
		parts = append(parts, string(p))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

// inseparable names the configurations whose interval overlaps the interval of the best one, or
// tells that nothing was tested.
func inseparable(s *result.StudyResult, named Names, figures map[int]Figure, best int) string {
	if figures[best].CI95 == nil {
		if s.Experiments[best].Compared() == 1 {
			return " It ran once, so the difference is not tested."
		}
		return ""
	}
	var of []int
	for i, f := range figures {
		if i != best && f.CI95 != nil && f.CI95[0] <= figures[best].CI95[1] {
			of = append(of, i)
		}
	}
	if len(of) == 0 {
		return ""
	}
	slices.Sort(of)
	return " Not separable from the least (the intervals overlap): " + named.Some(of) + "."
}

// Missing are the reasons why cells of the table of the first n configurations are empty, each once.
func Missing(s *result.StudyResult, named Names, columns []Column, n int, asked ...string) []string {
	rows := LackingConfigurations(s, named, n)
	var out []string
	for _, g := range GapsOf(columns, rows) {
		head, reason := g.Text(rows)
		out = append(out, head+": "+reason)
	}
	if none := Nowhere(asked, columns, rows); none != "" {
		out = append(out, none)
	}
	for _, e := range s.Experiments[:n] {
		if e.MetricsReason != "" && !slices.Contains(out, e.MetricsReason) {
			out = append(out, e.MetricsReason)
		}
	}
	return out
}
