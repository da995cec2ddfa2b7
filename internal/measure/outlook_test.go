package measure

import (
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/power"
)

// TestWindowForPhases: a workload too short for its phases is repeated until they can be told apart, within
// energy.max_window; where that binds, the run says which window would do.
func TestWindowForPhases(t *testing.T) {
	for name, q := range map[string]struct {
		most, least float64
		repeats     int // at least
		split       bool
		warns       bool
		slow        time.Duration // of the warm-up, per batch
	}{
		"long enough":                 {most: 30, repeats: 2, split: true},
		"never lengthened":            {most: 0, repeats: 1},
		"the limit binds":             {most: 0.4, repeats: 1, warns: true},
		"a slow warm-up":              {most: 3, repeats: 2, split: true, slow: 20 * batchTime},
		"what the study asks for":     {most: 30, least: 5, repeats: 15, split: true},
		"the limit is for itself, no": {most: 0.4, least: 5, repeats: 15, split: true},
	} {
		t.Run(name, virtually(func(t *testing.T) {
			l := newLab(t)
			x := &l.options.Experiment
			x.Warmup.Runs, x.Energy.MaxWindow, x.Energy.MinWindow, x.Section = 1, q.most, q.least, batchOf(3)
			l.warm, l.batch, l.logged = max(batchTime, q.slow), 3, true
			m := l.newMeter(gpu0)
			m.poll = every(4)
			l.options.Meters = []power.Meter{m}
			r := l.withEnergy(t)
			p := r.Energy.Phases
			split := p != nil && p.Prefill.EnergyJ != nil && p.Decode.EnergyJ != nil
			if split != q.split || r.Window.Repeats < q.repeats || q.repeats == 1 && r.Window.Repeats > 1 {
				t.Errorf("%d repeats, split %v: %s %+v", r.Window.Repeats, split, r.Energy.PhasesReason, p)
			}
			text, warns := warned(r, codes.MinWindow)
			if warns != q.warns || warns && !strings.Contains(text, "set energy.min_window: ") {
				t.Errorf("warning %q", text)
			}
			_, asked, _ := strings.Cut(text, "set energy.min_window: ")
			for _, m := range r.Missing() {
				if _, again, ok := strings.Cut(m.Reason, "set energy.min_window: "); ok && warns && again != asked {
					t.Errorf("a reason asks for %s s, and the warning for %s s: %s", again, asked, m.Reason)
				}
			}
		}))
	}
}

// every keeps one sample of so many: a slower sensor.
func every(n int) func([]power.Sample) ([]power.Sample, error) {
	seen := 0
	return func(all []power.Sample) (kept []power.Sample, _ error) {
		for _, s := range all {
			if seen++; seen%n == 0 {
				s.Window *= 4
				kept = append(kept, s)
			}
		}
		return kept, nil
	}
}
