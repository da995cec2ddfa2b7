package sensors

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
)

// sysfs is a fake /sys.
type sysfs struct {
	t    testing.TB
	root string
}

func newSysfs(t testing.TB) sysfs { return sysfs{t, t.TempDir()} }

// write creates a file below the root.
func (s sysfs) write(path, text string) string {
	s.t.Helper()
	full := filepath.Join(s.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		s.t.Fatal(err)
	}
	replace(s.t, full, text+"\n")
	return full
}

// card creates a graphics card with a monitor, and returns the monitor's folder.
func (s sysfs) card(n int, vendor, slot, driver string) string {
	s.t.Helper()
	dir := fmt.Sprintf("class/drm/card%d/device", n)
	s.write(dir+"/vendor", vendor)
	s.write(dir+"/device", "0x1234")
	s.write(dir+"/uevent", "DRIVER="+driver+"\nPCI_CLASS=38000\nPCI_SLOT_NAME="+slot)
	if driver == "" {
		return dir
	}
	s.write(fmt.Sprintf("class/drm/card%d-DP-1/device/vendor", n), vendor) // a connector
	monitor := fmt.Sprintf("%s/hwmon/hwmon%d", dir, n+3)
	s.write(monitor+"/name", driver)
	return monitor
}

// grace creates a power meter as on an older kernel, whose files belong to the device.
func (s sysfs) grace(n int, label string, watts int) {
	s.t.Helper()
	dir := fmt.Sprintf("class/hwmon/hwmon%d", n)
	s.write(dir+"/name", "power_meter")
	s.write(dir+"/device/power1_oem_info", label)
	s.write(dir+"/device/power1_average", fmt.Sprint(watts*1e6))
	s.write(dir+"/device/power1_average_interval", "50")
}

const (
	amd   = "0x1002"
	intel = "0x8086"
)

