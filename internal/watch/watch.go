// Package watch distinguishes a stalled engine from one that works in silence.
//
// An engine writes nothing while it computes a batch, and a long prompt may take an hour on a CPU: silence alone
// is not a stall. The kernel knows more: an engine that works uses processor time, even if its work is on a GPU,
// because a processor starts each kernel, or it waits for a processor that others use (state R). An engine is
// stalled if within the limit it has neither sent anything nor used or wanted a processor, or if it has sent
// nothing and one of its processes is stopped (state T, as by SIGSTOP), for which the others may wait in a loop. A
// server with requests under way must use a quarter of a processor: its program uses a little in any case. An
// engine that waits in a loop for something else looks as if it works: only a time limit ends it.
//
// The time in which this program itself was stopped does not count.
package watch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/kin"
	"github.com/llenergymeasure/llem/note"
)

// Engine is the engine to watch.
type Engine struct {
	// Limit is how long it may stall.
	Limit time.Duration
	// Root returns its first process; 0 if unknown. Then only silence counts if Talks is set, and nothing otherwise.
	Root func() int
	// Family finds all of its processes. This costs milliseconds: it is called after half the limit, and again at its
	// end.
	Family func() kin.Family
	// Talks reports that the engine sends data whenever it works, or computes a prompt, as a server with requests
	// under way does.
	Talks bool

	heard atomic.Int64
}

// Heard records that the engine sent something, at a time of CLOCK_MONOTONIC in nanoseconds. It may be called
// concurrently.
func (e *Engine) Heard(at int64) {
	if e != nil {
		e.heard.Store(at)
	}
}

// Stalled is the cause of a context that ends because the engine is stalled.
type Stalled struct {
	// For is how long the engine has sent nothing.
	For time.Duration
	// Stopped are the processes in state T.
	Stopped []int
	// States are the states of its processes, such as 'S', by process id.
	States map[int]byte
}

// Error reports the length of the silence and the state of the processes.
func (s *Stalled) Error() string {
	text := fmt.Sprintf("no output for %v and hardly any processor time used",
		s.For.Round(time.Millisecond))
	if len(s.Stopped) > 0 {
		text = fmt.Sprintf("no output for %v; stopped processes (state T): %s",
			s.For.Round(time.Millisecond), strings.Trim(fmt.Sprint(s.Stopped), "[]"))
	} else if len(s.States) > 0 {
		var all []string
		for _, pid := range slices.Sorted(maps.Keys(s.States)) {
			all = append(all, fmt.Sprintf("%d %c", pid, s.States[pid]))
		}
		text += " (processes and their states: " + strings.Join(all[:min(len(all), mostNamed)], ", ") + ")"
	}
	return text
}

// mostNamed bounds the list of processes in a message.
const mostNamed = 16

// Failure returns the failure of an engine that stalled while doing something, and was ended.
func (s *Stalled) Failure(name, doing string) *note.Failure {
	next := "see engine.log for its last lines, and `dmesg` for errors of the GPU (Xid) or of the disk; " +
		"then rerun"
	if len(s.Stopped) > 0 {
		next = "find out what sent SIGSTOP (a scheduler, a debugger, another user), then rerun"
	}
	return &note.Failure{Class: codes.ClassHung, Next: next,
		Message: fmt.Sprintf("%s stalled while %s and was ended: %v", name, doing, s)}
}

