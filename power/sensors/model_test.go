package sensors

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
)

const epyc = "processor\t: 0\nmodel name\t: AMD EPYC 9654 96-Core Processor\nsiblings\t: 8\ncpu cores\t: 4\n"

func writeProc(t *testing.T, root, cpuinfo, stat string) {
	t.Helper()
	replace(t, filepath.Join(root, "cpuinfo"), cpuinfo)
	replace(t, filepath.Join(root, "stat"), stat)
}

// TestModelIsBounded: the kernel's idle counts may decrease, and power never exceeds the power of all cores.
func TestModelIsBounded(t *testing.T) {
	m := &cpuModel{cores: 4, perCore: 10}
	for share, want := range map[float64]float64{0: 10, 0.5: 25, 1: 40, 1.5: 40} {
		if got := float64(m.power(share)); math.Abs(got-want) > 1e-9 {
			t.Errorf("%g W at %g of the time, want %g", got, share, want)
		}
	}
}

// TestLongestName: if a name contains several processors of the table, the longest match counts.
func TestLongestName(t *testing.T) {
	for _, name := range []string{"EPYC 9374F", "EPYC 9374F with i7-8700K", "i7-8700K, EPYC 9374F"} {
		if got, origin := tdpPerCore(name); got != 320./32 || !strings.Contains(origin, "EPYC 9374F, 320 W") {
			t.Errorf("%s: %g W per core (%s)", name, float64(got), origin)
		}
	}
}

// TestModelFollowsUsableCores: this process may use four threads, which are two cores; the load of other
// threads does not count.
func TestModelFollowsUsableCores(t *testing.T) {
	root, c := t.TempDir(), newManual()
	writeProc(t, root, epyc, "cpu  9 9 9 9\ncpu0 0 0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0\ncpu2 0 0 0 0\ncpu3 0 "+
		"0 0 0\ncpu4 0 0 0 0\nintr 5\n")
	m, err := openModel(modelOptions{ProcRoot: root, CPUs: []int{0, 1, 2, 3}}, powertest.Clocks(c.now))
	if err != nil {
		t.Fatal(err)
	}
	var trace power.Trace
	if err := m.Poll(t.Context(), &trace); err != nil || len(trace.Samples) != 0 {
		t.Errorf("less than a tick: %v, %+v", err, trace.Samples)
	}
	c.pass(time.Second)
	// Busy: user, system, irq, softirq. Idle: idle, iowait, steal; guest is part of user.
	writeProc(t, root, epyc, "cpu  9 9 9 9\ncpu0 50 0 0 50 0 0 0 0 50 0\ncpu1 0 0 40 20 20 5 5 10\ncpu2 0 0 0 "+
		"100\ncpu3 100 0 0 0\ncpu4 100 0 0 0\n")
	if err := m.Poll(t.Context(), &trace); err != nil {
		t.Fatal(err)
	}
	if len(trace.Samples) != 1 {
		t.Fatalf("samples %+v", trace.Samples)
	}
	s := trace.Samples[0]
	utilisation := (50 + 50 + 0 + 100.0) / 400
	want := 2 * 360.0 / 96 * (0.25 + 0.75*utilisation)
	if math.Abs(float64(s.Power)-want) > 1e-9 || s.Window != time.Second || s.Source != "model.cpu" ||
		s.Device != "cpu" {
		t.Errorf("sample %+v, want %.3f W over 1 s", s, want)
	}
	if d := m.Devices()[0]; !d.Modelled || d.Kind != power.CPU {
		t.Errorf("device %+v", d)
	}
	for _, want := range []string{"modelled, not measured", "2 cores", "360 W", "EPYC 9654", "±50 %",
		"0.25 + 0.75 × utilisation"} {
		if !strings.Contains(m.Description(), want) {
			t.Errorf("description %q lacks %q", m.Description(), want)
		}
	}
	if readings, err := m.Counters(t.Context()); len(readings) != 0 || err != nil {
		t.Errorf("the model has a counter: %v, %v", readings, err)
	}
}

func TestModelOfUnknownProcessor(t *testing.T) {
	root := t.TempDir()
	writeProc(t, root, "processor : 0\n", "cpu 1 1 1 1\ncpu0 1 1 1 1\n")
	m, err := openModel(modelOptions{ProcRoot: root, CPUs: []int{0}}, power.SystemClocks())
	if err != nil {
		t.Fatal(err)
	}
	if d := m.Description(); !strings.Contains(d, "8 W") || !strings.Contains(d, "not in the table") {
		t.Errorf("description %q", d)
	}
	_, err = openModel(modelOptions{ProcRoot: root, CPUs: []int{3}}, power.SystemClocks())
	if _, ok := errors.AsType[power.Unavailable](err); !ok {
		t.Errorf("no usable processor: %v", err)
	}
}

// TestOpen: the CPU model is used only if requested, and only without a CPU sensor.
func TestOpen(t *testing.T) {
	bare := t.TempDir()
	writeProc(t, bare, "flags : hypervisor\nvendor_id : GenuineIntel\n"+epyc,
		"cpu 1 1 1 1\ncpu0 1 1 1 1\ncpu1 1 1 1 1\n")
	rapl := newTree(t)
	rapl.zone("intel-rapl:0", "package-0", 1, raplRange)
	for name, c := range map[string]struct {
		opts    Options
		meters  string
		missing string
	}{
		"nothing":     {Options{SysfsRoot: bare}, "", "rapl"},
		"estimate":    {Options{SysfsRoot: bare, Estimate: true}, "model", "rapl"},
		"sensor wins": {Options{SysfsRoot: rapl.root, Estimate: true}, "rapl", ""},
		"disabled":    {Options{SysfsRoot: rapl.root, Only: without("rapl", "nvml")}, "", ""},
		"disabled estimate": {Options{SysfsRoot: bare, Estimate: true, Only: without("model", "rapl", "nvml")}, "",
			""},
	} {
		t.Run(name, func(t *testing.T) {
			c.opts.ProcRoot = bare
			if c.opts.Only == nil {
				c.opts.Only = without("nvml") // independent of this machine's sensors
			}
			meters, missing := Open(t.Context(), c.opts)
			var names, sources []string
			for _, m := range meters {
				names = append(names, m.Name())
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			}
			for _, u := range missing {
				sources = append(sources, u.Source)
			}
			if got := strings.Join(names, " "); got != c.meters {
				t.Errorf("meters %q, want %q", got, c.meters)
			}
			if got := strings.Join(sources, " "); got != c.missing {
				t.Errorf("missing %q, want %q", got, c.missing)
			}
		})
	}
}
