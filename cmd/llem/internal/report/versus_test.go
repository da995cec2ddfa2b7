package report

import (
	"encoding/csv"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/cmd/llem/internal/versus"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/table"
)

// manyLoads is a comparison at 12 loads, with every verdict; the last load has no energy per good token.
func manyLoads() *Versus {
	c := &versus.Comparison{Answer: "The answer.", Primary: loads.GoodTokenMetric, Over: "rate"}
	verdicts := []compare.Verdict{compare.Lower, compare.MaybeHigher, compare.NotTold, compare.NotTested, compare.Same}
	for i := range 12 {
		ratio := 0.8 + 0.05*float64(i)
		metric := func(name, label string) compare.Metric {
			return compare.Metric{Name: name, Label: label, Unit: "J", A: 1, B: ratio, NA: 3, NB: 3, Ratio: &ratio,
				CI95: &[2]float64{ratio - 0.01, ratio + 0.01}, Verdict: verdicts[i%len(verdicts)]}
		}
		p := versus.Pair{Load: float64(100 * (i + 1)), A: "aa", B: "bb", MetA: "yes", MetB: "unresolved",
			How: "in pairs"}
		if i < 11 {
			p.Metrics = append(p.Metrics, metric(loads.GoodTokenMetric, "J/good"))
		} else {
			p.Why = "A was saturated in 1 of 3 runs"
			p.Missing = []compare.Gap{{Metrics: []string{"latency.tpot_ms.p50"}, Of: "A and B", Reason: p.Why}}
		}
		p.Metrics = append(p.Metrics, metric("energy.per_output_token_j", "J/out"))
		attained := metric(loads.AttainmentMetric, "attainment")
		attained.A, attained.B = 0.5, 0.995
		p.Metrics = append(p.Metrics, attained)
		c.Pairs = append(c.Pairs, p)
	}
	c.Alone = []versus.Alone{{Side: "B", Load: 7, ID: "cc", Why: "A was not measured"}}
	return &Versus{Comparison: c, Pair: Pair{A: "side a", B: "side b"}}
}

// TestVersusFits: the tables of many loads fit in a terminal, each load is in them, and what is known of a change
// stands at its number.
func TestVersusFits(t *testing.T) {
	for _, width := range []int{60, 80, 120} {
		var b strings.Builder
		if err := manyLoads().Text(Terminal{Width: width, Columns: width}, &b); err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(b.String(), "\n") {
			if table.Width(line) > width {
				t.Errorf("%d: %q", width, line)
			}
		}
		text := strings.Join(strings.Fields(b.String()), " ")
		for _, want := range []string{" 1100 ", " 1200 ", "The answer.", "unclear", "–20.0 %", "−15.0 %?",
			"(−10.0 %)", "same",
			"50→99.5 %", "no times: A was saturated in 1 of 3 runs (at 1200)", "A was not measured (at 7)"} {
			if !strings.Contains(strings.ReplaceAll(text, "−20", "–20"), want) {
				t.Errorf("%d: no %q in\n%s", width, want, b.String())
			}
		}
	}
}

// TestVersusCSV: the file has a line for each metric at each load of both, for what is missing there, and for each load
// of one side, all as wide as the head.
func TestVersusCSV(t *testing.T) {
	var b strings.Builder
	if err := manyLoads().CSV(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil || len(rows) != 1+11*3+3+1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	last, missing := rows[len(rows)-1], rows[len(rows)-2]
	if last[0] != "7" || last[3] != "cc" || last[len(last)-1] != "A was not measured" {
		t.Errorf("%q", last)
	}
	if missing[0] != "1200" || missing[6] != "latency.tpot_ms.p50" || !strings.HasSuffix(missing[len(missing)-1],
		"A was saturated in 1 of 3 runs") {
		t.Errorf("%q", missing)
	}
}