func openSysfs(t *testing.T, s sysfs, c *manual) *hwmonMeter {
	t.Helper()
	m, err := openHwmon(roots{SysfsRoot: s.root, ProcRoot: s.root}, powertest.Clocks(c.now))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// polls polls at the meter's interval.
func polls(t *testing.T, m power.Meter, c *manual, n int, between func(i int)) (trace power.Trace, failures []string) {
	t.Helper()
	for i := range n {
		c.pass(m.Interval())
		if between != nil {
			between(i)
		}
		if err := m.Poll(t.Context(), &trace); err != nil {
			failures = append(failures, err.Error())
		}
	}
	return trace, failures
}

func describe(m power.Meter) string {
	var list []string
	for _, d := range m.Devices() {
		list = append(list, d.ID+" "+string(d.Kind)+" "+d.UUID)
	}
	return strings.Join(list, ", ")
}

// TestHwmonDevices: the devices of each fake tree, and why others are missing.
func TestHwmonDevices(t *testing.T) {
	apu := "\x80\x00\x02\x02 and more"
	for name, c := range map[string]struct {
		make    func(s sysfs)
		devices string
		source  string // of the first sample after two polls
		missing string
		fix     string
	}{
		"amdgpu average": {func(s sysfs) {
			h := s.card(0, amd, "0000:03:00.0", "amdgpu")
			s.write(h+"/power1_average", "300000000")
			s.write(h+"/power1_input", "310000000")
			s.write("class/drm/card0/device/unique_id", "5f2a4c1d00ab12cd")
			s.write("class/drm/card0/device/gpu_metrics", "\x80\x00\x01\x03 and more")
		}, "amd0 gpu GPU-5f2a4c1d00ab12cd", sensor.SourceAMDAverage, "", ""},
		"amdgpu input": {func(s sysfs) {
			s.write(s.card(0, amd, "0000:03:00.0", "amdgpu")+"/power1_input", "310000000")
		}, "amd0 gpu 0000:03:00.0", sensor.SourceAMDInput, "", ""},
		"amdgpu average is garbage": {func(s sysfs) {
			h := s.card(0, amd, "0000:03:00.0", "amdgpu")
			s.write(h+"/power1_average", "N/A")
			s.write(h+"/power1_input", "310000000")
		}, "amd0 gpu 0000:03:00.0", sensor.SourceAMDInput, "", ""},
		"APU": {func(s sysfs) {
			s.write(s.card(0, amd, "0000:c1:00.0", "amdgpu")+"/power1_input", "28000000")
			s.write("class/drm/card0/device/gpu_metrics", apu)
		}, "amd0 module 0000:c1:00.0", sensor.SourceAMDInput, "", ""},
		"second die of an MI250": {func(s sysfs) {
			s.write(s.card(1, amd, "0000:c9:00.0", "amdgpu")+"/power1_average", "0")
			s.write(s.card(2, amd, "0000:c1:00.0", "amdgpu")+"/power1_average", "90000000")
		}, "amd0 gpu 0000:c1:00.0", sensor.SourceAMDAverage, "hwmon amd1: the sensor reports 0 W", ""},
		"amdgpu without sensor": {func(s sysfs) {
			s.card(0, amd, "0000:03:00.0", "amdgpu")
			s.write(s.card(1, amd, "0000:04:00.0", "amdgpu")+"/power1_average", "90000000")
		}, "amd1 gpu 0000:04:00.0", sensor.SourceAMDAverage, "hwmon amd0: the amdgpu driver offers no power sensor",
			"on the host"},
		"i915": {func(s sysfs) {
			s.write(s.card(0, intel, "0000:03:00.0", "i915")+"/energy1_input", "1000")
		}, "intel0 gpu 0000:03:00.0", sensor.SourceI915, "", ""},
		"xe": {func(s sysfs) {
			h := s.card(0, intel, "0000:03:00.0", "xe")
			s.write(h+"/energy1_input", "1000")
			s.write(h+"/energy2_input", "900")
		}, "intel0 gpu 0000:03:00.0", sensor.SourceXe, "", ""},
		"xe package": {func(s sysfs) {
			s.write(s.card(0, intel, "0000:03:00.0", "xe")+"/energy2_input", "900")
		}, "intel0 gpu 0000:03:00.0", sensor.SourceXePackage, "", ""},
		"old i915 beside integrated graphics": {func(s sysfs) {
			s.card(0, intel, "0000:00:02.0", "")
			s.card(1, intel, "0000:03:00.0", "")
			s.write(s.card(2, amd, "0000:04:00.0", "amdgpu")+"/power1_average", "90000000")
		}, "amd0 gpu 0000:04:00.0", sensor.SourceAMDAverage, "hwmon intel1: the kernel offers no energy counter",
			"Linux 6.2"},
		"two vendors": {func(s sysfs) {
			s.write(s.card(0, intel, "0000:05:00.0", "xe")+"/energy1_input", "1000")
			s.write(s.card(1, amd, "0000:04:00.0", "amdgpu")+"/power1_average", "90000000")
			s.card(2, "0x10de", "0000:06:00.0", "nvidia")
			s.card(3, "0x1a03", "0000:07:00.0", "ast")
		}, "amd0 gpu 0000:04:00.0, intel0 gpu 0000:05:00.0", sensor.SourceAMDAverage, "", ""},
		"garbage": {func(s sysfs) {
			s.write(s.card(0, intel, "0000:03:00.0", "xe")+"/energy1_input", "-5")
			s.write(s.card(1, amd, "0000:04:00.0", "amdgpu")+"/power1_average", "99999999999999")
			s.write(s.card(2, amd, "0000:05:00.0", "amdgpu")+"/power1_average", "90000000")
		}, "amd1 gpu 0000:05:00.0", sensor.SourceAMDAverage,
			"hwmon amd0: the sensor reports more power than any device draws", ""},
		"unreadable": {func(s sysfs) {
			h := s.card(0, amd, "0000:03:00.0", "amdgpu")
			if err := os.Mkdir(filepath.Join(s.root, h, "power1_average"), 0o755); err != nil { // for root too
				s.t.Fatal(err)
			}
			s.write(s.card(1, amd, "0000:04:00.0", "amdgpu")+"/power1_average", "90000000")
		}, "amd1 gpu 0000:04:00.0", sensor.SourceAMDAverage, "is a directory", ""},
		"Grace Hopper": {func(s sysfs) {
			s.grace(1, "Module Power Socket 0", 600)
			s.grace(2, "Grace Power Socket 0", 200)
			s.grace(3, "CPU Power Socket 0", 120)
			s.grace(4, "SysIO Power Socket 0", 30)
			s.write("class/hwmon/hwmon5/name", "power_meter") // a different power meter
		}, "grace-cpu-0 cpu , grace-module-0 module ", sensor.SourceGrace, "", ""},
		"Grace, two sockets, one without the sum": {func(s sysfs) {
			s.grace(1, "Grace Power Socket 0", 200)
			s.grace(10, "CPU Power Socket 0", 120)
			s.grace(3, "CPU Power Socket 1", 110)
		}, "grace-cpu-0 cpu , grace-cpu-1 cpu ", sensor.SourceGrace, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, clk := newSysfs(t), newManual()
			c.make(s)
			m := openSysfs(t, s, clk)
			defer m.Close()
			if got := describe(m); got != c.devices {
				t.Errorf("devices %s, want %s", got, c.devices)
			}
			advance := func(int) {
				for _, f := range s.counters() {
					s.add(f, 5_000_000)
				}
			}
			trace, failures := polls(t, m, clk, 3, advance)
			if len(failures) > 0 || len(trace.Samples) < 2 || trace.Samples[0].Source != c.source {
				t.Errorf("samples %+v, failures %q, want source %s", trace.Samples, failures, c.source)
			}
			var missing []string
			for _, u := range m.Missing() {
				missing = append(missing, u.Error())
			}
			got := strings.Join(missing, "; ")
			if !strings.Contains(got, c.missing) || !strings.Contains(got, c.fix) || (c.missing == "") != (got == "") {
				t.Errorf("missing %q, want %q and fix %q", got, c.missing, c.fix)
			}
		})
	}
}

