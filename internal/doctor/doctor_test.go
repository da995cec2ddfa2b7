package doctor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/doctor"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/sim"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/sensors"
)

// pulser is a load on all simulated GPUs: 700 W on, 120 W off.
type pulser struct {
	file  *sim.File
	clock *sim.Clock
	watts float64
}

func (p pulser) Name() string { return "simulated load" }
func (p pulser) Close() error { return nil }

func (p pulser) Devices() (uuids []string) {
	for gpu := range p.file.GPUs() {
		uuids = append(uuids, p.file.UUID(gpu))
	}
	return uuids
}

func (p pulser) draw(watts float64) int64 {
	now := p.clock.Now()
	for gpu := range p.file.GPUs() {
		p.file.Append(gpu, now, watts)
	}
	return now
}

func (p pulser) Pulse(ctx context.Context, pattern []backend.Pulse) ([]backend.Edge, error) {
	var edges []backend.Edge
	for _, q := range pattern {
		if q.On > 0 {
			on := p.draw(p.watts)
			time.Sleep(q.On)
			off := p.draw(120)
			edges = append(edges, backend.Edge{OnNS: on, OffNS: off})
		}
		time.Sleep(q.Off)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return edges, nil
}

// examine runs a whole self-test on a simulated GPU in virtual time.
func examine(t *testing.T, edit func(*sim.Sensors), options func(*doctor.Options)) *doctor.Report {
	t.Helper()
	return examineBy(t, 0, edit, options)
}

// TestMain removes the library that the tests have built.
func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(built.dir)
	os.Exit(code)
}

var built struct {
	sync.Once
	dir, path string
	err       error
}

// imitation is the imitated NVML, compiled once: a process keeps the first that it loads.
func imitation(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		//nolint:usetesting // the library outlives the test that builds it
		if built.dir, built.err = os.MkdirTemp("", "llem-doctor-lib-"); built.err == nil {
			built.path, built.err = sim.Build(context.Background(), built.dir)
		}
	})
	if errors.Is(built.err, sim.ErrUnavailable) {
		t.Skipf("SKIPPED: the imitated driver library needs a C compiler and cgo: %v", built.err)
	}
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// examineBy is examine with a wall clock that jitters.
func examineBy(t *testing.T, jitter time.Duration, edit func(*sim.Sensors),
	options func(*doctor.Options)) *doctor.Report {
	t.Helper()
	return examineCards(t, jitter, 1, func(_ int, s *sim.Sensors) {
		if edit != nil {
			edit(s)
		}
	}, options)
}

// examineCards is examineBy with several cards.
func examineCards(t *testing.T, jitter time.Duration, cards int, edit func(int, *sim.Sensors),
	options func(*doctor.Options)) *doctor.Report {
	t.Helper()
	dir, library := t.TempDir(), imitation(t)
	var report *doctor.Report
	path := filepath.Join(dir, "gpu")
	t.Setenv(sim.Env, path)
	synctest.Test(t, func(t *testing.T) {
		c := sim.NewClock()
		c.Jitter = jitter
		all := make([]sim.Sensors, cards)
		for i := range all {
			card := &all[i]
			*card = sim.DefaultSensors()
			card.Seed += uint64(i)
			card.Ring.Filter, card.Ring.Lag, card.Ring.Noise = 13*time.Millisecond, 5*time.Millisecond, 0.02
			card.Counter.ReadTime = 3 * time.Millisecond
			edit(i, card)
		}
		f, err := sim.Create(path, sim.Options{GPUs: all, BareW: 120, Clock: c})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		meters, missing := sensors.Open(t.Context(),
			sensors.Options{Library: library, Clocks: c.Clocks(), Only: []string{"nvml"}})
		if len(meters) != 1 {
			t.Fatal(missing)
		}
		m := meters[0]
		defer m.Close()
		facts := map[string]sensor.GPUFacts{}
		for i, f := range m.(interface{ Facts() []sensor.GPUFacts }).Facts() {
			facts[fmt.Sprintf("gpu%d", i)] = f
		}
		o := doctor.Options{Meters: []power.Meter{m}, Facts: facts,
			Loads: []func(context.Context) (doctor.Load,
				error){func(context.Context) (doctor.Load, error) { return pulser{f, c, 700}, nil }},
			Now: c.Mono, Sleep: func(ctx context.Context, d time.Duration) error { time.Sleep(d); return ctx.Err() }}
		if options != nil {
			options(&o)
		}
		if report, err = doctor.Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	})
	return report
}

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it):\n%s", path, got)
	}
}

