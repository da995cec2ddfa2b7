package sensors

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
)

const perfScale = 2.3283064365386962890625e-10 // 2^-32 J, the scale of all kernels

// fakePerf is a kernel that counts energy per CPU and event. As in the real kernel, a counter starts at zero
// when it is opened.
type fakePerf struct {
	now    func() int64
	watts  float64
	fail   map[int]error // by CPU
	dead   error         // of every reading
	opened []string
	closed int
}

func (k *fakePerf) open(kind uint32, config uint64, cpu int) (perfCounter, error) {
	if err := k.fail[cpu]; err != nil {
		return nil, fmt.Errorf("perf_event_open: %w", err)
	}
	k.opened = append(k.opened, fmt.Sprintf("%d/%d/%d", kind, config, cpu))
	return &fakeEvent{k, k.now()}, nil
}

type fakeEvent struct {
	k       *fakePerf
	startNS int64
}

func (e *fakeEvent) Value() (uint64, error) {
	return uint64(e.k.watts * time.Duration(e.k.now()-e.startNS).Seconds() / perfScale), e.k.dead
}

func (e *fakeEvent) Close() error { e.k.closed++; return nil }

// perfTree describes two packages with memory, in the kernel's format.
func perfTree(t testing.TB, change map[string]string) roots {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{
		"bus/event_source/devices/power/type":                    "11",
		"bus/event_source/devices/power/cpumask":                 "0,28",
		"bus/event_source/devices/power/events/energy-pkg":       "event=0x02",
		"bus/event_source/devices/power/events/energy-pkg.scale": "2.3283064365386962890625e-10",
		"bus/event_source/devices/power/events/energy-pkg.unit":  "Joules",
		"bus/event_source/devices/power/events/energy-ram":       "event=0x03",
		"bus/event_source/devices/power/events/energy-ram.scale": "2.3283064365386962890625e-10",
		"bus/event_source/devices/power/events/energy-ram.unit":  "Joules",
		"bus/event_source/devices/power/events/energy-cores":     "event=0x01",
		"devices/system/cpu/cpu0/topology/physical_package_id":   "0",
		"devices/system/cpu/cpu0/topology/die_id":                "0",
		"devices/system/cpu/cpu28/topology/physical_package_id":  "1",
		"devices/system/cpu/cpu28/topology/die_id":               "0",
		"sys/kernel/perf_event_paranoid":                         "4",
	}
	maps.Copy(files, change)
	for name, text := range files {
		if text == "" {
			continue
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return roots{SysfsRoot: root, ProcRoot: root}
}

func deviceIDs(m power.Meter) string {
	var ids []string
	for _, d := range m.Devices() {
		ids = append(ids, d.ID)
	}
	return strings.Join(ids, " ")
}

func TestPerfCountsEnergy(t *testing.T) {
	now := int64(time.Hour)
	kernel := &fakePerf{now: func() int64 { return now }, watts: 150}
	m, err := openPerf(perfTree(t, nil), kernel.open, powertest.Clocks(kernel.now))
	if err != nil {
		t.Fatal(err)
	}
	if got := deviceIDs(m); got != "package-0 package-1 dram-0 dram-1" {
		t.Errorf("devices %s", got)
	}
	if got := strings.Join(kernel.opened, " "); got != "11/2/0 11/2/28 11/3/0 11/3/28" {
		t.Errorf("opened %s", got)
	}
	var trace power.Trace
	for range 21 {
		now += int64(50 * time.Millisecond)
		if err := m.Poll(t.Context(), &trace); err != nil {
			t.Error(err)
		}
	}
	if len(trace.Samples) != 80 {
		t.Errorf("%d samples, want 20 of each", len(trace.Samples))
	}
	for _, s := range trace.Samples {
		if s.Power < 149.99 || s.Power > 150.01 || s.Source != "perf" || s.Window != 50*time.Millisecond {
			t.Errorf("sample %+v, want 150 W over 50 ms", s)
		}
	}
	first, _ := m.Counters(t.Context())
	now += int64(10 * time.Second)
	last, err := m.Counters(t.Context())
	if err != nil || len(last) != 4 {
		t.Fatalf("%+v, %v", last, err)
	}
	if got := (last[0].Energy - first[0].Energy).Joules(); got < 1499.999 || got > 1500.001 {
		t.Errorf("counted %v J, want 1500", got)
	}
	if err := errors.Join(m.Close(), m.Close()); err != nil || kernel.closed != 4 {
		t.Errorf("Close: %v, %d events closed", err, kernel.closed)
	}
}

func TestPerfNamesPackages(t *testing.T) {
	const topology = "devices/system/cpu/cpu%d/topology/%s"
	for name, c := range map[string]struct {
		change map[string]string
		want   string
	}{
		"two dies of one package": {map[string]string{
			fmt.Sprintf(topology, 28, "physical_package_id"): "0", fmt.Sprintf(topology, 28, "die_id"): "1"},
			"package-0-die-0 package-0-die-1"},
		"no topology": {map[string]string{fmt.Sprintf(topology, 0, "physical_package_id"): "",
			fmt.Sprintf(topology, 28, "physical_package_id"): "-1"}, "package-0 package-1"},
		"no dies": {map[string]string{fmt.Sprintf(topology, 28, "physical_package_id"): "0",
			fmt.Sprintf(topology, 0, "die_id"): "", fmt.Sprintf(topology, 28, "die_id"): ""}, "package-0 package-1"},
		"swapped": {map[string]string{fmt.Sprintf(topology, 0, "physical_package_id"): "1",
			fmt.Sprintf(topology, 28, "physical_package_id"): "0"}, "package-1 package-0"},
		"one package":   {map[string]string{"bus/event_source/devices/power/cpumask": "0"}, "package-0"},
		"range of CPUs": {map[string]string{"bus/event_source/devices/power/cpumask": "0-1"}, "package-0 package-1"},
		"no such memory": {map[string]string{"bus/event_source/devices/power/events/energy-ram": ""},
			"package-0 package-1"},
	} {
		t.Run(name, func(t *testing.T) {
			c.change["bus/event_source/devices/power/events/energy-ram"] = ""
			kernel := &fakePerf{now: func() int64 { return 1 }}
			m, err := openPerf(perfTree(t, c.change), kernel.open, powertest.Clocks(kernel.now))
			if err != nil {
				t.Fatal(err)
			}
			if got := deviceIDs(m); got != c.want {
				t.Errorf("devices %s, want %s", got, c.want)
			}
		})
	}
}

func TestPerfRefuses(t *testing.T) {
	const events = "bus/event_source/devices/power/"
	for name, c := range map[string]struct {
		change map[string]string
		fail   error
		reason string
		fix    string
	}{
		"no events": {map[string]string{events + "type": ""}, nil, "the kernel has no energy events",
			"modprobe rapl"},
		"no packages": {map[string]string{events + "events/energy-pkg": "", events + "events/energy-ram": ""}, nil,
			"no energy events", "modprobe rapl"},
		"garbage type": {map[string]string{events + "type": "eleven"}, nil, "energy events: type", ""},
		"garbage mask": {map[string]string{events + "cpumask": "0-99999999"}, nil, "is not a list of CPUs", ""},
		"empty mask":   {map[string]string{events + "cpumask": " "}, nil, "is not a list of CPUs", ""},
		"garbage event": {map[string]string{events + "events/energy-pkg": "umask=1",
			events + "events/energy-ram": ""}, nil, "not an event number", ""},
		"no scale": {map[string]string{events + "events/energy-pkg.scale": "", events + "events/energy-ram": ""},
			nil, "no such file", ""},
		"scale NaN": {map[string]string{events + "events/energy-pkg.scale": "NaN",
			events + "events/energy-ram": ""}, nil, "is not a scale", ""},
		"scale 0": {map[string]string{events + "events/energy-pkg.scale": "0",
			events + "events/energy-ram": ""}, nil, "is not a scale", ""},
		"other unit": {map[string]string{events + "events/energy-pkg.unit": "Watts",
			events + "events/energy-ram": ""}, nil, "not Joules", ""},
		"not permitted": {nil, unix.EACCES,
			"no permission to open the kernel's energy events (kernel.perf_event_paranoid is 4)",
			"sudo setcap cap_perfmon+ep"},
		"container":       {nil, unix.EPERM, "no permission to open", "--cap-add PERFMON"},
		"no such call":    {nil, unix.ENOSYS, "no performance events", "--cap-add PERFMON"},
		"unknown event":   {nil, unix.ENOENT, "lists the energy event but cannot open it", ""},
		"too many files":  {nil, unix.EMFILE, "too many open files", "ulimit -n"},
		"offline package": {nil, unix.ENODEV, "lists the energy event", ""},
	} {
		t.Run(name, func(t *testing.T) {
			kernel := &fakePerf{now: func() int64 { return 1 }, fail: map[int]error{0: c.fail, 28: c.fail}}
			_, err := openPerf(perfTree(t, c.change), kernel.open, powertest.Clocks(kernel.now))
			u, ok := errors.AsType[power.Unavailable](err)
			if !ok || u.Source != "perf" || !strings.Contains(u.Message, c.reason) ||
				!strings.Contains(u.Next, c.fix) || (c.fix == "") != (u.Next == "") {
				t.Errorf("%#v, want %q and fix %q", err, c.reason, c.fix)
			}
		})
	}
}

func TestPerfKeepsWhatOpens(t *testing.T) {
	kernel := &fakePerf{now: func() int64 { return 1 }, fail: map[int]error{28: unix.ENODEV}}
	m, err := openPerf(perfTree(t, nil), kernel.open, powertest.Clocks(kernel.now))
	if err != nil {
		t.Fatal(err)
	}
	if got := deviceIDs(m); got != "package-0 dram-0" || len(m.Missing()) != 2 ||
		m.Missing()[0].Source != "perf package-1" {
		t.Errorf("devices %s, missing %+v", got, m.Missing())
	}
	kernel.dead = errors.New("the performance event returned 0 bytes, not 8")
	if err := m.Poll(t.Context(), new(power.Trace)); err == nil || !strings.Contains(err.Error(), "package-0") {
		t.Errorf("Poll of an event in an error state: %v", err)
	}
}

// TestPerfClosesWhatDoesNotCount: an event that opens but cannot be read is closed.
func TestPerfClosesWhatDoesNotCount(t *testing.T) {
	kernel := &fakePerf{now: func() int64 { return 1 }, dead: errors.New("no data")}
	if _, err := openPerf(perfTree(t, nil), kernel.open, powertest.Clocks(kernel.now)); err == nil ||
		kernel.closed != 4 {
		t.Errorf("%v, %d events closed", err, kernel.closed)
	}
}

// TestKernelPerf opens an event that all kernels have, to test the system call if it is allowed.
func TestKernelPerf(t *testing.T) {
	// PERF_COUNT_SW_CPU_CLOCK counts nanoseconds of the CPU.
	c, err := kernelPerf(unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_CPU_CLOCK, 0)
	if err != nil {
		t.Skipf("not allowed here: %v", err)
	}
	defer c.Close()
	first, err := c.Value()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Millisecond)
	if second, err := c.Value(); err != nil || second <= first {
		t.Errorf("%d, then %d, %v", first, second, err)
	}
}

func TestNeither(t *testing.T) {
	powercap := sensor.NoSensor("rapl", "only root may read it", "sudo chmod a+r it")
	perf := sensor.NoSensor("perf", "this user may not", "sudo setcap cap_perfmon+ep llem")
	for _, c := range []struct {
		powercap, perf power.Unavailable
		reason, fix    string
	}{
		{powercap, perf, "only root may read it; through perf: this user may not",
			"sudo setcap cap_perfmon+ep llem; or sudo chmod a+r it"},
		{powercap, errNoPerf, "only root may read it; through perf: the kernel has no energy events",
			"sudo chmod a+r it"},
		{sensor.NoSensor("rapl", "hidden", ""), perf, "hidden; through perf: this user may not",
			"sudo setcap cap_perfmon+ep llem"},
	} {
		if got := neither(c.powercap, c.perf); got.Source != "rapl" || got.Message != c.reason || got.Next != c.fix {
			t.Errorf("%+v, want %q and %q", got, c.reason, c.fix)
		}
	}
}

// TestOpenPrefersPowercap: perf is tried only if the powercap files cannot be read.
func TestOpenPrefersPowercap(t *testing.T) {
	only := without("nvml", "hwmon", "remote")
	opts := perfTree(t, map[string]string{"class/powercap/intel-rapl:0/name": "package-0",
		"class/powercap/intel-rapl:0/energy_uj": "5"})
	meters, missing := Open(t.Context(), Options{SysfsRoot: opts.SysfsRoot, ProcRoot: opts.ProcRoot, Only: only})
	if len(meters) != 1 || meters[0].Name() != "rapl" || len(missing) != 0 {
		t.Errorf("meters %v, missing %+v", meters, missing)
	}
	// No kernel has this type, so the system call fails for every user.
	opts = perfTree(t, map[string]string{"bus/event_source/devices/power/type": "4000000000"})
	if err := os.WriteFile(filepath.Join(opts.ProcRoot, "cpuinfo"),
		[]byte("flags\t\t: fpu\nvendor_id\t: GenuineIntel\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, missing = Open(t.Context(), Options{SysfsRoot: opts.SysfsRoot, ProcRoot: opts.ProcRoot, Only: only})
	if len(missing) != 1 || missing[0].Source != "rapl" ||
		!strings.Contains(missing[0].Message, "lists no RAPL zones") ||
		!strings.Contains(missing[0].Message, "through perf: ") {
		t.Errorf("missing %+v", missing)
	}
}
