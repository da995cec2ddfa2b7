package compare

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/result"
)

// TestDoubts: what differs between the sides beside their settings is a caution.
func TestDoubts(t *testing.T) {
	on := func(name, uuid string, s Side) Side {
		for _, r := range s.Runs {
			r.Energy.Devices = []result.Device{{Kind: "gpu", Counted: true, Name: name},
				{Kind: "cpu", Counted: true, Name: name}}
			r.Backend.GPUs = []string{uuid}
		}
		return s
	}
	a, b := func() Side { return sideOf("s", 0, 2, 1, 1.1, 1.2) }, func() Side { return sideOf("s", 1, 2, 1, 1.1, 1.3) }
	with := func(s Side, change func(*Side)) Side { change(&s); return s }
	for name, q := range map[string]struct {
		a, b Side
		want string
	}{
		"nothing": {a(), b(), ""},
		"one GPU": {on("H100", "GPU-1", a()), on("H100", "GPU-1", b()), ""},
		"other GPU": {on("H100", "GPU-1", a()), on("H100", "GPU-2", b()),
			"different GPUs of one kind (A GPU-1, B GPU-2)"},
		"other kind":  {on("H100", "GPU-1", a()), on("H200", "GPU-2", b()), "different GPUs: A on H100, B on H200;"},
		"one unknown": {a(), on("H200", "GPU-2", b()), ""},
		"machines": {with(a(), func(s *Side) { s.Machine = "CPU x" }), with(b(), func(s *Side) { s.Machine = "CPU y" }),
			"A on CPU x; B on CPU y"},
		"stop rule": {with(a(), func(s *Side) { s.Until = "energy.total_j to ±2 %" }), b(),
			"execution.until (energy.total_j to ±2 %) determined the number of cycles of A:"},
		"both": {with(a(), func(s *Side) { s.Until = "x" }), with(b(), func(s *Side) { s.Until = "x" }),
			"cycles of A and B:"},
	} {
		c, err := Sides(q.a, q.b, Options{})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(c.Warnings, "\n")
		if !strings.Contains(text, q.want) || q.want == "" && text != "" {
			t.Errorf("%s: %q, want %q", name, text, q.want)
		}
	}
}

// TestGaps: metrics that are missing for one reason stand together, and a few runs without one are counted.
func TestGaps(t *testing.T) {
	a, b := sideOf("s", 0, 2, 1, 1.1, 1.2), sideOf("s", 1, 2, 1, 1.1, 1.3)
	for _, r := range append(a.Runs[:3:3], b.Runs...) {
		r.Energy.TotalJ = &result.Quantity{Value: 1}
		r.Energy.PhasesReason = "the window is too short"
	}
	a.Runs[1].Energy.MeanW = nil
	for _, r := range append([]*result.Record{a.Runs[0], a.Runs[2]}, b.Runs...) {
		r.Energy.MeanW = &result.Quantity{Value: 3}
	}
	c, err := Sides(a, b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range c.Missing {
		got = append(got, strings.Join(g.Metrics, "+")+" of "+g.Of+": "+g.Reason)
	}
	want := "energy.mean_w of 1 of 3 runs of A: ; energy.phases.prefill.j_per_token+energy.phases.decode.j_per_token " +
		"of A and B: the window is too short"
	if text := strings.Join(got, "; "); text != want {
		t.Errorf("%q, want %q", text, want)
	}
}

// TestOneAfterTheOther: sides that drift are compared with fewer runs than they
// have, whatever the order in
// which their runs are given.
func TestOneAfterTheOther(t *testing.T) {
	drifts := []float64{1, 1.01, 1.02, 1.03, 1.04}
	a, b := sideOf("s", 0, 1, drifts...), sideOf("t", 9, 1, 1.05, 1.06, 1.07, 1.08, 1.09)
	for i, j := range []int{3, 0, 4, 1, 2} {
		a.Runs[i], a.Runs[j] = a.Runs[j], a.Runs[i]
	}
	c, err := Sides(a, b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := c.Metrics[0]
	if m.Test == nil || m.Test.CountAs == nil || m.Test.CountAs[0] > 3 || m.Test.Correlation < 0.5 ||
		m.Verdict != NotTold || m.Visible.From < 0.05 {
		t.Errorf("%s, %+v, visible %+v", m.Verdict, m.Test, m.Visible)
	}
}
