package report

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/table"
)

// TestNarrowComparison: no line of the table of metrics is wider than the terminal; the change and its interval are the
// last to stay, and the values of A and B are left out together.
func TestNarrowComparison(t *testing.T) {
	metric := func(label string) compare.Metric {
		return compare.Metric{Label: label, Unit: "J", A: 0.844, B: 2.81, Verdict: compare.Higher,
			Ratio: new(3.33), CI95: &[2]float64{2.77, 3.99}}
	}
	for width := 38; width <= 120; width++ {
		rows := comparedRows([]compare.Metric{metric("J/out"), metric("a longer label")})
		rows.Head = append(rows.Head[:len(rows.Head):len(rows.Head)], "detectable")
		for i := range rows.Rows {
			rows.Rows[i] = append(rows.Rows[i], "15 %")
		}
		got := within(rows, width)
		head, lines := got.Lines(width)
		for line := range strings.SplitSeq(head+"\n"+strings.Join(lines, "\n"), "\n") {
			if table.Width(line) > width {
				t.Errorf("%d: %q", width, line)
			}
		}
		text := head + strings.Join(lines, "\n")
		if strings.Contains(text, "844") != strings.Contains(text, "2.81") || !strings.Contains(text, "higher") {
			t.Errorf("%d: %s", width, text)
		}
	}
}
