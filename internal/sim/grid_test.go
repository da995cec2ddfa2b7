package sim

import (
	"math"
	"testing"
	"time"
)

// TestGrid: every scenario can be drawn, and has the shape that it promises.
func TestGrid(t *testing.T) {
	grid := Grid(1)
	if want := 2 * len(SensorKinds) * len(gridPrefill) * len(gridDecode); len(grid) != want {
		t.Fatalf("%d scenarios, want %d", len(grid), want)
	}
	for _, p := range grid {
		m := p.Engine.Model
		together := p.Batch
		if p.Batching == Continuous {
			together = 1
		}
		for name, v := range map[string]float64{"static": m.StaticW, "weights": m.WeightsJ, "prefill": m.PrefillJ,
			"attention": m.AttentionJ,
			"decode":    m.DecodeJ, "cache": m.CacheJ} {
			if !(v >= 0) || math.IsInf(v, 0) {
				t.Errorf("%s: %s is %v", p.Name, name, v)
			}
		}
		if p.Batching == Static {
			n := float64(p.Prompts[0])
			got := m.plan(work{prompt: together * p.Prompts[0], pairs: float64(together) * n * n / 2}).duration
			if math.Abs(got.Seconds()/p.Prefill.Seconds()-1) > 1e-6 {
				t.Errorf("%s: prefill takes %v", p.Name, got)
			}
		}
		for i := range p.GPUs {
			if err := p.GPUs[i].check(); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
		}
	}
}

// TestGridRuns measures a sample of the grid; every one of them must be a window
// that is long enough, measured in far less time.
func TestGridRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("a few seconds of simulation")
	}
	grid := Grid(2)
	for i := 0; i < len(grid); i += 29 {
		p := grid[i]
		began := time.Now()
		o := simulate(t, p.Scenario)
		w := time.Duration(o.Window.End - o.Window.Start)
		took := time.Since(began)
		t.Logf("%-70s window %6.1f s in %4.0f ms, %5d samples, prefill %4.1f %%, mixed %4.1f %%, idle %4.1f %%",
			p.Name, w.Seconds(),
			took.Seconds()*1000, len(o.Trace.Samples), 100*o.Truth.Prefill.Joules/o.Truth.Total,
			100*o.Truth.Mixed/o.Truth.Total, 100*o.Truth.Idle/o.Truth.Total)
		if w < gridWindow*8/10 || len(o.Trace.Errors) > 0 {
			t.Errorf("%s: window %v, errors %v", p.Name, w, o.Trace.Errors)
		}
	}
}