// Watch returns a context that ends when the engine stalls, with a [Stalled] as its cause, and a function that
// stops watching.
func (e *Engine) Watch(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	if e == nil || e.Limit <= 0 {
		return ctx, func() { cancel(nil) }
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.watch(ctx, cancel)
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// polls is how often the engine is observed within its limit.
const polls = 10

func (e *Engine) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	period := max(e.Limit/polls, time.Millisecond)
	tick := time.NewTicker(period)
	defer tick.Stop()
	l := progress{Engine: e, heard: e.heard.Load()}
	for last := clock.Mono(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := clock.Mono()
		stalled := l.after(waited(last, now, period))
		last = now
		if stalled != nil {
			cancel(stalled)
			return
		}
	}
}

// waited returns the part of the time between two observations that counts: if it is more than twice the period,
// this program itself was stopped.
func waited(last, now int64, period time.Duration) time.Duration {
	return min(time.Duration(now-last), 2*period)
}

// progress is what was observed of an engine so far.
type progress struct {
	*Engine
	heard int64
	// quiet is the time since the engine sent something, idle the time since it did anything.
	quiet, idle time.Duration
	root        uint64 // processor time of the first process
	// family has the initial processor times of all processes, as of the last search.
	family map[int]uint64
	ago    time.Duration
	// stopped is how long processes have been in state T.
	stopped map[int]time.Duration
}

// after observes the engine again, and returns its stall, if any.
func (l *progress) after(step time.Duration) *Stalled {
	if h := l.Engine.heard.Load(); h != l.heard {
		*l = progress{Engine: l.Engine, heard: h, root: l.root}
		return nil
	}
	l.quiet += step
	l.idle += step
	pid := 0
	if l.Root != nil {
		pid = l.Root()
	}
	if pid == 0 {
		if l.Talks && l.quiet >= l.Limit {
			return &Stalled{For: l.quiet}
		}
		return nil
	}
	p, ok := kin.Read(pid)
	switch {
	case !ok, p.Dead(), p.State == 't': // the end is detected elsewhere; in state t a debugger holds the process
		l.idle = 0
	case !l.Talks && (p.CPU != l.root || p.State == 'R'):
		l.root, l.idle = p.CPU, 0
	}
	if l.idle < l.Limit/2 && l.quiet < l.Limit/2 {
		return nil
	}
	return l.members(step)
}

// members examines all processes of the engine.
func (l *progress) members(step time.Duration) *Stalled {
	used, stopped, states := l.read(), map[int]time.Duration{}, map[int]byte{}
	for pid, p := range used {
		states[pid] = p.State
		if p.State == 'T' {
			stopped[pid] = l.stopped[pid] + step
		}
	}
	l.stopped = stopped
	works := l.works(used, step)
	if works && !l.Talks {
		l.idle, l.family = 0, nil
	}
	out := &Stalled{For: l.quiet, States: states}
	for pid, d := range stopped {
		if d > l.Limit*2/5 {
			out.Stopped = append(out.Stopped, pid)
		}
	}
	slices.Sort(out.Stopped)
	switch {
	case l.quiet >= l.Limit && len(out.Stopped) > 0:
		return out
	case l.idle < l.Limit:
		return nil
	case works, l.works(l.Family(), 0): // new ones appeared
		l.idle, l.family = l.Limit/2, nil
		return nil
	}
	return out
}

// share is the minimum part of a processor that a server uses while it works on requests. Answering requests for
// its counters alone uses less.
const share = 0.25

// works reports whether the processes have used processor time since they were first seen.
func (l *progress) works(now kin.Family, step time.Duration) bool {
	if l.family == nil {
		l.family, l.ago = map[int]uint64{}, 0
		for pid, p := range now {
			l.family[pid] = p.CPU
		}
		return false
	}
	l.ago += step
	var ticks uint64
	runs := false // or waits for a processor that others use
	for pid, p := range now {
		ticks += p.CPU - min(p.CPU, l.family[pid])
		runs = runs || p.State == 'R'
	}
	if l.Talks {
		return runs || float64(ticks)/kin.Ticks >= share*l.ago.Seconds()
	}
	return runs || ticks > 0
}

// read reads the processes that were found before: a search costs more.
func (l *progress) read() kin.Family {
	if l.family == nil {
		return l.Family()
	}
	out := kin.Family{}
	for pid := range l.family {
		if p, ok := kin.Read(pid); ok {
			out[pid] = p
		}
	}
	return out
}
