package doctor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/power"
)

// under reports whether a device carries the load.
func under(load Load, d *Device) bool {
	if len(load.Devices()) == 0 {
		return d.Kind == string(power.CPU)
	}
	return slices.Contains(load.Devices(), d.UUID)
}

// windows returns the windows of pulses.
func windows(edges []backend.Edge) []attribute.Window {
	out := make([]attribute.Window, len(edges))
	for i, e := range edges {
		out[i] = attribute.Window{Start: e.OnNS, End: e.OffNS}
	}
	return out
}

// pulse runs a pattern while the sampler runs.
func pulse(ctx context.Context, load Load, pattern []backend.Pulse) func(*power.Sampler) ([]attribute.Window, error) {
	return func(*power.Sampler) ([]attribute.Window, error) {
		edges, err := load.Pulse(ctx, pattern)
		return windows(edges), err
	}
}

// steady compares counter and series under steady load.
func (t *tester) steady(ctx context.Context, load Load) error {
	t.say("%s: counter and series under steady load (8 s)", load.Name())
	return t.agree(ctx, 8, pulse(ctx, load, []backend.Pulse{{On: 8 * time.Second}}), func(d *Device, a *Agreement) {
		if under(load, d) {
			d.Steady = a
		}
	})
}

// pulseCount is the number of pulses for fitting the kernel.
const pulseCount = 70

// pulses fits how the series responds to a load, with pulses of random length, which are not in step with the
// sensor.
func (t *tester) pulses(ctx context.Context, load Load) error {
	t.say("%d random pulses, for the sensor's window and lag (20 s)", pulseCount)
	rng := rand.New(rand.NewPCG(1, 2))
	pattern := make([]backend.Pulse, pulseCount)
	for i := range pattern {
		pattern[i] = backend.Pulse{On: time.Duration(20+230*rng.Float64()) * time.Millisecond,
			Off: time.Duration(40+230*rng.Float64()) * time.Millisecond}
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
		d.Sensor = kernelOf(samples[0].Source, k, len(s.edges))
	}
	return nil
}

func kernelOf(source string, k attribute.Kernel, pulses int) *SensorKernel {
	ms := func(v time.Duration) float64 { return float64(v) / 1e6 }
	return &SensorKernel{Source: source, WindowMS: ms(k.Window), WindowSDMS: ms(k.WindowSD), FilterMS: ms(k.Filter),
		FilterSDMS: ms(k.FilterSD),
		LagMS:      ms(k.Lag), LagSDMS: ms(k.LagSD), LowW: k.LowW, HighW: k.HighW, ResidualW: k.ResidualW,
		Pulses: pulses}
}

const (
	// phases is the number of phases of the swept pulses.
	phases = 8
	// controlEvery is how many phases share one control.
	controlEvery = 2
	// trainTime is the approximate duration of a train of swept pulses.
	trainTime = 2500 * time.Millisecond
	// minPeriod is the shortest period of a counter that a load can follow.
	minPeriod = 20 * time.Millisecond
)

// swept runs pulses of a quarter of the counter's period at different phases. The counter's energy for a
// second of load must not depend on the phase, which it does if the counter measures only a part of its
// period. The series cannot serve as reference, because its samples are also in step with the pulses.
// Controls between the phases are trains that pass through all phases, so that their differences come from
// the load.
func (t *tester) swept(ctx context.Context, load Load) error {
	period, ok := t.period(load)
	if !ok {
		t.skip("swept pulses (duty)",
			fmt.Sprintf("no counter under the load is known to change as slowly as every %v, the fastest that a "+
				"load can follow", minPeriod))
		return nil
	}
	t.say("pulses in step with the counter at %d phases, and out of step (36 s)", phases)
	n := max(1, int(trainTime/period))
	duty := dutyTest{load: load, phase: map[string][]float64{}, control: map[string][]float64{},
		doubt: map[string][]float64{}}
	// A random order, so that warming up does not look like a phase.
	for _, k := range rand.New(rand.NewPCG(3, 4)).Perm(phases) {
		if err := t.train(ctx, &duty, duty.phase, time.Duration(k)*period/phases, period, n); err != nil {
			return err
		}
		if k%controlEvery != 0 {
			continue
		}
		if err := t.train(ctx, &duty, duty.control, 0, period+period/time.Duration(n), n); err != nil {
			return err
		}
	}
	for id, r := range duty.phase {
		control, ok := stats.Summarize(duty.control[id])
		if len(r) < phases/2 || !ok || control.N < 3 {
			t.skip("duty of "+id, "the counter did not answer at enough phases")
			continue
		}
		t.device(id).Duty = &Duty{Phases: len(r), SwingPct: 50 * (slices.Max(r) - slices.Min(r)) / stats.Mean(r),
			ControlPct: 100 * halfRangeOfEight * control.SD / control.Mean, DoubtPct: 100 * quantile(duty.doubt[id],
				0.5), AddedW: stats.Mean(r)}
	}
	return nil
}