func text(r *doctor.Report) string {
	var b bytes.Buffer
	r.Text(&b)
	return b.String()
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(got >= want-tolerance && got <= want+tolerance) {
		t.Errorf("%s = %v, want %v ± %v", what, got, want, tolerance)
	}
}

// TestGoodSensors: a card like an H200.
func TestGoodSensors(t *testing.T) {
	r := examine(t, nil, nil)
	t.Log("\n" + text(r))
	d := r.Devices[0]
	if r.Unfit() || len(r.Skipped) > 0 {
		t.Errorf("unfit or skipped: %+v", r.Skipped)
	}
	for _, q := range d.Refresh {
		switch q.Source {
		case sensor.SourceEnergy, sensor.SourceInstant:
			near(t, "refresh of "+q.Source, q.MedianMS, 100, 5)
		case sensor.SourceSamples:
			near(t, "refresh of "+q.Source, q.MedianMS, 20, 2)
		}
	}
	if d.Idle == nil || d.Steady == nil || d.Sensor == nil || d.Duty == nil || d.Polling == nil ||
		d.For1PctS == nil || d.PhaseMS == nil {
		t.Fatalf("a test is missing: %+v", d)
	}
	near(t, "idle", *d.Idle.CounterW, 120, 1)
	near(t, "steady", *d.Steady.CounterW, 700, 5)
	near(t, "filter and window in ms", d.Sensor.FilterMS+d.Sensor.WindowMS/2, 13, 2)
	near(t, "delay in ms", d.Sensor.LagMS+d.Sensor.FilterMS+d.Sensor.WindowMS/2, 18, 1)
	if d.Duty.SwingPct > 2 {
		t.Errorf("duty swings by %.1f %%", d.Duty.SwingPct)
	}
	for source, want := range map[string]float64{sensor.SourceInstant: 12.5, sensor.SourceAverage: 500,
		sensor.SourceEnergy: 50} {
		i := slices.IndexFunc(d.Others, func(k doctor.SensorKernel) bool { return k.Source == source })
		if i < 0 {
			t.Errorf("%s was not tested: %+v", source, r.Skipped)
			continue
		}
		k := d.Others[i]
		near(t, "delay of "+source, k.LagMS+k.FilterMS+k.WindowMS/2, want, 3)
	}
	if d.Ring == nil || d.Ring.Entries != 119 || d.Clock == nil {
		t.Errorf("ring %+v, clock %+v", d.Ring, d.Clock)
	}
	near(t, "polling at 20 Hz", d.Polling.ChangePct, 0, 0.5)
	near(t, "polling at 100 Hz", *d.Polling.FastestChangePct, 0, 0.5)
	for _, f := range r.Verdict {
		if f.Level != doctor.Good {
			t.Errorf("a good card gives %+v", f)
		}
	}
}

