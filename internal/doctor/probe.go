package doctor

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/power"
)

// caller is a meter whose single calls can be tested.
type caller interface {
	Calls(device string) []sensor.Call
}

// processLister is a meter that lists the processes on its devices.
type processLister interface {
	Processes(ctx context.Context) (map[string][]power.GPUProcess, error)
}

// facts records what the driver reports about the devices.
func (t *tester) facts(ctx context.Context) {
	for _, m := range t.Meters {
		if l, ok := m.(processLister); ok {
			all, err := l.Processes(ctx)
			if err != nil {
				t.skip("neighbours on the GPU", err.Error())
			}
			for id, list := range all {
				for _, p := range list {
					if d := t.device(id); d != nil {
						d.Neighbours = append(d.Neighbours, p.PID)
					}
				}
			}
		}
	}
	for id, f := range t.Facts {
		if d := t.device(id); d != nil {
			d.index = f.Index
			d.Persistence, d.PowerLimitW, d.DefaultW, d.ECC = f.Persistence, f.PowerLimitW, f.PowerLimitDefaultW, f.ECC
		}
	}
}

// repeats is how often a call is timed.
const repeats = 40

// calls times every way to read. For a meter without single calls, it times reading all counters.
func (t *tester) calls() {
	for _, m := range t.Meters {
		c, ok := m.(caller)
		if !ok {
			continue
		}
		for _, d := range m.Devices() {
			for _, call := range c.Calls(d.ID) {
				cost := CallCost{Call: call.Name, Source: call.Source}
				var took []float64
				for range repeats {
					began := t.Now()
					if _, _, err := call.Read(); err != nil {
						cost.Error = err.Error()
						break
					}
					took = append(took, float64(t.Now()-began)/1e3)
				}
				cost.MedianUS, cost.P95US, cost.MaxUS = quantile(took, 0.5), quantile(took, 0.95), quantile(took, 1)
				t.device(d.ID).Calls = append(t.device(d.ID).Calls, cost)
			}
		}
	}
}

// refreshTime is how long values are watched for changes.
const refreshTime = 2500 * time.Millisecond

// refresh watches the values of the single calls for changes.
func (t *tester) refresh(ctx context.Context) error {
	for _, m := range t.Meters {
		c, ok := m.(caller)
		if !ok {
			continue
		}
		for _, d := range m.Devices() {
			for _, call := range c.Calls(d.ID) {
				r, err := t.watch(ctx, call)
				if err != nil {
					return err
				}
				if r != nil {
					t.device(d.ID).Refresh = append(t.device(d.ID).Refresh, *r)
				}
			}
		}
	}
	return nil
}

// watch polls one call; it returns nil if the call fails or its value never changes.
func (t *tester) watch(ctx context.Context, call sensor.Call) (*Refresh, error) {
	var changes []int64
	last, _, err := call.Read()
	if err != nil {
		return nil, nil //nolint:nilerr // the costs of the calls name the error
	}
	pause := 2 * time.Millisecond
	for end := t.Now() + int64(refreshTime); t.Now() < end; {
		if err := t.Sleep(ctx, pause); err != nil {
			return nil, err
		}
		began := t.Now()
		v, _, err := call.Read()
		if err != nil {
			return nil, nil //nolint:nilerr // as above
		}
		now := t.Now()
		if v != last {
			changes, last = append(changes, now), v
		}
		// A call that keeps a core busy is polled less often.
		pause = max(2*time.Millisecond, min(20*time.Millisecond, 2*time.Duration(now-began)))
	}
	if len(changes) < 3 {
		return nil, nil
	}
	var gaps []float64
	for i := 1; i < len(changes); i++ {
		gaps = append(gaps, float64(changes[i]-changes[i-1])/1e6)
	}
	return &Refresh{call.Source, len(changes), quantile(gaps, 0.5), quantile(gaps, 0.1), quantile(gaps, 0.9),
		period(gaps), histogram(gaps)}, nil
}

// bins are the limits of the histogram in ms: eight per decade, rounded.
var bins = []float64{0, 1, 1.3, 1.8, 2.4, 3.2, 4.2, 5.6, 7.5, 10, 13, 18, 24, 32, 42, 56, 75, 95, 105, 130, 180, 240,
	320, 420, 560, 750, 1000, 10_000}

// histogram counts distances of changes, without empty bins.
func histogram(gaps []float64) []Bin {
	out := []Bin{}
	for i := 1; i < len(bins); i++ {
		b := Bin{FromMS: bins[i-1], ToMS: bins[i]}
		for _, g := range gaps {
			if g >= b.FromMS && g < b.ToMS {
				b.Count++
			}
		}
		if b.Count > 0 {
			out = append(out, b)
		}
	}
	return out
}

// ringReader is a meter whose driver keeps a ring of samples.
type ringReader interface {
	Ring(device string) ([]sensor.RingSample, clock.Anchor, error)
}

// rings measures the depth of the driver's rings, and the age of their newest entry.
func (t *tester) rings() {
	for _, m := range t.Meters {
		r, ok := m.(ringReader)
		if !ok {
			continue
		}
		for _, d := range m.Devices() {
			t.device(d.ID).Ring = ringOf(r, d.ID)
		}
	}
}

