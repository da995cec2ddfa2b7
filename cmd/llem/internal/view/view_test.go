package view

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// swept is a study over batch sizes with these spreads of the energy per output token and of the speed.
func swept(t *testing.T, spreads ...string) *result.StudyResult {
	t.Helper()
	s := &result.StudyResult{Name: "swept", Planned: len(spreads), OK: len(spreads)}
	for i, text := range spreads {
		e := study.DefaultExperiment(engines.All()[0])
		e.Model, e.Section = "random:tiny-llama",
			engine.JSON(fmt.Sprintf(`{"batch_size":%d,"threads":0,"prefill_chunk":512}`, i+1))
		sum := result.ExperimentSummary{ID: e.ID(), Config: e, OK: 2, Status: result.OK, Provenance: result.Measured}
		if text != "" {
			if err := json.Unmarshal([]byte(`{"energy.per_output_token_j":`+text+`}`), &sum.Metrics); err != nil {
				t.Fatal(err)
			}
		}
		s.Experiments = append(s.Experiments, sum)
	}
	return s
}

// TestAnswer: the sentence names the least and the most, and what cannot be told apart from the least.
func TestAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		spreads []string
		want    string
	}{
		{[]string{`{"n":2,"mean":2,"ci95":[1.9,2.1]}`, `{"n":2,"mean":1,"ci95":[-0.5,2.5]}`,
			`{"n":2,"mean":4,"ci95":[3.9,4.1]}`},
			"batch_size=2 takes the least energy: 1.00 J per output token (95 %: 0 J to 2.50 J). batch_size=3 takes " +
				"the most: 4.00 J, 4 times as much. Not separable from the least (the intervals overlap): " +
				"batch_size=1."},
		{[]string{`{"n":1,"mean":2}`, ""}, "batch_size=1 alone has an energy: 2.00 J per output token."},
		{[]string{"", ""}, "No configuration has an energy per output token. 2 of 2 runs finished."},
	} {
		s := swept(t, tt.spreads...)
		if got := Answer(s, NameConfigurations(s)); got != tt.want {
			t.Errorf("%v:\n%s\nwant\n%s", tt.spreads, got, tt.want)
		}
	}
}

// TestCells: an interval of an amount ends at 0, and numbers have one form.
func TestCells(t *testing.T) {
	t.Parallel()
	s := swept(t, `{"n":2,"mean":2,"ci95":[1.9,2.1]}`, `{"n":2,"mean":1,"ci95":[-0.5,2.5]}`, `{"n":1,"mean":3}`)
	named := NameConfigurations(s)
	early := &s.Experiments[2] // as in summaries of earlier versions
	early.OK, early.Status, early.Provenance = 1, "", ""
	for i, row := range TableOf(s, named, Usual(), 3).Rows {
		if got, want := row.Cells[len(row.Cells)-2].Text, []string{"measured", "measured", "–"}[i]; got != want {
			t.Errorf("the energy of row %d is %q, want %q", i, got, want)
		}
	}
	rows := TableOf(s, named, Usual(), 3).Text("").Rows
	for i, want := range []string{"5.0 %", "0…2.50 J", "–"} {
		if got := rows[i][3]; got != want {
			t.Errorf("interval %q, want %q: %q", got, want, rows[i])
		}
	}
	net, err := result.Metric("energy.net_j")
	if err != nil {
		t.Fatal(err)
	}
	f, ok := Shown(result.Spread{N: 2, Mean: -1, CI95: &[2]float64{-3, 1}}, net.Name)
	if got := f.Range(net); !ok || got != "−3.00 J to 1.00 J" || f.PlusMinus(net) != "200 %" {
		t.Errorf("the interval of a difference is %q, ±%s", got, f.PlusMinus(net))
	}
	for _, tt := range []struct {
		metric string
		v      float64
		want   string
	}{{SpeedMetric, 1204.4, "1204"}, {"latency.ttft_ms.p50", 1190, "1.19 s"}, {"memory.peak_bytes", 2048, "2.00 KiB"},
		{"energy.agreement.difference_pct", -0.5, "−0.500 %"}, {"compute.parameters", 3, "3"}} {
		m, err := result.Metric(tt.metric)
		if got := Number(m, tt.v); err != nil || got != tt.want {
			t.Errorf("%s: %q, want %q (%v)", tt.metric, got, tt.want, err)
		}
	}
}
