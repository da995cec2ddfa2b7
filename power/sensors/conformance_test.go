package sensors

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
	"github.com/llenergymeasure/llem/unit"
)

// bubbleClock returns CLOCK_MONOTONIC of a synctest bubble.
func bubbleClock() func() int64 {
	base := time.Now()
	return func() int64 { return int64(time.Since(base)) + int64(time.Hour) }
}

func TestRAPLConforms(t *testing.T) {
	powertest.Run(t, func(t *testing.T) powertest.Subject {
		now := bubbleClock()
		opened := now()
		tree := newTree(t)
		tree.zone("intel-rapl:0", "package-0", 262_143_000_000-500_000_000, 262_143_000_000) // wraps on the way
		tree.zone("intel-rapl:0:0", "dram", 100, 65_712_999_613)
		tree.advance(t, 200, 5*time.Millisecond)
		m, err := openRAPL(roots{SysfsRoot: tree.root}, powertest.Clocks(now))
		if err != nil {
			t.Fatal(err)
		}
		return powertest.Subject{Meter: m, Now: now, OpenedNS: opened, Power: 200}
	})
}

func TestPerfConforms(t *testing.T) {
	powertest.Run(t, func(t *testing.T) powertest.Subject {
		now := bubbleClock()
		opened := now()
		m, err := openFakePerf(t, 200, now)
		if err != nil {
			t.Fatal(err)
		}
		return powertest.Subject{Meter: m, Now: now, OpenedNS: opened, Power: 200}
	})
}

func TestRemoteConforms(t *testing.T) {
	powertest.Run(t, func(t *testing.T) powertest.Subject {
		now := bubbleClock()
		opened := now()
		m, err := openFakeRemote(t, 500, now)
		if err != nil {
			t.Fatal(err)
		}
		return powertest.Subject{Meter: m, Now: now, OpenedNS: opened, Power: 500, NoCounter: true}
	})
}

// TestHwmonPowerConforms: AMD and Grace sensors report power but no energy.
func TestHwmonPowerConforms(t *testing.T) {
	powertest.Run(t, func(t *testing.T) powertest.Subject {
		now := bubbleClock()
		opened := now()
		s := newSysfs(t)
		s.write(s.card(0, amd, "0000:03:00.0", "amdgpu")+"/power1_average", "200000000")
		s.grace(1, "Grace Power Socket 0", 200)
		m, err := openHwmon(roots{SysfsRoot: s.root, ProcRoot: s.root}, powertest.Clocks(now))
		if err != nil {
			t.Fatal(err)
		}
		return powertest.Subject{Meter: m, Now: now, OpenedNS: opened, Power: 200, NoCounter: true}
	})
}

// TestHwmonEnergyConforms: Intel sensors report energy, and power as its differences.
func TestHwmonEnergyConforms(t *testing.T) {
	powertest.Run(t, func(t *testing.T) powertest.Subject {
		now := bubbleClock()
		opened := now()
		s := newSysfs(t)
		path := s.write(s.card(0, intel, "0000:03:00.0", "xe")+"/energy1_input", "7000000")
		const step = 5 * time.Millisecond
		every(t, step, func() { s.add(path, uint64(unit.Watts(200).For(step))) })
		m, err := openHwmon(roots{SysfsRoot: s.root, ProcRoot: s.root}, powertest.Clocks(now))
		if err != nil {
			t.Fatal(err)
		}
		return powertest.Subject{Meter: m, Now: now, OpenedNS: opened, Power: 200}
	})
}

func TestModelConforms(t *testing.T) {
	powertest.Run(t, func(t *testing.T) powertest.Subject {
		now := bubbleClock()
		opened := now()
		root := t.TempDir()
		start := now()
		write := func() {
			ticks := (now() - start) / 1e7
			text := fmt.Sprintf("cpu  0 0 0 0\ncpu0 %d 0 0 %d 0 0 0 0 0 0\nintr 1\n", ticks, ticks)
			replace(t, filepath.Join(root, "stat"), text)
		}
		write()
		replace(t, filepath.Join(root, "cpuinfo"), "model name\t: Imagined\n")
		every(t, 10*time.Millisecond, write)
		m, err := openModel(modelOptions{ProcRoot: root, CPUs: []int{0}}, powertest.Clocks(now))
		if err != nil {
			t.Fatal(err)
		}
		return powertest.Subject{Meter: m, Now: now, OpenedNS: opened, NoCounter: true}
	})
}

// TestSensorsOfThisMachineConform runs the suite on the sensors that can be read here.
func TestSensorsOfThisMachineConform(t *testing.T) {
	if testing.Short() {
		t.Skip("takes twenty seconds per family of sensors")
	}
	meters, missing := Open(t.Context(), Options{})
	for _, u := range missing {
		t.Logf("not readable here: %v", u)
	}
	if len(meters) == 0 {
		t.Skip("no sensors here")
	}
	for _, m := range meters {
		name := m.Name()
		if err := m.Close(); err != nil {
			t.Errorf("Close %s: %v", name, err)
		}
		t.Run(name, func(t *testing.T) {
			powertest.RunReal(t, func(t *testing.T) powertest.Subject {
				return powertest.Subject{OpenedNS: clock.Mono(), Meter: only(t, name), Now: clock.Mono}
			})
		})
	}
}

// only opens one family.
func only(t *testing.T, family string) power.Meter {
	t.Helper()
	meters, _ := Open(t.Context(), Options{})
	var found power.Meter
	for _, m := range meters {
		if m.Name() == family {
			found = m
		} else if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if found == nil {
		t.Fatalf("%s cannot be opened again", family)
	}
	return found
}

// tree is a powercap tree. It is created at run time because its names contain colons, which file names in a
// Go module must not.
type tree struct {
	t     testing.TB
	root  string
	zones []*zoneFile
}

type zoneFile struct {
	dir         string
	value, wrap uint64
}

func newTree(t testing.TB) *tree { return &tree{t: t, root: t.TempDir()} }

// zone adds a zone; with wrap 0 it has no range file.
func (x *tree) zone(dir, name string, value, wrap uint64) *zoneFile {
	x.t.Helper()
	z := &zoneFile{dir: filepath.Join(x.root, "class", "powercap", dir), value: value, wrap: wrap}
	if err := os.MkdirAll(z.dir, 0o755); err != nil {
		x.t.Fatal(err)
	}
	replace(x.t, filepath.Join(z.dir, "name"), name+"\n")
	if wrap > 0 {
		replace(x.t, filepath.Join(z.dir, "max_energy_range_uj"), fmt.Sprintln(wrap))
	}
	z.write(x.t)
	x.zones = append(x.zones, z)
	return z
}

func (z *zoneFile) write(t testing.TB) {
	t.Helper()
	replace(t, filepath.Join(z.dir, "energy_uj"), fmt.Sprintln(z.value))
}

// add advances the counter, with wrap-around.
func (z *zoneFile) add(t testing.TB, e unit.Energy) {
	t.Helper()
	z.value += uint64(e)
	if z.wrap > 0 && z.value > z.wrap {
		z.value -= z.wrap
	}
	z.write(t)
}

// advance adds constant power to every zone until the test ends.
func (x *tree) advance(t *testing.T, power unit.Watts, step time.Duration) {
	every(t, step, func() {
		for _, z := range x.zones {
			z.add(t, power.For(step))
		}
	})
}

// every calls f periodically from a goroutine until the test ends.
func every(t *testing.T, step time.Duration, f func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(step)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				f()
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// replace writes a file atomically, so that a reader never sees half of it.
func replace(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Error(err)
		return
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Error(err)
	}
}
