package watch

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/kin"
)

const limit = 500 * time.Millisecond

// patience is how long a test waits for an event that must come, on a machine that others use too.
const patience = time.Minute

// engine starts a shell script as an engine.
func engine(t *testing.T, script string) *Engine {
	t.Helper()
	c := exec.Command("sh", "-c", script)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pid := c.Process.Pid
	t.Cleanup(func() { _ = syscall.Kill(-pid, syscall.SIGKILL); _ = c.Wait() })
	e := kin.Engine{Group: pid}
	return &Engine{Limit: limit, Root: func() int { return pid }, Family: e.Find}
}

// TestWatch: a stalled engine is distinguished from one that works.
func TestWatch(t *testing.T) {
	const spin, sleep = "while :; do :; done", "sleep 300"
	// A little means some ticks of the kernel's clock per limit, on a busy machine too.
	const little = "while :; do i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 0.02; done"
	for name, q := range map[string]struct {
		script string
		talks  bool
		want   string // empty: it works
	}{
		"sleeps":                      {sleep, false, "hardly any processor time"},
		"computes":                    {spin, false, ""},
		"a child computes":            {"sh -c '" + spin + "; :'; :", false, ""},
		"a stopped child":             {"sleep 300 & kill -STOP $!; " + spin, false, "stopped processes (state T)"},
		"uses a little":               {little, false, ""},
		"a server that sleeps":        {sleep, true, "hardly any processor time"},
		"a server that computes":      {spin, true, ""},
		"a server that uses a little": {"while :; do sleep 0.2; done", true, "hardly any processor time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := engine(t, q.script)
			e.Talks = q.talks
			ctx, stop := e.Watch(t.Context())
			defer stop()
			wait := 5 * limit
			if q.want != "" {
				wait = patience
			}
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
			stalled, ok := errors.AsType[*Stalled](context.Cause(ctx))
			if ok != (q.want != "") || ok && !strings.Contains(stalled.Error(), q.want) {
				t.Errorf("%v, want %q", context.Cause(ctx), q.want)
			}
			if ok && stalled.Failure("some engine", "loading").Class != codes.ClassHung {
				t.Error("it has another class")
			}
		})
	}
}

// TestHeard: an engine that sends something is not stalled, and its silence begins at its last output.
func TestHeard(t *testing.T) {
	t.Parallel()
	e := engine(t, "sleep 300")
	e.Limit *= 10 // longer than this process waits for a processor
	ctx, stop := e.Watch(t.Context())
	defer stop()
	var last int64
	for range 60 {
		last = clock.Mono()
		e.Heard(last)
		time.Sleep(limit / 4)
	}
	if ctx.Err() != nil {
		t.Fatalf("%v while it spoke", context.Cause(ctx))
	}
	<-ctx.Done()
	if silent := time.Duration(clock.Mono() - last); silent < e.Limit*3/4 {
		t.Errorf("it was given up after %v", silent)
	}
}

// TestUnknown: if no process is known, only the silence of a server counts, and without a limit nothing does.
func TestUnknown(t *testing.T) {
	t.Parallel()
	for _, e := range []*Engine{nil, {}, {Limit: limit}, {Limit: limit, Talks: true, Root: func() int { return 0 }}} {
		ctx, stop := e.Watch(t.Context())
		wait := 2 * limit
		if e != nil && e.Talks {
			wait = patience
		}
		select {
		case <-ctx.Done():
			if e == nil || !e.Talks {
				t.Errorf("%+v: %v", e, context.Cause(ctx))
			}
		case <-time.After(wait):
			if e != nil && e.Talks {
				t.Error("a server's silence was not noticed")
			}
		}
		stop()
	}
}

// TestSuspended: the time in which this program did not run does not count against the engine.
func TestSuspended(t *testing.T) {
	t.Parallel()
	l := progress{Engine: engine(t, "sleep 300")}
	for range 4 {
		if stalled := l.after(waited(0, int64(time.Hour), limit/polls)); stalled != nil {
			t.Errorf("given up after four looks: %v", stalled)
		}
	}
}

// TestStarved: an engine that waits for a processor that others use is not given up.
func TestStarved(t *testing.T) {
	t.Parallel()
	for _, talks := range []bool{false, true} {
		now := kin.Process{State: 'R', CPU: 5}
		l := progress{Engine: &Engine{Limit: limit, Talks: talks}, root: 5}
		for range 3 {
			if works := l.works(kin.Family{1: now}, limit/polls); works != (l.ago > 0) {
				t.Errorf("talks %t: works %t after %v", talks, works, l.ago)
			}
		}
		now.State = 'S'
		if l.works(kin.Family{1: now}, limit/polls) {
			t.Errorf("talks %t: a process that sleeps works", talks)
		}
	}
}
