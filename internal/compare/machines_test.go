package compare

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/result"
)

// spread gives the runs of a side to workers, each on a machine of its own.
func spread(s Side, workers ...string) Side {
	for i, r := range s.Runs {
		r.Worker = workers[i]
	}
	return s
}

// rowsOf are the rows of other configurations of a study.
func rowsOf(id string, joules map[string]float64) (out []result.Row) {
	for worker, v := range joules {
		r := run(1, 0, v)
		out = append(out, result.Row{ID: id, Worker: worker, Status: result.OK, Values: result.ValuesOf(r)})
	}
	return out
}

// TestMachines: sides are compared within machines, and get no verdict if nothing connects their machines.
func TestMachines(t *testing.T) {
	// The machine b needs 10 % more, and most runs of B were executed there.
	uneven := func() (Side, Side) {
		return spread(sideOf("s", 0, 2, 1, 1.002, 0.998, 1.1, 1.001, 0.999, 1), "a", "a", "a", "b", "a", "a", "a"),
			spread(sideOf("t", 1, 2, 1.102, 1.099, 1.1, 1.001, 1.098, 1.101, 1.1), "b", "b", "b", "a", "b", "b", "b")
	}
	connected := func(rows ...result.Row) (Side, Side) {
		a, b := spread(sideOf("s", 0, 2, 1, 1.002, 0.998), "a", "a", "a"),
			spread(sideOf("s", 1, 2, 1.1, 1.102, 1.098), "b", "b", "b")
		a.rows, a.id, b.id = rows, "aaaa", "bbbb"
		return a, b
	}
	gpus := func(same bool) (Side, Side) {
		a, b := spread(sideOf("s", 0, 2, 1, 1.1, 1.001, 1.101), "a", "a", "a", "a"),
			spread(sideOf("s", 1, 2, 1.002, 1.102, 1.003, 1.103), "a", "a", "a", "a")
		for i := range a.Runs {
			a.Runs[i].Backend.GPUs = []string{[]string{"GPU-1", "GPU-2"}[i%2]}
			b.Runs[i].Backend.GPUs = a.Runs[i].Backend.GPUs
			if !same {
				b.Runs[i].Backend.GPUs = []string{"GPU-3"}
			}
		}
		return a, b
	}
	for name, c := range map[string]struct {
		sides   func() (Side, Side)
		verdict Verdict
		answer  string
		how     string
	}{
		"uneven": {uneven, NotTold, "cannot be told with 7 runs each within 2 machines:",
			"within machines: the runs are " +
				"from 2 machines,"},
		"one machine": {func() (Side, Side) {
			return spread(sideOf("s", 0, 2, 1, 1.01, 1.02), "a", "a", "a"),
				spread(sideOf("s", 1, 2, 0.9, 0.91, 0.92), "a", "a", "a")
		}, Lower, "3 cycles in pairs", "in pairs by cycle"},
		"apart": {func() (Side, Side) { return connected() }, Confounded,
			"Whether J/out differs cannot be told: A and B " +
				"share no machine, and that it is 10 % higher in B than in A may be the difference of the " +
				"machines. Run both " +
				"on the same machines.", "not compared: A and B share no machine"},
		"connected": {func() (Side, Side) {
			return connected(append(rowsOf("cccc", map[string]float64{"a": 2, "b": 2.2}),
				rowsOf("dddd", map[string]float64{"a": 3, "b": 3.3})...)...)
		}, NotTold, "cannot be told with 3 runs each within 2 machines that 4 configurations compare:",
			"all 4 configurations " +
				"tell how the machines differ"},
		"GPUs": {func() (Side, Side) { return gpus(true) }, Higher, "4 runs each within 2 GPUs)",
			"within GPUs:"},
		"GPUs of a kind": {func() (Side, Side) { return gpus(false) }, Confounded, "share no GPU,", "share no GPU,"},
	} {
		a, b := c.sides()
		got, err := Sides(a, b, Options{})
		if err != nil {
			t.Fatal(name, err)
		}
		m := got.Metrics[0]
		if m.Verdict != c.verdict || !strings.Contains(got.Answer, c.answer) || !strings.Contains(got.How(), c.how) {
			t.Errorf("%s: %s: %s\n%s", name, m.Verdict, got.Answer, got.How())
		}
		if c.verdict == Confounded && (m.CI95 != nil || m.Test != nil || m.Visible != nil) {
			t.Errorf("%s: a verdict is hinted at: %+v", name, m)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Who ignores the machines finds a difference that is not there.
	a, b := uneven()
	for _, r := range append(a.Runs, b.Runs...) {
		r.Worker = ""
	}
	if got, err := Sides(a, b, Options{}); err != nil || got.Metrics[0].Verdict != Higher {
		t.Errorf("ignoring the machines: %s, %v", got.Answer, err)
	}
}

// TestChangeVaries: a change that is not the same on all machines is said, and counts machines instead of runs.
func TestChangeVaries(t *testing.T) {
	a := spread(sideOf("s", 0, 2, 1, 1.001, 1.002, 1, 1.001, 1.002), "a", "a", "b", "b", "c", "c")
	b := spread(sideOf("s", 1, 2, 1, 1.001, 1.052, 1.051, 1.101, 1.102), "a", "a", "b", "b", "c", "c")
	got, err := Sides(a, b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m := got.Metrics[0]; m.Verdict != NotTold || !strings.Contains(strings.Join(got.Warnings, "\n"),
		"the change of J/out is not the same on all machines") {
		t.Errorf("%s\n%v", got.Answer, got.Warnings)
	}
}