// ringOf reads a ring a few times; it returns nil if there is none.
func ringOf(r ringReader, device string) *Ring {
	out := &Ring{}
	var ages []float64
	for range repeats {
		list, now, err := r.Ring(device)
		if err != nil || len(list) < 2 {
			return nil
		}
		newest := list[len(list)-1].StampUS
		ages = append(ages, float64(now.UnixNS-int64(newest)*1000)/1e6)
		var gaps []float64
		for i := 1; i < len(list); i++ {
			gaps = append(gaps, float64(list[i].StampUS-list[i-1].StampUS)/1e3)
		}
		out.Entries, out.SpacingMS, out.DepthS = len(list), quantile(gaps, 0.5), float64(newest-list[0].StampUS)/1e6
	}
	out.AgeMS, out.AgeMaxMS = quantile(ages, 0.5), slices.Max(ages)
	return out
}

// period returns the mean distance of two updates. The median is unsuitable for a pattern that must stay in
// step: it is a multiple of the distance of two polls, and over 25 periods its error would multiply by 25.
// Missed updates are counted.
func period(gaps []float64) float64 {
	median := quantile(gaps, 0.5)
	sum, n := 0.0, 0.0
	for _, g := range gaps {
		sum, n = sum+g, n+max(1, math.Round(g/median))
	}
	return sum / n
}

// quantile returns the quantile q (0 to 1) of values, 0 for none.
func quantile(v []float64, q float64) float64 {
	s, ok := stats.Summarize(v)
	if !ok {
		return 0
	}
	return s.Percentile(100 * q)
}

// snapTimeout is how long to wait for a counter to change.
const snapTimeout = 600 * time.Millisecond

// sampled is the data of a sampled interval.
type sampled struct {
	trace  power.Trace
	window attribute.Window
	edges  []attribute.Window
}

// sample runs the sampler during some work, with a counter edge on both sides.
func (t *tester) sample(ctx context.Context, interval time.Duration,
	work func(*power.Sampler) ([]attribute.Window, error)) (sampled, error) {
	s := power.NewSampler(t.Meters...)
	s.CounterInterval, s.Now = interval, t.Now
	s.Start(ctx)
	s.Mark(ctx, snapTimeout)
	var out sampled
	out.window.Start = t.Now()
	edges, err := work(s)
	out.window.End, out.edges = t.Now(), edges
	if err == nil {
		s.Mark(ctx, snapTimeout)
		err = t.Sleep(ctx, 400*time.Millisecond)
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	out.trace = s.Stop(stop)
	return out, err
}

// of returns the data of one device.
func (s sampled) of(device string) (samples []power.Sample, readings []power.Reading) {
	for _, x := range s.trace.Samples {
		if x.Device == device {
			samples = append(samples, x)
		}
	}
	for _, x := range s.trace.Counters {
		if x.Device == device {
			readings = append(readings, x)
		}
	}
	return samples, readings
}

// compare returns the agreement of counter and series of a device.
func (s sampled) compare(device string) *Agreement {
	samples, readings := s.of(device)
	a := &Agreement{Seconds: s.window.Duration().Seconds()}
	curve, err := attribute.NewCurve(samples)
	if err != nil {
		a.Reason = err.Error()
		return a
	}
	a.Series = samples[0].Source
	integral, err := curve.Integral(s.window)
	if err != nil {
		a.Reason = err.Error()
		return a
	}
	a.SeriesW = integral.Joules / a.Seconds
	if len(readings) == 0 {
		a.Reason = "no energy counter"
		return a
	}
	counter, err := attribute.Counter(readings, curve, s.window)
	if err != nil {
		a.Reason = err.Error()
		return a
	}
	watts := counter.Joules / a.Seconds
	pct := 100 * (integral.Joules/counter.Joules - 1)
	a.CounterW, a.DifferencePct = &watts, &pct
	return a
}

// agree compares counter and series over an interval, with or without work in it.
func (t *tester) agree(ctx context.Context, seconds float64, work func(*power.Sampler) ([]attribute.Window, error),
	keep func(*Device, *Agreement)) error {
	if work == nil {
		work = func(*power.Sampler) ([]attribute.Window, error) {
			return nil, t.Sleep(ctx, digits.Duration(seconds))
		}
	}
	s, err := t.sample(ctx, time.Second, work)
	if err != nil {
		return err
	}
	for _, d := range t.report.Devices {
		a := s.compare(d.Device)
		d.series = a.Series
		keep(d, a)
		if samples, _ := s.of(d.Device); d.Clock == nil {
			d.Clock = sensor.ClockOf(samples)
		}
		for _, x := range s.trace.Telemetry {
			if x.Device == d.Device && x.Throttle != nil {
				d.Throttled |= *x.Throttle &^ idleBits
			}
		}
		_, readings := s.of(d.Device)
		for _, r := range readings {
			if r.Snapped && r.SinceNS != 0 {
				d.edgeS = max(d.edgeS, float64(r.AfterNS-r.SinceNS)/1e9)
			}
		}
	}
	return nil
}

// idleBits are NVML's clocks event reasons that are not a problem: idle, application clocks, sync boost,
// display clocks.
const idleBits = 0x01 | 0x02 | 0x10 | 0x100
