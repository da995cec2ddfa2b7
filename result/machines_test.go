package result

import (
	"fmt"
	"testing"
)

// TestMachinesInFront: a configuration that was measured on a machine that needs more is not called dominated for it,
// and nothing is separable from a configuration on a machine of its own; on one machine or with equal shares it is.
func TestMachinesInFront(t *testing.T) {
	for name, c := range map[string]struct {
		// machines of the four cycles of the configurations.
		a, b string
		// bJ and bRate are energy per token and speed of b on machine 1; a has 1 and 100; machine 2 needs 10 % more.
		bJ, bRate float64
		want      string
	}{
		"equal shares":       {"1212", "1212", 1.2, 90, "dominated"},
		"unequal, no effect": {"1112", "2221", 1.02, 99, "uncertain"},
		"unequal, an effect": {"1112", "2221", 1.5, 70, "dominated"},
		"apart":              {"1111", "2222", 1.5, 70, "uncertain"},
		"one machine":        {"1111", "1111", 1.02, 99, "dominated"},
	} {
		s := &StudyResult{Nodes: map[string]string{"w1": "1", "w2": "2"}}
		add := func(id, machines string, joules, rate float64) {
			var values []Values
			for i, m := range machines {
				noise := 1 + 0.0005*float64(i%2)
				if m == '2' {
					noise *= 1.1
				}
				r := &Record{Status: OK, Throughput: &Throughput{OutputTokensPerS: rate / noise},
					Energy: Energy{PerOutputTokenJ: &Quantity{Value: joules * noise}}}
				values = append(values, ValuesOf(r))
				s.Rows = append(s.Rows, Row{ID: id, Cycle: i + 1, Status: OK, Worker: fmt.Sprintf("w%c", m),
					Values: ValuesOf(r)})
			}
			spreads, err := SpreadsOf(values)
			if err != nil {
				t.Fatal(err)
			}
			s.Experiments = append(s.Experiments, ExperimentSummary{ID: id, OK: len(values), Metrics: spreads})
		}
		add("a", c.a, 1, 100)
		add("b", c.b, c.bJ, c.bRate)
		found, err := s.Pareto()
		if err != nil {
			t.Fatal(err)
		}
		if found[0].Status != "front" || found[1].Status != c.want {
			t.Errorf("%s: %+v, want front and %s", name, found, c.want)
		}
		choice, err := s.Best("energy.per_output_token_j")
		if err != nil || choice.Best.ID != "a" || (len(choice.NotSeparable) == 1) != (c.want == "uncertain") {
			t.Errorf("%s: best %+v, %v", name, choice, err)
		}
	}
}
