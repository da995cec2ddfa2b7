package tenants

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/power"
)

// TestShared: who counts as another process, by when it was seen and by whether the
// engine is known.
func TestShared(t *testing.T) {
	const second = int64(time.Second)
	w := attribute.Window{Start: 20 * second, End: 30 * second}
	seen := func(pid int, from, to int64) power.Presence {
		return power.Presence{Device: "gpu0", PID: pid, FirstNS: from * second, LastNS: to * second}
	}
	// The engine is 5, was started at 10 s and has loaded at 15 s.
	for name, q := range map[string]struct {
		list []power.Presence
		want string // joined by " | "; empty is none
	}{
		"the engine alone":      {[]power.Presence{seen(5, 12, 31)}, ""},
		"there at the baseline": {[]power.Presence{seen(7, 1, 2), seen(5, 12, 31)}, "process 7"},
		"there all the time":    {[]power.Presence{seen(7, 1, 31), seen(5, 12, 31)}, "process 7"},
		"during load": {[]power.Presence{seen(5, 12, 31), seen(7, 13, 31)},
			"process 7, from before the window to 10.0 of its 10.0 s"},
		"load only": {[]power.Presence{seen(5, 12, 31), seen(7, 13, 14)},
			"gone before the window (gpu0: process 7)"},
		"warm-up only": {[]power.Presence{seen(5, 12, 31), seen(7, 16, 18)},
			"gone before the window (gpu0: process 7)"},
		"in the window": {[]power.Presence{seen(5, 12, 31), seen(7, 23, 25)},
			"process 7, from 3.0 to 5.0 of its 10.0 s"},
		"after the window": {[]power.Presence{seen(5, 12, 31), seen(7, 31, 31)},
			"process 7, first seen 1.0 s after its end"},
		"three": {[]power.Presence{seen(6, 1, 1), seen(5, 12, 31), seen(7, 13, 14), seen(8, 21, 22)},
			"process 6 | process 7 | process 8"},
		"nobody": {nil, "not even the engine"},
		// Process ids of another namespace: the engine is not among them by name.
		"unknown engine":           {[]power.Presence{seen(900, 12, 31)}, ""},
		"unknown engine and guest": {[]power.Presence{seen(900, 12, 31), seen(901, 22, 31)}, "process 901, from 2.0"},
		"unknown, two with it": {[]power.Presence{seen(900, 12, 31), seen(901, 13, 31)},
			"process 900, which may be the engine"},
		"unknown, late alone": {[]power.Presence{seen(900, 22, 31)}, "process 900"},
		"unknown, before":     {[]power.Presence{seen(899, 1, 31), seen(900, 12, 31)}, "process 899"},
	} {
		var p Processes
		p.startNS, p.readyNS = 10*second, 15*second
		list := append(q.list, power.Presence{Device: "gpu1", PID: 77, FirstNS: second, LastNS: 31 * second})
		p.add(list, func(pid int) bool { return pid == 5 })
		var got []string
		for _, n := range p.Warnings([]string{"gpu0"}, w) {
			got = append(got, string(n.Code)+": "+n.Message)
		}
		all := strings.Join(got, "\n")
		if q.want == "" && all != "" || strings.Contains(all, "process 5") || strings.Contains(all, "process 77") {
			t.Errorf("%s: warnings %q", name, got)
		}
		for want := range strings.SplitSeq(q.want, " | ") {
			if !strings.Contains(all, want) {
				t.Errorf("%s: warnings %q do not say %q", name, got, want)
			}
		}
	}
}

// TestOwn: what llem started is its own, also a child of a child, and what left the
// family but stays in the engine's process group; its parent is not.
func TestOwn(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 60 & echo $!; wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	buf := make([]byte, 32)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	grandchild := 0
	for _, c := range strings.TrimSpace(string(buf[:n])) {
		grandchild = 10*grandchild + int(c-'0')
	}
	p := &Processes{}
	for what, q := range map[string]struct {
		pid  int
		want bool
	}{"itself": {os.Getpid(), true}, "a child": {cmd.Process.Pid, true}, "a grandchild": {grandchild, true},
		"the parent": {os.Getppid(), false}, "init": {1, false}, "nobody": {1 << 30, false}} {
		if got := p.own(q.pid); got != q.want {
			t.Errorf("%s (%d): own %v, want %v", what, q.pid, got, q.want)
		}
	}
	group, err := syscall.Getpgid(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	p.engine = group
	if !p.own(os.Getppid()) {
		t.Error("a process of the engine's group is not its own")
	}
}

// TestInherit: a later run on the same engine still knows the engine where
// process ids belong to another namespace, and who was there before it.
func TestInherit(t *testing.T) {
	const second = int64(1e9)
	first := &Processes{startNS: 10 * second, readyNS: 15 * second}
	at := func(pid int, from, to int64) power.Presence {
		return power.Presence{Device: "gpu0", PID: pid, FirstNS: from * second, LastNS: to * second}
	}
	nobody := func(int) bool { return false }
	first.add([]power.Presence{at(1, 5, 30), at(2, 14, 30), at(3, 13, 16), at(4, 22, 30)}, nobody)
	var kept, again Processes
	kept.Inherit(first, 20*second)
	again.Inherit(&kept, 0)
	again.add([]power.Presence{at(1, 40, 60), at(2, 40, 60), at(4, 40, 60)}, nobody)
	before, later := again.foreign("gpu0", attribute.Window{Start: 50 * second, End: 60 * second})
	if len(before) != 1 || len(later) != 1 || later[0].PID != 4 {
		t.Errorf("before %v, later %+v: want 1 before, 4 beside, 2 as the engine and no word of 3", before, later)
	}
}

// TestWaitReleased: an engine that has ended stays on the GPU for a moment; the next one
// waits for that, and not for others.
func TestWaitReleased(t *testing.T) {
	looks := 0
	m := listing{device: "gpu0", list: func() map[string][]power.GPUProcess {
		looks++
		list := []power.GPUProcess{{PID: 8}}
		if looks < 4 {
			list = append(list, power.GPUProcess{PID: 7})
		}
		return map[string][]power.GPUProcess{"gpu0": list}
	}}
	WaitReleased([]power.Meter{m, mute{}}, []int{7})
	if looks != 4 {
		t.Errorf("%d looks, want 4: until process 7 has gone", looks)
	}
}

// mute is a meter that does not know the processes on its devices.
type mute struct{ power.Meter }

// listing is one that does.
type listing struct {
	power.Meter
	device string
	list   func() map[string][]power.GPUProcess
}

// Devices is the device of the test.
func (m listing) Devices() []power.Device { return []power.Device{{ID: m.device, Kind: power.GPU}} }

// Processes returns the processes of the test.
func (m listing) Processes(context.Context) (map[string][]power.GPUProcess, error) {
	return m.list(), nil
}

// TestListed: a device is listed by a meter that has it and knows its processes.
func TestListed(t *testing.T) {
	meters := []power.Meter{mute{}, listing{device: "gpu0"}}
	if !Listed(meters, "gpu0") || Listed(meters, "gpu1") {
		t.Errorf("gpu0 listed %v, gpu1 %v, want only gpu0", Listed(meters, "gpu0"), Listed(meters, "gpu1"))
	}
}