// halfRangeOfEight is half the expected range of eight normal values, in standard deviations (Tippett 1925).
const halfRangeOfEight = 2.847 / 2

// dutyTest collects watts per second of load, by device.
type dutyTest struct {
	load                  Load
	phase, control, doubt map[string][]float64
}

// train runs pulses of a quarter of the period, and records the energy that the counters added.
func (t *tester) train(ctx context.Context, duty *dutyTest, added map[string][]float64, delay, period time.Duration,
	n int) error {
	pattern := []backend.Pulse{{Off: delay}}
	for range n {
		pattern = append(pattern, backend.Pulse{On: period / 4, Off: period - period/4})
	}
	s, err := t.sample(ctx, time.Second, pulse(ctx, duty.load, pattern))
	if err != nil {
		return err
	}
	on := 0.0
	for _, e := range s.edges {
		on += e.Duration().Seconds()
	}
	for _, d := range t.report.Devices {
		_, readings := s.of(d.Device)
		if !under(duty.load, d) || d.Sensor == nil || len(readings) < 2 || on == 0 {
			continue
		}
		window, counter, err := attribute.Snap(readings,
			attribute.Window{Start: readings[0].BeforeNS, End: s.window.End})
		if err != nil {
			continue
		}
		joules := counter.Joules - d.Sensor.LowW*window.Duration().Seconds()
		added[d.Device] = append(added[d.Device], joules/on)
		// The limits are in idle time, so their uncertainty costs idle power.
		blur := counter.Half95 / counter.Joules * window.Duration().Seconds()
		duty.doubt[d.Device] = append(duty.doubt[d.Device], blur*d.Sensor.LowW/joules)
	}
	return nil
}

// period returns the refresh period of the counter under load.
func (t *tester) period(load Load) (time.Duration, bool) {
	for _, d := range t.report.Devices {
		for _, r := range d.Refresh {
			if p := time.Duration(r.PeriodMS * float64(time.Millisecond)); under(load, d) &&
				r.Source == sensor.SourceEnergy && p >= minPeriod {
				return p, true
			}
		}
	}
	return 0, false
}

// rates are the compared times between two reads of the counter. The last one is the most informative, and
// takes a third of a core on an H200.
var rates = []time.Duration{time.Second, 50 * time.Millisecond, 10 * time.Millisecond}

// rate reads the counter rarely and often under the same load.
func (t *tester) rate(ctx context.Context, load Load) error {
	t.say("the counter read once, 20 and 100 times a second (18 s)")
	ratios := map[string][]float64{}
	var cpu []float64
	for _, interval := range rates {
		s, err := t.sample(ctx, interval, pulse(ctx, load, []backend.Pulse{{On: 6 * time.Second}}))
		if err != nil {
			return err
		}
		cpu = append(cpu, 100*s.trace.Cost.Share())
		for _, d := range t.report.Devices {
			if a := s.compare(d.Device); under(load, d) && a.CounterW != nil {
				ratios[d.Device] = append(ratios[d.Device], *a.CounterW/a.SeriesW)
			}
		}
	}
	for id, r := range ratios {
		if len(r) == len(rates) {
			change := func(i int) float64 { return 100 * (r[i]/r[0] - 1) }
			t.device(id).Polling = &Polling{SlowRatio: r[0], FastRatio: r[1], ChangePct: change(1), SamplerPct: cpu[1],
				FastestRatio: &r[2], FastestChangePct: new(change(2)), FastestPct: &cpu[2]}
		}
	}
	return nil
}