// counters lists the energy files of the tree that contain a number.
func (s sysfs) counters() []string {
	s.t.Helper()
	list, err := filepath.Glob(filepath.Join(s.root, "class/drm/card*/device/hwmon/hwmon*/energy*_input"))
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

// add advances a counter by µJ.
func (s sysfs) add(path string, microjoules uint64) {
	s.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if v, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil {
		replace(s.t, path, fmt.Sprintln(v+microjoules))
	}
}

func TestHwmonAbsent(t *testing.T) {
	for name, c := range map[string]struct {
		make   func(s sysfs)
		reason string
		listed bool // whether Open lists it as missing
	}{
		"nothing": {func(sysfs) {}, "no AMD or Intel GPU and no Grace module", false},
		"NVIDIA only": {func(s sysfs) { s.card(0, "0x10de", "0000:06:00.0", "nvidia") }, "no AMD or Intel GPU",
			false},
		"integrated Intel": {func(s sysfs) { s.card(0, intel, "0000:00:02.0", "") }, "no AMD or Intel GPU", false},
		"virtual function": {func(s sysfs) { s.card(0, amd, "0000:06:00.0", "") }, "no power sensor", true},
		"Grace without its module": {func(s sysfs) {
			s.write("cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f")
		}, "no ACPI power meter", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSysfs(t)
			c.make(s)
			_, err := openHwmon(roots{SysfsRoot: s.root, ProcRoot: s.root}, power.SystemClocks())
			if u, ok := errors.AsType[power.Unavailable](err); !ok || !strings.Contains(u.Message, c.reason) {
				t.Errorf("%v, want %q", err, c.reason)
			}
			meters, missing := Open(t.Context(),
				Options{SysfsRoot: s.root, ProcRoot: s.root, Only: without("nvml", "rapl")})
			if len(meters) != 0 || (len(missing) == 1) != c.listed {
				t.Errorf("meters %v, missing %+v", meters, missing)
			}
		})
	}
}

func TestHwmonPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	s := newSysfs(t)
	path := s.write(s.card(0, intel, "0000:03:00.0", "xe")+"/energy1_input", "1000")
	if err := os.Chmod(path, 0o200); err != nil {
		t.Fatal(err)
	}
	_, err := openHwmon(roots{SysfsRoot: s.root}, power.SystemClocks())
	if u, ok := errors.AsType[power.Unavailable](err); !ok || u.Next != "sudo chmod a+r "+path {
		t.Errorf("%#v", err)
	}
}

// TestHwmonGraceWindow: the firmware reports its averaging time.
func TestHwmonGraceWindow(t *testing.T) {
	s, c := newSysfs(t), newManual()
	s.grace(1, "Grace Power Socket 0", 200)
	trace, failures := polls(t, openSysfs(t, s, c), c, 2, nil)
	if len(failures) > 0 || len(trace.Samples) != 2 || trace.Samples[0].Window != 50*time.Millisecond ||
		trace.Samples[0].Power != 200 {
		t.Errorf("%+v, %q", trace.Samples, failures)
	}
	dir := "class/hwmon/hwmon1/device/power1_average_interval"
	for _, text := range []string{"", "soon", "99999999", "-1"} {
		s.write(dir, text)
		trace, _ := polls(t, openSysfs(t, s, c), c, 2, nil)
		if trace.Samples[0].Window != 0 {
			t.Errorf("interval %q: window %v, want unknown", text, trace.Samples[0].Window)
		}
	}
}

// TestHwmonIntelCountsEnergy: readings follow the counter, and a reset is a gap.
func TestHwmonIntelCountsEnergy(t *testing.T) {
	s, c := newSysfs(t), newManual()
	path := s.write(s.card(0, intel, "0000:03:00.0", "i915")+"/energy1_input", "7000000")
	m := openSysfs(t, s, c)
	first, err := m.Counters(t.Context())
	if err != nil || len(first) != 1 || first[0].Energy != 7_000_000 || first[0].Source != sensor.SourceI915 {
		t.Fatalf("%+v, %v", first, err)
	}
	trace, failures := polls(t, m, c, 20, func(i int) {
		if i == 10 {
			replace(t, path, "3\n") // the driver was reloaded
			return
		}
		s.add(path, 5_000_000)
	})
	if len(failures) != 1 || !strings.Contains(failures[0], "went backwards") || len(trace.Gaps) != 1 {
		t.Errorf("failures %q, gaps %+v", failures, trace.Gaps)
	}
	for _, x := range trace.Samples {
		if x.Power < 99.9 || x.Power > 100.1 || x.Device != "intel0" {
			t.Errorf("sample %+v, want 100 W", x)
		}
	}
}

