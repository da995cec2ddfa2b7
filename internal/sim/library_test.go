package sim

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// driven is a meter over NVIDIA's driver.
type driven interface {
	power.Meter
	Missing() []power.Unavailable
	Facts() []sensor.GPUFacts
	Calls(device string) []sensor.Call
	Ring(device string) ([]sensor.RingSample, clock.Anchor, error)
	Processes(ctx context.Context) (map[string][]power.GPUProcess, error)
	MemoryUsed(ctx context.Context) (map[string]digits.Bytes, error)
}

// open makes a simulation in virtual time and opens its GPUs through the library.
func open(t *testing.T, gpus ...Sensors) (*File, *Clock, driven) {
	t.Helper()
	c := NewClock()
	f, err := Create(filepath.Join(t.TempDir(), "sim"), Options{GPUs: gpus, BareW: 80, Clock: c, Capacity: 1 << 14})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.detach(); f.Close() })
	t.Setenv(Env, f.Path())
	m, err := openGPUs(t.Context(), library(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return f, c, m.(driven)
}

// TestNeighbour: another process is on the list while it is there, and its power is in
// every reading: of a window, of a filter, and of the counter.
func TestNeighbour(t *testing.T) {
	library(t)
	synctest.Test(t, func(t *testing.T) {
		s := DefaultSensors()
		s.Counter.Jitter = 0
		s.Faults.NeighbourPID, s.Faults.NeighbourWatts = 4242, 150
		s.Faults.NeighbourAfter, s.Faults.NeighbourUntil = 4*time.Second, 6*time.Second
		filtered := s
		filtered.Ring.Filter = 13 * ms
		f, c, m := open(t, s, filtered)
		start := c.Now()
		sampler := power.NewSampler(m)
		sampler.Now = c.Mono
		sampler.Start(t.Context())
		time.Sleep(10 * time.Second)
		trace := sampler.Stop(t.Context())
		if got := f.Neighbour(0, start, c.Now()); got != 300 {
			t.Errorf("the truth is %v J, want 300", got)
		}
		if got := f.Neighbour(0, start+int64(5*time.Second), start+int64(9*time.Second)); got != 150 {
			t.Errorf("the truth of a part is %v J, want 150", got)
		}
		for _, id := range []string{"gpu0", "gpu1"} {
			var sum, most float64
			for _, x := range trace.Samples {
				if x.Device == id {
					sum += (float64(x.Power) - 80) * x.Window.Seconds()
					most = max(most, float64(x.Power))
				}
			}
			var counters []power.Reading
			for _, r := range trace.Counters {
				if r.Device == id {
					counters = append(counters, r)
				}
			}
			first, last := counters[0], counters[len(counters)-1]
			counted := (last.Energy - first.Energy).Joules() - 80*float64(last.BeforeNS-first.BeforeNS)/1e9
			if math.Abs(sum-300) > 2 || math.Abs(most-230) > 0.1 || math.Abs(counted-300) > 10 {
				t.Errorf("%s: ring %v J (at most %v W), counter %v J; want 300 J and 230 W", id, sum, most, counted)
			}
		}
		if len(trace.Processes) != 2 {
			t.Fatalf("processes %+v, want one on each GPU", trace.Processes)
		}
		for _, p := range trace.Processes {
			from, to := time.Duration(p.FirstNS-start), time.Duration(p.LastNS-start)
			if p.PID != 4242 || from < 4*time.Second || from > 5*time.Second || to < 5*time.Second ||
				to > 6*time.Second {
				t.Errorf("%+v: seen from %v to %v, it was there from 4 to 6 s", p, from, to)
			}
		}
	})
}

// TestLibraryIsTheGoModel: the C library and the Go code say the same of one file,
// for the ring and the counter with all their imperfections.
func TestLibraryIsTheGoModel(t *testing.T) {
	library(t)
	synctest.Test(t, func(t *testing.T) {
		s := DefaultSensors()
		s.Seed = 77
		s.Ring.Lag, s.Ring.Phase, s.Ring.Jitter, s.Ring.Noise, s.Ring.Gain, s.Ring.Window = 7*ms, 3*ms, 2*ms, 0.03,
			0.01, 12*ms
		s.Counter.Lag, s.Counter.Phase, s.Counter.Gain = 4*ms, 11*ms, -0.02
		part := s
		part.Seed, part.Counter.PartTime = 78, 25*ms
		f, c, m := open(t, s, part)
		for i := range 400 {
			for gpu := range f.GPUs() {
				f.Append(gpu, c.Now(), 100+400*uniform(5, uint64(gpu), int64(i)))
			}
			time.Sleep(time.Duration(10+i%7) * ms)
		}
		for gpu, id := range []string{"gpu0", "gpu1"} {
			sensors, curve := f.Sensors(gpu), f.Curve(gpu)
			c.Mono()
			ring, anchor, err := m.Ring(id)
			if err != nil {
				t.Fatal(err)
			}
			grid := sensors.ringGrid(f.Epoch())
			last := grid.latest(anchor.MonoNS)
			if len(ring) != int(sensors.Ring.Depth) {
				t.Fatalf("%s: %d entries, want %d", id, len(ring), sensors.Ring.Depth)
			}
			for i, e := range ring {
				k := last - int64(len(ring)-1-i)
				if want := uint64(f.unix(grid.at(k)) / 1000); e.StampUS != want {
					t.Fatalf("%s: entry %d is stamped %d, want %d", id, i, e.StampUS, want)
				}
				if want := sensors.ringWatts(curve, f.Epoch(), k); math.Abs(float64(e.Power)-want) > 0.0006 {
					t.Fatalf("%s: entry %d is %v, want %v W", id, i, e.Power, want)
				}
			}
			for _, call := range m.Calls(id) {
				if call.Source != sensor.SourceEnergy {
					continue
				}
				got, _, err := call.Read()
				k := sensors.counterGrid(f.Epoch()).latest(c.Now())
				if want := sensors.counted(curve, f.Epoch(), k); err != nil || got > want || want-got > 0.0011 {
					t.Errorf("%s: counter %v J, %v; want %v", id, got, err, want)
				}
			}
		}
	})
}

// TestHeldValues: the field sees the end of its period, the average a whole second.
func TestHeldValues(t *testing.T) {
	library(t)
	synctest.Test(t, func(t *testing.T) {
		f, c, m := open(t)
		read := func(source string) (watts float64, stamp int64) {
			t.Helper()
			for _, call := range m.Calls("gpu0") {
				if call.Source == source {
					c.Mono()
					v, us, err := call.Read()
					if err != nil {
						t.Fatal(err)
					}
					return v, int64(us)*1000 - virtualWall - virtualBase
				}
			}
			return 0, 0
		}
		time.Sleep(2050 * ms)
		f.Append(0, c.Now(), 480)
		time.Sleep(49 * ms)
		if w, _ := read(sensor.SourceInstant); w != 80 {
			t.Errorf("instant before its update: %v W", w)
		}
		time.Sleep(11 * ms) // the update at 2.1 s has seen 25 ms at 480 W
		if w, stamp := read(sensor.SourceInstant); w != 480 || stamp != int64(2110*ms) {
			t.Errorf("instant after its update: %v W stamped %v", w, time.Duration(stamp))
		}
		if w, _ := read(sensor.SourceAverage); math.Abs(w-100) > 0.01 { // 50 ms of 1 s
			t.Errorf("average: %v W, want 100", w)
		}
		f.Sensors(0).Instant.HeldStamp = 1
		if _, stamp := read(sensor.SourceInstant); stamp != int64(2100*ms) {
			t.Errorf("held stamp %v", time.Duration(stamp))
		}
	})
}

// TestReadTime: in virtual time a slow call takes virtual time.
func TestReadTime(t *testing.T) {
	library(t)
	synctest.Test(t, func(t *testing.T) {
		s := DefaultSensors()
		s.Counter.ReadTime = 3 * ms
		_, _, m := open(t, s)
		for range 3 {
			r, err := m.Counters(t.Context())
			if err != nil || len(r) != 1 || r[0].AfterNS-r[0].BeforeNS < int64(3*ms) ||
				r[0].AfterNS-r[0].BeforeNS > int64(6*ms) {
				t.Errorf("readings %+v, %v", r, err)
			}
		}
	})
}

// TestState: identity, neighbours, MIG and memory.
func TestState(t *testing.T) {
	library(t)
	synctest.Test(t, func(t *testing.T) {
		mig := DefaultSensors()
		mig.MIG = 1
		f, c, m := open(t, DefaultSensors(), mig)
		if missing := m.Missing(); len(missing) != 1 || !strings.Contains(missing[0].Error(), "MIG") ||
			missing[0].Source != "nvml gpu1" {
			t.Errorf("missing %+v", missing)
		}
		d := m.Devices()
		if len(d) != 1 || d[0].Name != "simulated GPU" || d[0].UUID != f.UUID(0) {
			t.Errorf("devices %+v", d)
		}
		f.occupy(0, 41, 5<<30)
		f.Sensors(0).Faults.NeighbourAfter = time.Second
		f.Sensors(0).Faults.NeighbourPID, f.Sensors(0).Faults.NeighbourBytes = 99, 1<<30
		count := func() (int, float64) {
			c.Mono()
			p, err := m.Processes(t.Context())
			used, memErr := m.MemoryUsed(t.Context())
			if err != nil || memErr != nil {
				t.Fatal(err, memErr)
			}
			return len(p["gpu0"]), float64(used["gpu0"])
		}
		if n, used := count(); n != 1 || used < 5<<30 {
			t.Errorf("%d processes, %v bytes", n, used)
		}
		time.Sleep(1100 * ms)
		if n, used := count(); n != 2 || used < 6<<30 {
			t.Errorf("with a neighbour %d processes, %v bytes", n, used)
		}
		for i, facts := range m.Facts() {
			if facts.MIG == nil || *facts.MIG || facts.PowerLimitW == nil || *facts.PowerLimitW != 700 ||
				len(facts.Missing) != 1 {
				t.Errorf("gpu%d: %+v, missing %v", i, facts, facts.Missing)
			}
		}
	})
}

// TestNoSimulation: without a file the library is a driver that is not loaded.
func TestNoSimulation(t *testing.T) {
	lib := library(t)
	for name, path := range map[string]string{"none": "", "missing": "/nonexistent", "other file": lib} {
		t.Setenv(Env, path)
		if m, err := openGPUs(t.Context(), lib, NewClock()); err == nil {
			m.Close()
			t.Errorf("%s: opened", name)
		} else if !strings.Contains(err.Error(), "not loaded") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
