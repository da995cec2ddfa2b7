package tenants

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// holdEnv makes this program hold memory: MEGABYTES itself, as many in a child in a
// session of its own, and some that it allocates at the start and frees.
const holdEnv = "LLEM_TEST_HOLD"

// hold does so if the environment says so, and ends with its input.
func hold() {
	f := strings.Split(os.Getenv(holdEnv), ",")
	if len(f) != 3 {
		return
	}
	take := func(megabytes string) []byte {
		n, _ := strconv.Atoi(megabytes)
		b, err := syscall.Mmap(-1, 0, max(n, 1)<<20, syscall.PROT_READ|syscall.PROT_WRITE,
			syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			panic(err)
		}
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		return b
	}
	if err := syscall.Munmap(take(f[2])); err != nil {
		panic(err)
	}
	own := take(f[0])
	if f[1] != "0" {
		child := exec.Command(os.Args[0])
		child.Env = []string{holdEnv + "=" + f[1] + ",0,0"}
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		child.Stdin = os.Stdin
		out, err := child.StdoutPipe()
		if err == nil {
			err = child.Start()
		}
		if err == nil {
			_, err = bufio.NewReader(out).ReadString('\n')
		}
		if err != nil {
			panic(err)
		}
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
	own[0] = 2
	os.Exit(0)
}

// holder starts a process that holds memory, and its child, until the test ends.
func holder(t *testing.T, own, child, before int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{fmt.Sprintf("%s=%d,%d,%d", holdEnv, own, child, before)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n')
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// besides is what such a program takes besides, at most: more with the race detector.
func besides(t *testing.T) int64 {
	t.Helper()
	_, peak := machine.resident(holder(t, 0, 0, 0))
	return peak + peak/2
}

func TestWatchMemory(t *testing.T) {
	const mib = 1 << 20
	bareMost := besides(t)
	for name, q := range map[string]struct {
		own, child, before int
		least              int64
		source             string
	}{
		"one":                          {200, 0, 0, 200 * mib, "VmHWM of the engine's process"},
		"a child in a session":         {200, 150, 0, 350 * mib, "VmRSS of 2 processes together"},
		"a peak before, as of loading": {20, 0, 300, 20 * mib, "VmHWM"},
		"a peak before, of one of two": {20, 20, 300, 40 * mib, "VmRSS of 2 processes together"},
	} {
		t.Run(name, func(t *testing.T) {
			w := WatchMemory(holder(t, q.own, q.child, q.before))
			w = w.Again() // a window that is measured twice
			got, source := w.Peak().Bytes, w.Peak().Source
			if most := q.least + 2*bareMost; got < q.least || got > most {
				t.Errorf("peak %d MiB, want %d to %d", got/mib, q.least/mib, most/mib)
			}
			if !strings.HasPrefix(source, q.source) {
				t.Errorf("source %q, want %q", source, q.source)
			}
		})
	}
}

// TestWatchOfNobody: the end does not wait for the next look.
func TestWatchOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its clock stands still while anybody works
		began := time.Now()
		w := WatchMemory(1 << 30)
		w.End()
		w.End()
		if got, source := w.Peak().Bytes, w.Peak().Source; got != 0 || source != "" || !time.Now().Equal(began) {
			t.Errorf("peak %d (%s) after %v, want none at once", got, source, time.Since(began))
		}
	})
}

