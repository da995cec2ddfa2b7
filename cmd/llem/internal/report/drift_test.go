package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/result"
)

// TestDrifting: a drift that chance explains among many configurations is not a caution of one, but counted.
func TestDrifting(t *testing.T) {
	studyOf := func(n int) *result.StudyResult {
		s := &result.StudyResult{}
		for i := range n {
			e := result.ExperimentSummary{ID: fmt.Sprint("e", i)}
			var values []result.Values
			for _, watts := range [][]float64{{300, 301, 302, 303, 304}, {300, 303, 301, 304, 302}}[min(i, 1)] {
				v := result.ValuesOf(&result.Record{Status: result.OK,
					Energy: result.Energy{MeanW: &result.Quantity{Value: watts}}})
				values = append(values, v)
				s.Rows = append(s.Rows, result.Row{ID: e.ID, Status: result.OK, Values: v})
			}
			var err error
			if e.Metrics, err = result.SpreadsOf(values); err != nil {
				t.Fatal(err)
			}
			s.Experiments = append(s.Experiments, e)
		}
		return s
	}
	for n, want := range map[int]string{1: "it moved by +1.3 %",
		3: "1 caution of drift (p < 0.05) not shown: chance may explain " +
			"them among 3 configurations (Holm); --json has them"} {
		var b strings.Builder
		s := studyOf(n)
		Terminal{}.caveats(&b, s, view.NameConfigurations(s))
		text := strings.Join(strings.Fields(b.String()), " ")
		if !strings.Contains(text, want) || strings.Count(text, "caution:") != 1 {
			t.Errorf("%d configurations: %q, want %q", n, text, want)
		}
	}
}
