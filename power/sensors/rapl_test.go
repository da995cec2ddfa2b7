package sensors

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
	"github.com/llenergymeasure/llem/unit"
)

const raplRange = 262_143_328_850 // µJ, of a common Xeon

// manual is a clock that a test advances.
type manual struct{ ns int64 }

func newManual() *manual { return &manual{ns: int64(time.Hour)} }

func (m *manual) now() int64 { return m.ns }

func (m *manual) pass(d time.Duration) { m.ns += int64(d) }

func openTree(t *testing.T, x *tree, c *manual) *raplMeter {
	t.Helper()
	m, err := openRAPL(roots{SysfsRoot: x.root}, powertest.Clocks(c.now))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func ids(m power.Meter) []string {
	var list []string
	for _, d := range m.Devices() {
		list = append(list, d.ID)
	}
	return list
}

// TestRAPLDevices: two sockets, each also reachable through MMIO; psys, core and uncore overlap with the
// counted zones.
func TestRAPLDevices(t *testing.T) {
	x := newTree(t)
	for _, z := range []struct{ dir, name string }{
		{"intel-rapl:0", "package-0"}, {"intel-rapl:0:0", "core"}, {"intel-rapl:0:1", "uncore"}, {"intel-rapl:0:2",
			"dram"},
		{"intel-rapl:1", "package-1"}, {"intel-rapl:1:0", "dram"}, {"intel-rapl:2", "psys"},
		{"intel-rapl-mmio:0", "package-0"}, {"intel-rapl-mmio:0:0", "dram"},
		{"intel-rapl:10", "package-10-die-1"}, {"intel-rapl:10:0", "dram"},
		{"dtpm:0", "package-99"},
	} {
		x.zone(z.dir, z.name, 1, raplRange)
	}
	got := ids(openTree(t, x, newManual()))
	want := []string{"package-0", "package-1", "package-10-die-1", "dram-0", "dram-1", "dram-10-die-1"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("devices %v, want %v", got, want)
	}
}

// TestRAPLWithoutDRAM: the cores of a package are not mistaken for its memory.
func TestRAPLWithoutDRAM(t *testing.T) {
	x := newTree(t)
	x.zone("intel-rapl:0", "package-0", 1, raplRange)
	x.zone("intel-rapl:0:0", "core", 1, raplRange)
	if got := ids(openTree(t, x, newManual())); !slices.Equal(got, []string{"package-0"}) {
		t.Errorf("devices %v, want only the package", got)
	}
}

func TestRAPLTakesMMIOWhereNothingElseIs(t *testing.T) {
	x := newTree(t)
	x.zone("intel-rapl-mmio:0", "package-0", 1, raplRange)
	if got := ids(openTree(t, x, newManual())); !slices.Equal(got, []string{"package-0"}) {
		t.Errorf("devices %v", got)
	}
}

// TestRAPLReadsTheMSRZone: the MSR and MMIO zones of a package are different files.
func TestRAPLReadsTheMSRZone(t *testing.T) {
	x := newTree(t)
	x.zone("intel-rapl-mmio:0", "package-0", 5, raplRange)
	x.zone("intel-rapl:0", "package-0", 7, raplRange)
	readings, err := openTree(t, x, newManual()).Counters(t.Context())
	if err != nil || len(readings) != 1 || readings[0].Energy != 7 {
		t.Errorf("Counters = %+v, %v; want 7 µJ", readings, err)
	}
}

func TestRAPLKeepsReadableZones(t *testing.T) {
	x := newTree(t)
	x.zone("intel-rapl:0", "package-0", 1, 0) // no range: only wrap-arounds are lost
	dram := x.zone("intel-rapl:0:0", "dram", 1, raplRange)
	if err := os.Remove(filepath.Join(dram.dir, "energy_uj")); err != nil {
		t.Fatal(err)
	}
	m := openTree(t, x, newManual())
	if got := ids(m); !slices.Equal(got, []string{"package-0"}) {
		t.Errorf("devices %v", got)
	}
	if missing := m.Missing(); len(missing) != 1 || missing[0].Source != "rapl dram-0" {
		t.Errorf("missing %+v", missing)
	}
}

func TestRAPLCountsAcrossWrapArounds(t *testing.T) {
	x, c := newTree(t), newManual()
	z := x.zone("intel-rapl:0", "package-0", raplRange-uint64(25*unit.Joule), raplRange)
	m := openTree(t, x, c)
	first, err := m.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var trace power.Trace
	for range 10 { // 10 J each, wrapping in the third
		if err := m.Poll(t.Context(), &trace); err != nil {
			t.Error(err)
		}
		c.pass(50 * time.Millisecond)
		z.add(t, 10*unit.Joule)
	}
	last, err := m.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := last[0].Energy - first[0].Energy; got != 100*unit.Joule {
		t.Errorf("counted %v, want 100 J", got)
	}
	if len(trace.Samples) != 9 || len(trace.Gaps) != 0 {
		t.Errorf("%d samples, gaps %v", len(trace.Samples), trace.Gaps)
	}
	for _, s := range trace.Samples {
		if s.Power < 199.99 || s.Power > 200.01 || s.Window != 50*time.Millisecond || s.Source != "rapl" {
			t.Errorf("sample %+v, want 200 W over 50 ms", s)
		}
	}
}

// TestRAPLRefusesImplausibleCounters: a reset, an unknown wrap and a jump are errors with a gap; the series
// then continues without a zero.
func TestRAPLRefusesImplausibleCounters(t *testing.T) {
	for name, c := range map[string]struct {
		value, wrap, next uint64
		pause             time.Duration
		want              string
	}{
		"reset":         {raplRange / 2, raplRange, 0, 50 * time.Millisecond, "went backwards"},
		"no range":      {1e9, 0, 5, 50 * time.Millisecond, "went backwards"},
		"above range":   {raplRange + 5, raplRange, 5, 50 * time.Millisecond, "went backwards"},
		"jump":          {0, raplRange, 1e9, 50 * time.Millisecond, "more than any package draws"},
		"long interval": {1e9, raplRange, 2e9, 10 * time.Minute, "more than once"},
	} {
		t.Run(name, func(t *testing.T) {
			x, clk := newTree(t), newManual()
			z := x.zone("intel-rapl:0", "package-0", c.value, c.wrap)
			m := openTree(t, x, clk)
			if err := m.Poll(t.Context(), new(power.Trace)); err != nil {
				t.Fatal(err)
			}
			before := clk.now()
			clk.pass(c.pause)
			z.value = c.next
			z.write(t)
			// The counter is read first; the next poll must report the gap.
			if _, err := m.Counters(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Counters: %v, want %q", err, c.want)
			}
			var trace power.Trace
			for range 3 {
				clk.pass(50 * time.Millisecond)
				z.add(t, 5*unit.Joule)
				if err := m.Poll(t.Context(), &trace); err != nil {
					t.Error(err)
				}
			}
			if len(trace.Gaps) != 1 || trace.Gaps[0].StartNS != before || trace.Gaps[0].Source != "rapl" {
				t.Errorf("gaps %+v", trace.Gaps)
			}
			if len(trace.Samples) != 2 {
				t.Fatalf("samples %+v", trace.Samples)
			}
			for _, s := range trace.Samples {
				if s.Power < 99.9 || s.Power > 100.1 {
					t.Errorf("sample %+v, want 100 W", s)
				}
			}
		})
	}
}

// TestRAPLReadErrorLosesNoEnergy: the next difference covers the time of the error.
func TestRAPLReadErrorLosesNoEnergy(t *testing.T) {
	x, c := newTree(t), newManual()
	z := x.zone("intel-rapl:0", "package-0", 0, raplRange)
	m := openTree(t, x, c)
	var trace power.Trace
	step := func(ok bool) {
		t.Helper()
		c.pass(50 * time.Millisecond)
		z.add(t, 5*unit.Joule)
		if !ok {
			replace(t, filepath.Join(z.dir, "energy_uj"), "\n")
		}
		if err := m.Poll(t.Context(), &trace); (err == nil) != ok {
			t.Errorf("Poll: %v", err)
		}
	}
	step(true)
	step(true)
	step(false)
	step(true)
	if n := len(trace.Samples); n != 2 || trace.Samples[1].Window != 100*time.Millisecond ||
		trace.Samples[1].Power != 100 {
		t.Errorf("samples %+v", trace.Samples)
	}
}

func TestRAPLSaysWhyThereAreNoZones(t *testing.T) {
	for name, c := range map[string]struct {
		cpuinfo string
		listed  bool
		want    string
		fix     string
	}{
		"virtual machine": {"vendor_id\t: GenuineIntel\nflags\t\t: fpu hypervisor sse\n", false, "virtual machine",
			"on the host"},
		"no module": {"vendor_id\t: GenuineIntel\nflags\t\t: fpu sse\n", false, "module is not loaded",
			"sudo modprobe intel_rapl_msr"},
		"AMD": {"vendor_id\t: AuthenticAMD\nflags\t\t: fpu sse\n", false, "module is not loaded",
			"sudo modprobe intel_rapl_msr"},
		"Arm": {"CPU implementer\t: 0x41\n", false, "no RAPL", ""},
		"masked": {"vendor_id\t: GenuineIntel\nflags\t\t: fpu hypervisor\n", true, "hides the RAPL zones",
			"systempaths=unconfined"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			replace(t, filepath.Join(root, "cpuinfo"), c.cpuinfo)
			if c.listed { // the class lists the zones, their targets are masked
				class := filepath.Join(root, "class", "powercap")
				if err := os.MkdirAll(class, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink("../../devices/virtual/powercap/intel-rapl:0",
					filepath.Join(class, "intel-rapl:0")); err != nil {
					t.Fatal(err)
				}
			}
			_, err := openRAPL(roots{SysfsRoot: root, ProcRoot: root}, power.SystemClocks())
			u, ok := errors.AsType[power.Unavailable](err)
			if !ok || u.Source != "rapl" || !strings.Contains(u.Message, c.want) || !strings.Contains(u.Next, c.fix) {
				t.Errorf("error %#v, want %q and fix %q", err, c.want, c.fix)
			}
		})
	}
}

func TestRAPLPermission(t *testing.T) {
	u := zoneUnreadable(raplFound{device: power.Device{ID: "package-0"}, dir: "/sys/class/powercap/intel-rapl:0"},
		os.ErrPermission)
	for _, want := range []string{"sudo chmod a+r /sys/class/powercap/intel-rapl*:*/energy_uj", "reboot",
		"CVE-2020-8694"} {
		if !strings.Contains(u.Next, want) {
			t.Errorf("fix %q lacks %q", u.Next, want)
		}
	}
	if os.Geteuid() == 0 {
		return // root reads everything
	}
	x := newTree(t)
	z := x.zone("intel-rapl:0", "package-0", 1, raplRange)
	if err := os.Chmod(filepath.Join(z.dir, "energy_uj"), 0o200); err != nil {
		t.Fatal(err)
	}
	_, err := openRAPL(roots{SysfsRoot: x.root}, power.SystemClocks())
	if u, ok := errors.AsType[power.Unavailable](err); !ok || u.Source != "rapl" ||
		!strings.Contains(u.Message, "only root") {
		t.Errorf("error %#v", err)
	}
}

// TestZoneCalls: a CPU counter can be read by itself.
func TestZoneCalls(t *testing.T) {
	x := newTree(t)
	x.zone("intel-rapl:0", "package-0", 5_000_000, raplRange)
	x.zone("intel-rapl:0:2", "dram", 2_000_000, raplRange)
	m := openTree(t, x, newManual())
	calls := m.Calls("dram-0")
	if len(calls) != 1 || calls[0].Source != sensor.SourceRAPL || !calls[0].Energy {
		t.Fatalf("calls %+v, want the counter of the memory", calls)
	}
	if v, stamp, err := calls[0].Read(); v != 2 || stamp != 0 || err != nil {
		t.Errorf("read %v, %v, %v, want 2 J", v, stamp, err)
	}
	if got := m.Calls("gpu0"); got != nil {
		t.Errorf("calls of an unknown device: %v", got)
	}
}
