package watch

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/kin"
)

// observed returns the observation of an engine with a limit of 10 s whose first process sleeps, and that process.
func observed(t *testing.T, talks bool) (*progress, int) {
	e := engine(t, "exec sleep 300")
	e.Limit, e.Talks = 10*time.Second, talks
	command := func() string {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", e.Root()))
		return string(text)
	}
	for command() != "sleep\n" {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond) // it goes to sleep
	p, _ := kin.Read(e.Root())
	return &progress{Engine: e, root: p.CPU}, e.Root()
}

// TestWorks: what counts as work of processes, given their initial processor time.
func TestWorks(t *testing.T) {
	one := func(cpu uint64, state byte) kin.Family { return kin.Family{7: {PID: 7, CPU: cpu, State: state}} }
	for name, q := range map[string]struct {
		talks bool
		now   kin.Family
		want  bool
	}{
		"nothing":                             {false, one(1000, 'S'), false},
		"a tick":                              {false, one(1001, 'S'), true},
		"waits for a processor":               {false, one(1000, 'R'), true},
		"another process with its id":         {false, one(3, 'S'), false},
		"a new child":                         {false, kin.Family{7: {CPU: 1000}, 8: {CPU: 5}}, true},
		"nothing of a server":                 {true, one(1000, 'S'), false},
		"little of a server":                  {true, one(1099, 'S'), false},
		"a quarter of a processor":            {true, one(1100, 'S'), true},
		"a server that waits for a processor": {true, one(1000, 'R'), true},
		"a reused id of a server":             {true, one(900, 'S'), false},
	} {
		l := &progress{Engine: &Engine{Talks: q.talks}}
		if l.works(one(1000, 'S'), time.Second) {
			t.Errorf("%s: it works before anything is known", name)
		}
		for range 3 {
			l.works(one(1000, 'S'), time.Second)
		}
		if got := l.works(q.now, time.Second); got != q.want { // after 4 s: 100 ticks are a quarter
			t.Errorf("%s: works %v, want %v", name, got, q.want)
		}
	}
}

// TestStopped: a process in state T for two fifths of the limit is named if the engine was silent for the whole
// limit.
func TestStopped(t *testing.T) {
	for _, talks := range []bool{false, true} {
		l, pid := observed(t, talks)
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		for p, _ := kin.Read(pid); p.State != 'T'; p, _ = kin.Read(pid) {
			time.Sleep(time.Millisecond)
		}
		for i := 1; i <= 10; i++ {
			stalled := l.after(time.Second)
			if (stalled != nil) != (i == 10) {
				t.Fatalf("after %d s: %v", i, stalled)
			}
			if stalled != nil && (!slices.Equal(stalled.Stopped, []int{pid}) || stalled.For != 10*time.Second) {
				t.Errorf("%+v, want process %d to be named", stalled, pid)
			}
		}
	}
}

// TestStoppedShortly: a process that was stopped a moment ago is not the cause of the silence.
func TestStoppedShortly(t *testing.T) {
	l, pid := observed(t, false)
	for range 8 {
		l.after(time.Second)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for p, _ := kin.Read(pid); p.State != 'T'; p, _ = kin.Read(pid) {
		time.Sleep(time.Millisecond)
	}
	l.after(time.Second)
	if stalled := l.after(time.Second); stalled == nil || len(stalled.Stopped) > 0 || stalled.States[pid] != 'T' {
		t.Errorf("%+v, want a stall with no process named as the cause", stalled)
	}
}

// TestLatecomers: before an engine is given up, all of its processes are searched for: new ones may work.
func TestLatecomers(t *testing.T) {
	l, _ := observed(t, false)
	first, calls := l.Family(), 0
	l.Family = func() kin.Family {
		out := maps.Clone(first)
		if calls++; calls > 1 {
			out[1<<30] = kin.Process{PID: 1 << 30, CPU: 50, State: 'S'}
		}
		return out
	}
	for i := range 14 { // the first half of the limit again
		if stalled := l.after(time.Second); stalled != nil {
			t.Fatalf("given up after %d s: %v", i+1, stalled)
		}
	}
	if calls < 2 {
		t.Errorf("its processes were looked for %d times", calls)
	}
}

// TestHeardAgain: output ends the silence, and earlier observations do not count.
func TestHeardAgain(t *testing.T) {
	for _, talks := range []bool{false, true} {
		l, _ := observed(t, talks)
		for range 9 {
			l.after(time.Second)
		}
		l.Heard(1)
		for i := range 10 {
			if stalled := l.after(time.Second); stalled != nil {
				t.Fatalf("given up %d s after it was heard: %v", i, stalled)
			}
		}
		if l.after(time.Second) == nil {
			t.Error("it was silent for the whole limit and is not given up")
		}
	}
}

// TestUnknownProcess: if no process is known, only a server is given up.
func TestUnknownProcess(t *testing.T) {
	for _, talks := range []bool{false, true} {
		l := &progress{Engine: &Engine{Limit: 10 * time.Second, Talks: talks}}
		for i := 1; i <= 12; i++ {
			if got := l.after(time.Second) != nil; got != (talks && i >= 10) {
				t.Errorf("a server: %v, after %d s: given up %v", talks, i, got)
			}
		}
	}
}
