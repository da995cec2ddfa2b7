package sim

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/internal/digits"
)

// create makes a simulation in virtual time without sensors.
func create(t *testing.T) (*File, *Clock) {
	t.Helper()
	c := NewClock()
	f, err := Create(filepath.Join(t.TempDir(), "sim"), Options{BareW: 50, Clock: c, Capacity: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, c
}

// TestEnergyOfAStep: however a step is laid out, its energy equals the plan's; a
// slow rise only moves some of it behind the step.
func TestEnergyOfAStep(t *testing.T) {
	for name, m := range map[string]Model{
		"flat":        {},
		"ripple":      {Ripple: 0.3, RipplePeriod: 3 * ms},
		"long ripple": {Ripple: 0.3, RipplePeriod: 300 * ms},
		"rise":        {Rise: 5 * ms},
		"both":        {Rise: 2 * ms, Ripple: 0.2, RipplePeriod: 7 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := create(t)
				const idle = 50.0
				start := c.Now()
				s := newSource(f, &m, []float64{1}, 1, start, idle)
				at := start + int64(10*ms)
				planned := 0.0
				for range 20 {
					p := plan{duration: 17 * ms, joules: 8}
					s.step(at, p)
					at += int64(p.duration)
					planned += p.joules
				}
				s.idle(at, idle)
				end := at + int64(time.Second)
				want := planned + idle*digits.Seconds(end-start-20*int64(17*ms))
				if got := f.Curve(0).Joules(start, end); !near(got, want, 2e-3) {
					t.Errorf("%v J, planned %v J", got, want)
				}
			})
		})
	}
}

// TestNoise has the asked standard deviation and mean.
func TestNoise(t *testing.T) {
	s := source{model: &Model{Noise: 0.03, NoiseRho: 0.8}, seed: 4}
	sum, square := 0.0, 0.0
	const n = 20000
	for range n {
		v := s.wander()
		sum, square = sum+v, square+v*v
	}
	if mean, sd := sum/n, math.Sqrt(square/n); math.Abs(mean) > 0.003 || math.Abs(sd-0.03) > 0.002 {
		t.Errorf("mean %v, standard deviation %v", mean, sd)
	}
}

// TestMixedStep: the shares of a mixed step by hand.
func TestMixedStep(t *testing.T) {
	c := Curve{{Start: 0, Watts: 500}}
	second := int64(time.Second)
	steps := []TrueStep{
		{Start: 0, End: second, Joules: 500, Caused: 1000, PrefillJ: 200, DecodeJ: 100, Prompts: true, Outputs: true},
		{Start: second, End: 2 * second, Joules: 500, Caused: 1000, PrefillJ: 300, Prompts: true},
		{Start: 3 * second, End: 4 * second, Joules: 500, Caused: 1000, DecodeJ: 100, Outputs: true},
	}
	got := TruthOf([]Curve{c, c}, steps, Span{0, 5 * second})
	want := Truth{Total: 5000, Prefill: PhaseTruth{1600, 1400, 1800}, Decode: PhaseTruth{1400, 1200, 1600},
		Idle: 2000, Mixed: 1000}
	if got != want {
		t.Errorf("truth %+v, want %+v", got, want)
	}
}

// TestCurve answers before, inside and after its segments, and takes back a future
// that did not come.
func TestCurve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := create(t)
		t0 := c.Now()
		second := int64(time.Second)
		f.Append(0, t0+second, 100)
		f.Append(0, t0+9*second, 900)
		f.Append(0, t0+2*second, 200) // the 900 W never came
		curve := f.Curve(0)
		for _, x := range []struct{ from, to, want float64 }{{-1, 0, 50}, {0, 1, 50}, {0, 2, 150}, {1.5, 2.5, 150},
			{2, 12, 2000}, {3, 2, -200}} {
			if got := curve.Joules(t0+int64(x.from*1e9), t0+int64(x.to*1e9)); !near(got, x.want, 1e-9) {
				t.Errorf("[%v, %v]: %v J, want %v", x.from, x.to, got, x.want)
			}
		}
		if w := curve.Watts(t0 + 3*second); w != 200 {
			t.Errorf("%v W, want 200", w)
		}
		other, err := Open(f.Path())
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if got := other.Curve(0); len(got) != len(curve) || got[2] != curve[2] {
			t.Errorf("another mapping sees %+v, want %+v", got, curve)
		}
	})
}

