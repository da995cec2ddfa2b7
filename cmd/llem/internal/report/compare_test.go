package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
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
		rows.Head = append(slices.Clip(rows.Head), "detectable")
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
		if strings.Contains(text, "=") {
			t.Errorf("%d: the names of metrics are not values of a key: %s", width, text)
		}
		if strings.Contains(text, "844") != strings.Contains(text, "2.81") || !strings.Contains(text, "higher") {
			t.Errorf("%d: %s", width, text)
		}
	}
}

// TestComparedValues: a percentage and a count have no prefix, and one minus sign is used throughout.
func TestComparedValues(t *testing.T) {
	for _, q := range []struct {
		value      float64
		unit, want string
	}{{-0.346, "%", "−0.346 %"}, {128, "", "128"}, {8192, "", "8192"}, {8.03e9, "", "8.03 G"},
		{-0.188, "J", "−188 mJ"}} {
		if got := view.Value(q.value, q.unit); got != q.want {
			t.Errorf("%g %s: %q, want %q", q.value, q.unit, got, q.want)
		}
	}
}

// TestOriginOfEnergy: what is not measured is marked where configurations are compared and chosen.
func TestOriginOfEnergy(t *testing.T) {
	run := &result.Record{Status: result.OK}
	run.Energy.Provenance = result.Simulated
	if text := Sides([]*result.Record{run, run}); !strings.Contains(text, "2 runs [simulated]") {
		t.Errorf("%q", text)
	}
	s := &result.StudyResult{Experiments: []result.ExperimentSummary{{Provenance: result.Modelled}}}
	for metric, want := range map[string]bool{"energy.per_output_token_j": true, "energy.tokens_per_j": true,
		"throughput.output_tokens_per_s": false} {
		var b strings.Builder
		if err := (Terminal{}).Best(&b, Best{Study: s, Metric: metric, Choice: &result.Choice{}}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "energy MODELLED") != want {
			t.Errorf("%s: %s", metric, b.String())
		}
	}
}

// TestBestOnSeveralMachines: that the best configuration was measured on other machines than others is said beside it.
func TestBestOnSeveralMachines(t *testing.T) {
	s := &result.StudyResult{}
	s.Caveats.Warn(codes.NodesApart, "configurations such as a and b share no machine")
	s.Caveats.Warn(codes.NodesSpread, "the machines differ")
	var b strings.Builder
	if err := (Terminal{}).Best(&b, Best{Study: s, Metric: "energy.per_output_token_j",
		Choice: &result.Choice{}}); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.HasSuffix(got, "\ncaution: configurations such as a and b share no machine\n") {
		t.Error(got)
	}
}