// TestBadSensors: each fault gives its finding.
func TestBadSensors(t *testing.T) {
	for name, q := range map[string]struct {
		edit   func(*sim.Sensors)
		level  doctor.Level
		want   string
		jitter time.Duration
	}{
		"part-time counter": {func(s *sim.Sensors) { s.Counter.PartTime, s.Counter.Jitter = 25*time.Millisecond, 0 },
			doctor.Warn, "a part of each period", 0},
		"disagreement": {func(s *sim.Sensors) { s.Counter.Gain = 0.2 }, doctor.Fail, "neither can be trusted", 0},
		"slight":       {func(s *sim.Sensors) { s.Counter.Gain = 0.05 }, doctor.Warn, "differ by", 0},
		"throttled": {func(s *sim.Sensors) { s.Faults.ThrottleAfter, s.Faults.ThrottleReasons = 1, 0x20 },
			doctor.Warn, "software thermal slowdown", 0},
		"power limit": {func(s *sim.Sensors) { s.Faults.ThrottleAfter, s.Faults.ThrottleReasons = 1, 0x4 },
			doctor.Good, "as intended", 0},
		"neighbour": {func(s *sim.Sensors) {
			s.Faults.NeighbourAfter, s.Faults.NeighbourPID, s.Faults.NeighbourBytes = 1, 4242, 1<<30
		}, doctor.Warn, "4242", 0},
		"no counter": {func(s *sim.Sensors) { s.Counter.Refresh, s.Counter.Jitter = 0, 0 }, doctor.Warn,
			"no energy counter", 0},
		"persistence": {func(s *sim.Sensors) { s.NotPersistent = 1 }, doctor.Warn, "persistence mode is off", 0},
		"capped": {func(s *sim.Sensors) { s.PowerLimitMW = 500_000 }, doctor.Warn,
			"500 W, below the default of 700 W", 0},
		"shallow ring":    {func(s *sim.Sensors) { s.Ring.Depth = 26 }, doctor.Warn, "holds only 0.5 s", 0},
		"jittering clock": {nil, doctor.Warn, "the wall clock jitters by 1.", 2400 * time.Microsecond},
		"disturbed": {func(s *sim.Sensors) { s.Counter.ReadJoules = 1 }, doctor.Warn,
			"reading the counter 100 times a second instead of once changes it by +1", 0},
		"disturbed little": {func(s *sim.Sensors) { s.Counter.ReadJoules = 0.2 }, doctor.Warn,
			"reading the counter 100 times a second instead of once changes it by +", 0},
	} {
		if testing.Short() && !slices.Contains([]string{"part-time counter", "neighbour", "no counter",
			"disturbed"}, name) {
			continue // the same goroutines, with another number in the card
		}
		t.Run(name, func(t *testing.T) {
			r := examineBy(t, q.jitter, q.edit, nil)
			for _, f := range r.Verdict {
				if f.Level == q.level && strings.Contains(f.Message, q.want) {
					return
				}
			}
			t.Errorf("no finding %s %q in:\n%s", q.level, q.want, text(r))
		})
	}
}

// TestPowerLimitIsNoFault: a card at full load reaches its limit, without a warning.
func TestPowerLimitIsNoFault(t *testing.T) {
	r := examine(t, func(s *sim.Sensors) { s.Faults.ThrottleAfter, s.Faults.ThrottleReasons = 1, 0x4 }, nil)
	if r.Devices[0].Throttled != 0x4 {
		t.Errorf("throttled 0x%x, want 0x4", r.Devices[0].Throttled)
	}
	for _, f := range r.Verdict {
		if f.Level != doctor.Good {
			t.Errorf("finding %+v", f)
		}
	}
}

// TestHistogram: the distances of changes lie in the bins of the sensor's refresh, and
// every one is counted.
func TestHistogram(t *testing.T) {
	r := examine(t, func(s *sim.Sensors) {
		s.Instant.Refresh, s.Instant.Noise = 50*time.Millisecond, 0.02
		s.Counter.Jitter = 0
	}, func(o *doctor.Options) { o.Quick = true })
	want := map[string][2]float64{sensor.SourceSamples: {13, 32}, sensor.SourceInstant: {42, 56},
		sensor.SourceEnergy: {75, 130}}
	for _, q := range r.Devices[0].Refresh {
		limits, ok := want[q.Source]
		if !ok {
			continue
		}
		delete(want, q.Source)
		n := 0
		for _, b := range q.Histogram {
			if n += b.Count; b.FromMS < limits[0] || b.ToMS > limits[1] {
				t.Errorf("%s: %d distances of %g to %g ms", q.Source, b.Count, b.FromMS, b.ToMS)
			}
		}
		if n == 0 || n != q.Changes-1 {
			t.Errorf("%s: %d distances in the histogram of %d changes: %+v", q.Source, n, q.Changes, q.Histogram)
		}
	}
	if len(want) > 0 {
		t.Errorf("no histogram of %v", want)
	}
}

// TestWithoutALoad: what needs one is skipped with the reason.
func TestWithoutALoad(t *testing.T) {
	for name, q := range map[string]struct {
		edit func(*doctor.Options)
		want string
	}{
		"none":  {func(o *doctor.Options) { o.Loads, o.NoLoad = nil, "there is no torch" }, "there is no torch"},
		"quick": {func(o *doctor.Options) { o.Quick = true }, "--quick"},
		"broken": {func(o *doctor.Options) {
			o.Loads[0] = func(context.Context) (doctor.Load, error) {
				return nil, note.Failf(codes.ClassNoDevice, "install the driver", "CUDA is gone")
			}
		}, "CUDA is gone"},
	} {
		r := examine(t, nil, q.edit)
		if len(r.Skipped) != 1 || !strings.Contains(r.Skipped[0].Message, q.want) || r.Devices[0].Idle == nil ||
			r.Devices[0].Sensor != nil {
			t.Errorf("%s: skipped %+v, want %q", name, r.Skipped, q.want)
		}
	}
}

