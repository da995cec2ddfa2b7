package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/study"
)

// TestOccupied: processes on a GPU are named, and memory that no visible process holds.
func TestOccupied(t *testing.T) {
	much, little := int64(30<<30), int64(600<<20)
	got := occupied(nil, false, map[string]sensor.GPUFacts{
		"gpu0": {Processes: []power.GPUProcess{{PID: 42}, {PID: 43}}, MemoryUsedBytes: &much},
		"gpu1": {Processes: []power.GPUProcess{}, MemoryUsedBytes: &much},
		"gpu2": {Processes: []power.GPUProcess{}, MemoryUsedBytes: &little},
		"gpu3": {},
	})
	want := []string{"gpu0 is used by other processes (42, 43, 30.0 GiB of its memory in use)",
		"gpu1 may be used by others, whose processes are not visible, 30.0 GiB"}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, q := range got {
		if q.Error || !strings.HasPrefix(q.Message, want[i]) {
			t.Errorf("%q, want %q", q.Message, want[i])
		}
	}
}

// TestUnreadablePages: an unusable metrics page stops the experiments that name it; an unusable device of a page
// does not.
func TestUnreadablePages(t *testing.T) {
	asked := machine.Needs{Power: true, Remotes: []string{"wall=http://host/metrics#m:W"}}
	o := CheckOptions{Missing: []power.Unavailable{
		sensor.NoSensor("rapl", "there is none", ""),
		sensor.NoSensor("remote.dcgm dcgm-gpu1", "no usable value", "look"),
		sensor.NoSensor("remote.wall", "http://host/metrics cannot be read: it is a web page", "give the path"),
	}}
	list := o.unreadable(asked)
	if len(list) != 1 || !list[0].Error || list[0].Next != "give the path; or remove energy.remote" ||
		list[0].Message != "energy.remote: http://host/metrics cannot be read: it is a web page" {
		t.Fatalf("%+v", list)
	}
	var with, without study.Experiment
	with.Energy.Remote = asked.Remotes[0]
	if !list[0].Concerns(with) || list[0].Concerns(without) {
		t.Error("it concerns the wrong experiments")
	}
	if o.GPU = "h100"; o.unreadable(asked)[0].Error {
		t.Error("the pages of this machine stop a plan for another one")
	}
}

// oneGPU is a meter with a sensor.
type oneGPU struct{ power.Meter }

func (oneGPU) Devices() []power.Device { return []power.Device{{ID: "gpu0", Kind: power.GPU}} }

// TestMissingGPUs: an unusable GPU is named beside the usable ones; without any sensor the plan reports that
// instead.
func TestMissingGPUs(t *testing.T) {
	gone := []power.Unavailable{sensor.NoSensor("rapl", "no zones", ""),
		sensor.NoSensor("nvml gpu1", "the driver has lost this GPU", "reboot")}
	got := unmetered([]power.Meter{oneGPU{}}, gone)
	if len(got) != 1 || got[0].Error || !strings.HasPrefix(got[0].Message, "nvml gpu1: the driver has lost") ||
		got[0].Next != "reboot" {
		t.Errorf("%+v, want gpu1 alone", got)
	}
	if got := unmetered(nil, gone); len(got) != 1 || !strings.HasPrefix(got[0].Message, "no power sensor") {
		t.Errorf("without a meter: %+v", got)
	}
	driver := []power.Unavailable{sensor.NoSensor("rapl", "no zones", "buy one")}
	if got := unmetered(nil, driver); len(got) != 1 || !strings.HasPrefix(got[0].Next, "--estimate models") {
		t.Errorf("without a meter and a card: %+v", got)
	}
}

// TestNvidiaCard: a card counts without its driver, and other vendors do not.
func TestNvidiaCard(t *testing.T) {
	for vendor, want := range map[string]bool{"0x10de\n": true, "0x8086\n": false} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "0000:01:00.0"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "0000:01:00.0", "vendor"), []byte(vendor), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := nvidiaCard(dir); got != want {
			t.Errorf("vendor %q: %v, want %v", vendor, got, want)
		}
	}
}
