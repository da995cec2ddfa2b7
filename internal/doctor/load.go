package doctor

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/power"
)

// under says whether a device carries the load.
func under(load Load, d *Device) bool {
	if len(load.Devices()) == 0 {
		return d.Kind == string(power.CPU)
	}
	return slices.Contains(load.Devices(), d.UUID)
}

// windows of pulses.
func windows(edges []backend.Edge) []attribute.Window {
	out := make([]attribute.Window, len(edges))
	for i, e := range edges {
		out[i] = attribute.Window{Start: e.OnNS, End: e.OffNS}
	}
	return out
}

// pulse runs a pattern as the work of a sampled stretch.
func pulse(ctx context.Context, load Load, pattern []backend.Pulse) func(*power.Sampler) ([]attribute.Window, error) {
	return func(*power.Sampler) ([]attribute.Window, error) {
		edges, err := load.Pulse(ctx, pattern)
		return windows(edges), err
	}
}

// steady compares counter and series under steady load.
func (t *tester) steady(ctx context.Context, load Load) error {
	t.say("counter and series under steady load (8 s)")
	return t.agree(ctx, 8, pulse(ctx, load, []backend.Pulse{{On: 8 * time.Second}}), func(d *Device, a *Agreement) {
		if under(load, d) {
			d.Steady = a
		}
	})
}

// pulseCount is the number of pulses by which the kernel is found.
const pulseCount = 70

// pulses finds how the series sees a load: pulses of random length, so that they do
// not fall in step with the sensor.
func (t *tester) pulses(ctx context.Context, load Load) error {
	t.say("%d pulses at random, for the sensor's window and lag (20 s)", pulseCount)
	rng := rand.New(rand.NewPCG(1, 2))
	pattern := make([]backend.Pulse, pulseCount)
	for i := range pattern {
		pattern[i] = backend.Pulse{On: time.Duration(20+230*rng.Float64()) * time.Millisecond, Off: time.Duration(40+230*rng.Float64()) * time.Millisecond}
	}
	s, err := t.sample(ctx, time.Second, pulse(ctx, load, pattern))
	if err != nil {
		return err
	}
	for _, d := range t.report.Devices {
		if !under(load, d) {
			continue
		}
		samples, _ := s.of(d.Device)
		k, err := attribute.FitKernel(samples, s.edges, s.window)
		if err != nil {
			t.skip("window and lag of "+d.Device, err.Error())
			continue
		}
		ms := func(v time.Duration) float64 { return float64(v) / 1e6 }
		d.Sensor = &SensorKernel{Source: samples[0].Source, WindowMS: ms(k.Window), WindowSDMS: ms(k.WindowSD), FilterMS: ms(k.Filter), FilterSDMS: ms(k.FilterSD),
			LagMS: ms(k.Lag), LagSDMS: ms(k.LagSD), LowW: k.LowW, HighW: k.HighW, Pulses: len(s.edges)}
	}
	return nil
}

// phases is the number of phases of the swept pulses.
const phases = 8

// swept runs pulses of a quarter of the counter's period at different phases. What
// the counter adds for a second of load must not depend on the phase: one that sees
// a part of its period only would count more or less. The series is no help here,
// its samples fall in step with the pulses as well.
func (t *tester) swept(ctx context.Context, load Load) error {
	t.say("pulses in step with the counter at %d phases (24 s)", phases)
	added, doubts := map[string][]float64{}, map[string][]float64{}
	for k := range phases {
		period := t.period(load)
		pattern := []backend.Pulse{{Off: time.Duration(k) * period / phases}}
		for range max(1, int(2500*time.Millisecond/period)) {
			pattern = append(pattern, backend.Pulse{On: period / 4, Off: period - period/4})
		}
		s, err := t.sample(ctx, time.Second, pulse(ctx, load, pattern))
		if err != nil {
			return err
		}
		on := 0.0
		for _, e := range s.edges {
			on += e.Duration().Seconds()
		}
		for _, d := range t.report.Devices {
			_, readings := s.of(d.Device)
			if !under(load, d) || d.Sensor == nil || len(readings) < 2 || on == 0 {
				continue
			}
			window, counter, err := attribute.Snap(readings, attribute.Window{Start: readings[0].BeforeNS, End: s.window.End})
			if err != nil {
				continue
			}
			load := counter.Joules - d.Sensor.LowW*window.Duration().Seconds()
			added[d.Device] = append(added[d.Device], load/on)
			// The limits lie in idle time: their blur costs idle power.
			blur := counter.Half95 / counter.Joules * window.Duration().Seconds()
			doubts[d.Device] = append(doubts[d.Device], blur*d.Sensor.LowW/load)
		}
	}
	for id, r := range added {
		if len(r) < phases/2 {
			t.skip("duty of "+id, "the counter did not answer at enough phases")
			continue
		}
		t.device(id).Duty = &Duty{Phases: len(r), SwingPct: 50 * (slices.Max(r) - slices.Min(r)) / mean(r), DoubtPct: 100 * quantile(doubts[id], 0.5), AddedW: mean(r)}
	}
	return nil
}

// period is that of the counter of the device under load, 100 ms where unknown.
func (t *tester) period(load Load) time.Duration {
	for _, d := range t.report.Devices {
		for _, r := range d.Refresh {
			if under(load, d) && r.Source == power.SourceEnergy && r.MedianMS >= 10 {
				return time.Duration(r.MedianMS * float64(time.Millisecond))
			}
		}
	}
	return 100 * time.Millisecond
}

// rate reads the counter rarely and often under the same load.
func (t *tester) rate(ctx context.Context, load Load) error {
	t.say("the counter read once and 20 times a second (12 s)")
	ratios := map[string][]float64{}
	var cpu float64
	for _, interval := range []time.Duration{time.Second, 50 * time.Millisecond} {
		s, err := t.sample(ctx, interval, pulse(ctx, load, []backend.Pulse{{On: 6 * time.Second}}))
		if err != nil {
			return err
		}
		cpu = 100 * s.trace.Cost.Share()
		for _, d := range t.report.Devices {
			if a := s.compare(d.Device); under(load, d) && a.CounterW != nil {
				ratios[d.Device] = append(ratios[d.Device], *a.CounterW/a.SeriesW)
			}
		}
	}
	for id, r := range ratios {
		if len(r) == 2 {
			t.device(id).Polling = &Polling{r[0], r[1], 100 * (r[1]/r[0] - 1), cpu}
		}
	}
	return nil
}

func mean(v []float64) float64 {
	s := 0.0
	for _, x := range v {
		s += x
	}
	return s / float64(len(v))
}