// TestHwmonFrozen: a stopped counter does not become 0 W, and a value that never changes is repeated, with a
// warning.
func TestHwmonFrozen(t *testing.T) {
	s, c := newSysfs(t), newManual()
	counter := s.write(s.card(0, intel, "0000:03:00.0", "xe")+"/energy1_input", "7000000")
	s.write(s.card(1, amd, "0000:04:00.0", "amdgpu")+"/power1_average", "90000000")
	m := openSysfs(t, s, c)
	trace, failures := polls(t, m, c, 1400, func(i int) { // 70 s
		if i < 20 || i >= 100 {
			s.add(counter, 5_000_000)
		}
	})
	remarks := 0
	for _, f := range failures {
		if strings.Contains(f, "may have stopped") {
			remarks++
		} else if !strings.Contains(f, "intel0: the energy counter has not changed for more than 2s") {
			t.Errorf("failure %q", f)
		}
	}
	if remarks != 1 || len(failures) != 42 {
		t.Errorf("%d warnings, %d failures, want 1 and 42", remarks, len(failures))
	}
	var lastAMD, joules float64
	for _, x := range trace.Samples {
		switch x.Device {
		case "amd0":
			if at := float64(x.MonoNS) / 1e9; lastAMD != 0 && at-lastAMD > 0.251 {
				t.Errorf("%.3f s without a sample of the held value", at-lastAMD)
			}
			lastAMD = float64(x.MonoNS) / 1e9
			if x.SinceNS != 0 || x.Power != 90 {
				t.Errorf("sample %+v", x)
			}
		case "intel0":
			if x.Power == 0 {
				t.Errorf("sample %+v", x)
			}
			joules += float64(x.Power) * x.Window.Seconds()
		}
	}
	if want := 5.0 * (1400 - 80 - 1); joules < want-1 || joules > want+1 {
		t.Errorf("the samples hold %.0f J, want %.0f", joules, want)
	}
	if r := m.Refreshes(); len(r) != 1 || r[0].Changes != 0 || r[0].Period != 0 {
		t.Errorf("refreshes %+v", r)
	}
}

// TestHwmonVanishes: a file that disappears is a gap of its device alone.
func TestHwmonVanishes(t *testing.T) {
	synctest.Test(t, testHwmonVanishes)
}

func testHwmonVanishes(t *testing.T) {
	s, now := newSysfs(t), bubbleClock()
	lost := s.write(s.card(0, amd, "0000:03:00.0", "amdgpu")+"/power1_average", "300000000")
	s.write(s.card(1, amd, "0000:04:00.0", "amdgpu")+"/power1_average", "90000000")
	s.write(s.card(2, intel, "0000:05:00.0", "xe")+"/energy1_input", "7000000")
	m, err := openHwmon(roots{SysfsRoot: s.root, ProcRoot: s.root}, powertest.Clocks(now))
	if err != nil {
		t.Fatal(err)
	}
	sampler := power.NewSampler(m)
	sampler.Now = now
	sampler.Start(t.Context())
	time.Sleep(25 * time.Millisecond) // between two polls
	for i := range 100 {
		time.Sleep(50 * time.Millisecond)
		for _, f := range s.counters() {
			s.add(f, 5_000_000)
		}
		switch i {
		case 40:
			if err := os.Remove(lost); err != nil {
				t.Fatal(err)
			}
		case 60:
			replace(t, lost, "310000000\n")
		}
	}
	trace := sampler.Stop(t.Context())
	gaps := trace.Gaps
	if len(gaps) != 1 || gaps[0].Device != "amd0" ||
		time.Duration(gaps[0].EndNS-gaps[0].StartNS).Round(100*time.Millisecond) != 1100*time.Millisecond {
		t.Errorf("gaps %+v, want about 1 s of amd0", gaps)
	}
	if len(trace.Errors) != 1 || !strings.Contains(trace.Errors[0], "no such file") {
		t.Errorf("errors %q", trace.Errors)
	}
	count := map[string]int{}
	for _, x := range trace.Samples {
		count[x.Device]++
	}
	if count["intel0"] < 98 || count["amd1"] < 95 || count["amd0"] < 75 {
		t.Errorf("samples %v", count)
	}
}

// TestHwmonWarnsOfThePackage: energy2 excludes the rest of the card.
func TestHwmonWarnsOfThePackage(t *testing.T) {
	s, c := newSysfs(t), newManual()
	s.write(s.card(0, intel, "0000:03:00.0", "xe")+"/energy2_input", "900")
	if w := openSysfs(t, s, c).Warnings(); len(w) != 1 || !strings.Contains(w[0].Message, "package only") {
		t.Errorf("warnings %q", w)
	}
}