func TestPeakOnGPUs(t *testing.T) {
	const second, gib = int64(time.Second), int64(1) << 30
	w := attribute.Window{Start: 20 * second, End: 30 * second}
	p := func(pid int, bytes int64) power.GPUProcess {
		if bytes < 0 {
			return power.GPUProcess{PID: pid}
		}
		return power.GPUProcess{PID: pid, UsedBytes: &bytes}
	}
	at := func(s int64, device string, used int64, list ...power.GPUProcess) power.MemoryLook {
		l := power.MemoryLook{MonoNS: s * second, Device: device, Processes: list}
		if used >= 0 {
			l.UsedBytes = &used
		}
		return l
	}
	// The engine is 5 and 6, was started at 10 s and has loaded at 15 s.
	for name, q := range map[string]struct {
		devices []string
		looks   []power.MemoryLook
		want    int64
		method  result.MemoryMethod
		text    string // of the source or the reason
	}{
		"one process": {[]string{"gpu0"},
			[]power.MemoryLook{at(9, "gpu0", gib), at(16, "gpu0", 3*gib, p(5, 2*gib)),
				at(25, "gpu0", 9*gib, p(5, 8*gib)), at(29, "gpu0", 4*gib, p(5, 3*gib))},
			8 * gib, result.MemoryProcess, "processes (1) on gpu0"},
		"loading": {[]string{"gpu0"},
			[]power.MemoryLook{at(9, "gpu0", gib), at(12, "gpu0", 30*gib, p(5, 29*gib)),
				at(25, "gpu0", 9*gib, p(5, 8*gib))},
			8 * gib, result.MemoryProcess, ""},
		"one process on two devices": {[]string{"gpu0", "gpu1"},
			[]power.MemoryLook{at(16, "gpu0", 9*gib, p(5, 7*gib)), at(16, "gpu1", 9*gib, p(5, 6*gib))},
			13 * gib, result.MemoryProcess, "processes (1) on gpu0 and gpu1"},
		"after the window": {[]string{"gpu0"},
			[]power.MemoryLook{at(16, "gpu0", 3*gib, p(5, 2*gib)), at(31, "gpu0", 9*gib, p(5, 8*gib))},
			2 * gib, result.MemoryProcess, ""},
		"two that trade": {[]string{"gpu0"},
			[]power.MemoryLook{at(16, "gpu0", 9*gib, p(5, 7*gib), p(6, gib)),
				at(25, "gpu0", 9*gib, p(5, 2*gib), p(6, 7*gib))},
			9 * gib, result.MemoryProcess, "processes (2)"},
		"two devices": {[]string{"gpu0", "gpu1"},
			[]power.MemoryLook{at(16, "gpu0", 9*gib, p(5, 7*gib)), at(16, "gpu1", 9*gib, p(6, 6*gib)),
				at(17, "gpu2", 9*gib, p(5, 70*gib))},
			13 * gib, result.MemoryProcess, "gpu0 and gpu1"},
		"a stranger does not count": {[]string{"gpu0"},
			[]power.MemoryLook{at(9, "gpu0", 30*gib, p(7, 30*gib)), at(25, "gpu0", 38*gib, p(5, 8*gib), p(7, 30*gib))},
			8 * gib, result.MemoryProcess, ""},
		"sizes hidden": {[]string{"gpu0"}, []power.MemoryLook{at(9, "gpu0", gib), at(25, "gpu0", 9*gib, p(5, -1))},
			8 * gib, result.MemoryDevice, "above that before"},
		"one size of two hidden": {[]string{"gpu0"},
			[]power.MemoryLook{at(9, "gpu0", gib), at(25, "gpu0", 9*gib, p(5, gib), p(6, -1))},
			8 * gib, result.MemoryDevice, ""},
		"sizes hidden, with a stranger": {[]string{"gpu0"},
			[]power.MemoryLook{at(9, "gpu0", gib), at(25, "gpu0", 9*gib, p(5, -1), p(7, -1))},
			0, "", "others were on the GPU"},
		"sizes hidden, a stranger before": {[]string{"gpu0"},
			[]power.MemoryLook{at(9, "gpu0", gib, p(7, -1)), at(25, "gpu0", 9*gib, p(5, -1))},
			0, "", "others were on the GPU"},
		"ids of another namespace": {[]string{"gpu0"},
			[]power.MemoryLook{at(9, "gpu0", gib), at(12, "gpu0", 9*gib, p(900, 8*gib)),
				at(29, "gpu0", 9*gib, p(900, 8*gib))},
			8 * gib, result.MemoryDevice, ""},
		"all hidden": {[]string{"gpu0"},
			[]power.MemoryLook{at(9, "gpu0", gib), at(16, "gpu0", 9*gib), at(29, "gpu0", 7*gib)},
			8 * gib, result.MemoryDevice, "others would go unnoticed"},
		"nothing known": {[]string{"gpu0"},
			[]power.MemoryLook{at(9, "gpu0", -1), at(16, "gpu0", -1, p(5, -1))}, 0, "", "the driver reports neither"},
		"nothing known before": {[]string{"gpu0"}, []power.MemoryLook{at(16, "gpu0", 9*gib, p(5, -1))}, 0, "",
			"the driver reports neither"},
		"one device of two only": {[]string{"gpu0", "gpu1"},
			[]power.MemoryLook{at(9, "gpu0", gib), at(16, "gpu0", 9*gib, p(5, -1))}, 0, "",
			"the driver reports neither"},
	} {
		var c Processes
		c.readyNS = 15 * second
		for _, l := range q.looks {
			if l.MonoNS < 10*second {
				c.AddMemory([]power.MemoryLook{l})
			}
		}
		c.engineStarts(10 * second)
		c.looks = nil
		c.AddMemory(q.looks)
		for _, l := range q.looks {
			for _, x := range l.Processes {
				c.add([]power.Presence{{Device: l.Device, PID: x.PID, FirstNS: l.MonoNS, LastNS: l.MonoNS}},
					func(pid int) bool { return pid == 5 || pid == 6 })
			}
		}
		got := c.PeakMemory(q.devices, w)
		if got.Bytes != q.want || got.Method != q.method || !strings.Contains(got.Source+got.Reason, q.text) ||
			(got.Bytes == 0) != (got.Reason != "") {
			t.Errorf("%s: %+v, want %d by %q with %q", name, got, q.want, q.method, q.text)
		}
	}
}

// TestMain makes this program hold memory where a test started it for that.
func TestMain(m *testing.M) {
	hold()
	m.Run()
}