// TestEngineLogs: logs keep the rules of all engines, with all ways of batching and
// with stamps that are off.
func TestEngineLogs(t *testing.T) {
	for name, o := range map[string]EngineOptions{
		"static":     {BatchSize: 4},
		"gaps":       {BatchSize: 4, StepGap: ms, BatchGap: 20 * ms},
		"stamps":     {BatchSize: 4, StampLag: 3 * ms, StampJitter: ms},
		"continuous": {BatchSize: 3, Batching: Continuous, ChunkTokens: 16},
		"clients": {BatchSize: 4, Batching: Continuous, ChunkTokens: 64, Arrivals: Arrivals{Clients: 2},
			StampLag: 2 * ms},
		"poisson": {BatchSize: 4, Batching: Continuous, ChunkTokens: 64, Arrivals: Arrivals{Rate: 20}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := create(t)
				o.Model, o.Now = plainModel(), c.Now
				e := NewEngine(f, o)
				if _, err := e.Load(t.Context(), backend.Spec{MaxContext: 100}, func(string, float64) {}); err != nil {
					t.Fatal(err)
				}
				var w backend.Workload
				for i, n := range []int{5, 17, 1, 33, 9, 20, 40} {
					w.Requests = append(w.Requests, backend.Prompt{ID: 100 + i, Tokens: make([]int32, n)})
				}
				w.OutputTokens = 7
				before := c.Now()
				log, err := e.Run(t.Context(), w)
				if err != nil {
					t.Fatal(err)
				}
				backendtest.CheckLog(t, w, log, before, c.Now(), 0)
				if steps := e.Steps(); len(steps) != len(log.Steps) {
					t.Errorf("%d true steps, %d logged", len(steps), len(log.Steps))
				}
				e.Close()
				if w := f.Curve(0).Watts(c.Now()); w != o.Model.BareW {
					t.Errorf("%v W after the end, want %v", w, o.Model.BareW)
				}
			})
		})
	}
}

// TestFull: an engine whose log is full fails; it does not go on without power.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClock()
		f, err := Create(filepath.Join(t.TempDir(), "sim"), Options{Clock: c, Capacity: stepRoom + 50})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		e := NewEngine(f, EngineOptions{Model: plainModel(), Now: c.Now})
		if _, err := e.Load(t.Context(), backend.Spec{}, func(string, float64) {}); err != nil {
			t.Fatal(err)
		}
		_, err = e.Run(t.Context(),
			backend.Workload{OutputTokens: 100, Requests: []backend.Prompt{{ID: 1, Tokens: []int32{1}}}})
		if err == nil || !strings.Contains(err.Error(), "no room") {
			t.Errorf("run: %v", err)
		}
	})
}

// TestOutputVary: lengths differ, within what was asked for.
func TestOutputVary(t *testing.T) {
	s := plainScenario()
	s.Engine.Batching, s.Engine.OutputVary = Continuous, 0.5
	lengths := map[int]bool{}
	for _, q := range simulate(t, s).Log.Requests {
		lengths[q.OutputTokens] = true
		if q.OutputTokens < 60 || q.OutputTokens > 180 {
			t.Errorf("output of %d tokens, asked for 120", q.OutputTokens)
		}
	}
	if len(lengths) < 10 {
		t.Errorf("lengths %v", lengths)
	}
}

// TestTwoGPUs: each draws its share, and an empty one stays bare.
func TestTwoGPUs(t *testing.T) {
	s := plainScenario()
	s.GPUs = []Sensors{DefaultSensors(), DefaultSensors(), DefaultSensors()}
	s.Engine.Scale = []float64{1, 0.5, 0}
	o := simulate(t, s)
	j := make([]float64, 3)
	for i, c := range o.Curves {
		j[i] = c.Joules(o.Window.Start, o.Window.End)
	}
	if !near(j[1], j[0]/2, 1e-9) || !near(o.Truth.Total, j[0]+j[1], 1e-9) || len(o.Loaded.DeviceUUIDs) != 2 {
		t.Errorf("joules %v, total %v, on %v", j, o.Truth.Total, o.Loaded.DeviceUUIDs)
	}
	if bare := s.Engine.Model.BareW * digits.Seconds(o.Window.End-o.Window.Start); j[2] > bare*1.001 {
		t.Errorf("the empty GPU drew %v J", j[2])
	}
}