// TestText prints what an H200 gave.
func TestText(t *testing.T) {
	b, err := os.ReadFile("testdata/h200.json")
	if err != nil {
		t.Fatal(err)
	}
	var r doctor.Report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	golden(t, "h200.txt", text(&r))
}

// TestNoSensors is the plain machine: each sensor that cannot be read is named, with the reason and a next step.
func TestNoSensors(t *testing.T) {
	r, err := doctor.Run(t.Context(), doctor.Options{Missing: []power.Unavailable{
		sensor.NoSensor("rapl", "no permission", "chmod"), sensor.NoSensor("hwmon", "no GPU", "")}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `
Verdict
  fail  no power or energy sensor can be read on this machine: energy will not be measured
        next: make one of the sensors below readable, or model the CPU's power with llem run --estimate

Sensors that cannot be read
  rapl: no permission
        next: chmod
  hwmon: no GPU
        next: no step is known to help: use another sensor, or llem run --estimate to model the CPU's power
`
	if out := text(r); !r.Unfit() || out != want {
		t.Errorf("report:\n%s\nwant:\n%s", out, want)
	}
}

// TestCached: a report is found for its card and driver, for a while.
func TestCached(t *testing.T) {
	dir := t.TempDir()
	r := &doctor.Report{When: time.Now(),
		Devices: []*doctor.Device{{Device: "gpu0", UUID: "GPU-1",
			Sensor: &doctor.SensorKernel{Source: "nvml.samples", FilterMS: 13}}}}
	if err := r.Save(dir, func(string) string { return "GPU-1-580.1" }); err != nil {
		t.Fatal(err)
	}
	got := doctor.Cached(dir, "GPU-1-580.1", time.Now())
	if got == nil || *got.Profiles()["gpu0"].Source("nvml.samples").FilterMS != 13 {
		t.Fatalf("cached report: %+v", got)
	}
	for what, absent := range map[string]*doctor.Report{
		"another card":   doctor.Cached(dir, "GPU-2-580.1", time.Now()),
		"another driver": doctor.Cached(dir, "GPU-1-590.1", time.Now()),
		"two months on":  doctor.Cached(dir, "GPU-1-580.1", time.Now().Add(60*24*time.Hour)),
	} {
		if absent != nil {
			t.Errorf("%s: a report was found", what)
		}
	}
	for _, spoilt := range []string{`{"devices":[null]}`, `[]`, `{"when":`} {
		text := strings.Replace(spoilt, "{", `{"when":"`+time.Now().UTC().Format(time.RFC3339)+`",`, 1)
		if err := os.WriteFile(filepath.Join(dir, "doctor", "GPU-1-580.1.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := doctor.Cached(dir, "GPU-1-580.1", time.Now()); got != nil {
			t.Errorf("spoilt by %s: %+v", spoilt, got)
		}
	}
	var b bytes.Buffer
	if err := r.JSON(&b); err != nil || !json.Valid(b.Bytes()) {
		t.Errorf("JSON: %v", err)
	}
}

// TestKeptWithoutLoad: a quick report is kept too, and does not hide a full one.
func TestKeptWithoutLoad(t *testing.T) {
	dir, key := t.TempDir(), func(string) string { return "k" }
	at := time.Now().Add(-time.Hour)
	full := &doctor.Report{When: at,
		Devices: []*doctor.Device{{Device: "package-0", Sensor: &doctor.SensorKernel{Source: "rapl"}}}}
	quick := &doctor.Report{When: at.Add(time.Minute), Devices: []*doctor.Device{{Device: "package-0"}}}
	if err := quick.Save(dir, key); err != nil {
		t.Fatal(err)
	}
	if got := doctor.Cached(dir, "k", time.Now()); got == nil || got.Devices[0].Sensor != nil {
		t.Errorf("after a quick test: %+v", got)
	}
	if err := errors.Join(full.Save(dir, key), quick.Save(dir, key)); err != nil {
		t.Fatal(err)
	}
	if got := doctor.Cached(dir, "k", time.Now()); got == nil || got.Devices[0].Sensor == nil {
		t.Errorf("after a full and a quick test: %+v", got)
	}
}

// TestMerge: one report of several, each with the part on its own device, under the
// name that the device has now.
func TestMerge(t *testing.T) {
	older := &doctor.Report{When: time.Unix(1e9, 0), Loads: []string{"matrix products"}, Devices: []*doctor.Device{
		{Device: "gpu0", UUID: "GPU-a", Sensor: &doctor.SensorKernel{Source: "nvml.samples", FilterMS: 13}},
		{Device: "gpu1", UUID: "GPU-b"}},
		Verdict: []doctor.Finding{{Level: doctor.Warn, Device: "gpu0", Note: note.Note{Message: "about a"}},
			{Level: doctor.Good, Device: "gpu1", Note: note.Note{Message: "about b"}}}}
	newer := &doctor.Report{When: time.Unix(2e9, 0), Devices: []*doctor.Device{{Device: "package-0"}},
		Skipped: []doctor.Skipped{{Test: "pulses", Note: note.Note{Message: "--quick"}}},
		Missing: []power.Unavailable{{Source: "perf", Note: note.Note{Message: "no"}}}}
	devices := []power.Device{{ID: "gpu3", UUID: "GPU-a"}, {ID: "package-0"}, {ID: "amd0", UUID: "0000:01:00.0"}}
	r := doctor.Merge(devices, map[string]*doctor.Report{"gpu3": older, "package-0": newer})
	if len(r.Devices) != 2 || r.Devices[0].Device != "gpu3" || !r.Devices[0].When.Equal(older.When) ||
		r.Devices[1].Device != "package-0" || !r.When.Equal(newer.When) {
		t.Errorf("devices %+v", r.Devices)
	}
	if len(r.Verdict) != 1 || r.Verdict[0].Device != "gpu3" || r.Verdict[0].Message != "about a" || len(r.Loads) != 1 ||
		len(r.Missing) != 1 {
		t.Errorf("report %+v", r)
	}
	if len(r.Skipped) != 2 || r.Skipped[1].Test != "all tests of amd0" || r.Skipped[1].Next != "llem doctor" {
		t.Errorf("skipped %+v", r.Skipped)
	}
	if p := r.Profiles()["gpu3"]; p == nil || p.Device != "gpu3" || !p.When.Equal(older.When) ||
		*p.Source("nvml.samples").FilterMS != 13 {
		t.Errorf("profile %+v", p)
	}
	if older.Devices[0].Device != "gpu0" || doctor.Merge(devices, nil) != nil {
		t.Error("a report was changed, or made of nothing")
	}
}

// TestSpin: the pulses of the processor load are where they should be.
func TestSpin(t *testing.T) {
	s := doctor.Spin{Cores: 1, Now: clock.Mono,
		Sleep: func(_ context.Context, d time.Duration) error { time.Sleep(d); return nil }}
	edges, err := s.Pulse(t.Context(),
		[]backend.Pulse{{Off: 5 * time.Millisecond}, {On: 10 * time.Millisecond, Off: 5 * time.Millisecond},
			{On: 10 * time.Millisecond}})
	if err != nil || len(edges) != 2 {
		t.Fatalf("edges %v, %v, want two", edges, err)
	}
	for i, e := range edges {
		if e.OffNS <= e.OnNS || i > 0 && e.OnNS < edges[i-1].OffNS {
			t.Errorf("edge %d: %+v after %+v", i, e, edges[max(0, i-1)])
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(10*time.Millisecond, func() { cancel(errors.New("enough")) })
	if _, err := s.Pulse(ctx, []backend.Pulse{{On: time.Hour}}); err == nil || err.Error() != "enough" {
		t.Errorf("ended in a pulse: %v", err)
	}
	if _, err := s.Pulse(ctx, []backend.Pulse{{On: time.Millisecond}}); err == nil || err.Error() != "enough" {
		t.Errorf("after the end: %v", err)
	}
}

// varying is a load whose power differs from train to train.
type varying struct {
	pulser
	rng *rand.Rand
}

func (v varying) Pulse(ctx context.Context, pattern []backend.Pulse) ([]backend.Edge, error) {
	v.watts = 700
	if len(pattern) > 2 && len(pattern) < 50 {
		v.watts *= 1 + 0.06*v.rng.NormFloat64()
	}
	return v.pulser.Pulse(ctx, pattern)
}

// TestSweptPulses: a counter that sees a part of its period is found at any period,
// and a load that varies is not mistaken for one.
func TestSweptPulses(t *testing.T) {
	for name, q := range map[string]struct {
		refresh, seen time.Duration
		vary          bool
		want          string
	}{
		"all of 97.3 ms":    {97300 * time.Microsecond, 0, false, "the whole time"},
		"all of 103.7 ms":   {103700 * time.Microsecond, 0, false, "the whole time"},
		"half of 103.7 ms":  {103700 * time.Microsecond, 50 * time.Millisecond, false, "a part of each period"},
		"25 ms of 103.7 ms": {103700 * time.Microsecond, 25 * time.Millisecond, false, "a part of each period"},
		"25 ms of 97.3 ms":  {97300 * time.Microsecond, 25 * time.Millisecond, false, "a part of each period"},
		"load varies":       {100 * time.Millisecond, 0, true, "the load itself varies"},
	} {
		if testing.Short() && name != "half of 103.7 ms" && name != "load varies" {
			continue // the same goroutines, with another period
		}
		t.Run(name, func(t *testing.T) {
			r := examine(t, func(s *sim.Sensors) {
				s.Counter.Refresh, s.Counter.PartTime,
					s.Counter.Jitter = q.refresh, q.seen, 0
			}, func(o *doctor.Options) {
				start := o.Loads[0]
				o.Loads[0] = func(ctx context.Context) (doctor.Load, error) {
					l, err := start(ctx)
					if q.vary {
						l = varying{l.(pulser), rand.New(rand.NewPCG(3, 4))}
					}
					return l, err
				}
			})
			if out := text(r); !strings.Contains(out, q.want) {
				t.Errorf("duty %+v, no %q in:\n%s", r.Devices[0].Duty, q.want, out)
			}
		})
	}
}

// TestEightCards: the cards of a node are tested side by side, so eight take little longer than one, and the one that
// differs is named.
func TestEightCards(t *testing.T) {
	if testing.Short() {
		t.Skip("eight simulated cards")
	}
	for name, q := range map[string]struct {
		cards, odd int
		gain       float64
		want       []string
	}{
		"one of eight": {8, 5, 0.08,
			[]string{"gpu5: 756 W under the load, 700 W for 7 others of its kind (median): +8.0 %"}},
		"within the gain":   {8, 5, 0.04, nil},
		"less than another": {2, 0, 0.1, []string{"gpu1: 700 W under the load, 770 W for the other one of its kind"}},
	} {
		t.Run(name, func(t *testing.T) {
			var began, ended time.Time // of the bubble
			r := examineCards(t, 0, q.cards, func(i int, s *sim.Sensors) {
				s.Counter.Jitter = 0
				if i == q.odd {
					s.Counter.Gain, s.Ring.Gain = q.gain, q.gain
				}
			}, func(o *doctor.Options) {
				began = time.Now()
				say := o.Say
				o.Say = func(text string) {
					ended = time.Now()
					if say != nil {
						say(text)
					}
				}
			})
			t.Logf("the last test began after %v", ended.Sub(began))
			if took := ended.Sub(began); took > 4*time.Minute || took < time.Minute {
				t.Errorf("the last test began after %v", took)
			}
			var found []string
			for _, f := range r.Verdict {
				if f.Code == codes.CardDiffers {
					found = append(found, f.Device+": "+f.Message)
				}
			}
			if len(found) != len(q.want) {
				t.Fatalf("%q, want %q", found, q.want)
			}
			for i, want := range q.want {
				if !strings.HasPrefix(found[i], want) {
					t.Errorf("%q, want %q", found[i], want)
				}
			}
			for _, d := range r.Devices {
				if d.Sensor == nil || d.Duty == nil || d.Polling == nil || d.Steady == nil {
					t.Errorf("%s was not tested in full: %+v", d.Device, r.Skipped)
				}
			}
		})
	}
}

// TestNothingToSweep: a counter faster than any load is not said to be tested.
func TestNothingToSweep(t *testing.T) {
	r := examine(t, func(s *sim.Sensors) { s.Counter.Refresh, s.Counter.Jitter = 2*time.Millisecond, 0 }, nil)
	if r.Devices[0].Duty != nil || len(r.Skipped) != 1 || !strings.Contains(r.Skipped[0].Test, "duty") {
		t.Errorf("duty %+v, skipped %+v", r.Devices[0].Duty, r.Skipped)
	}
}
