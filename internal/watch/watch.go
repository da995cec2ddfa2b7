// Package watch tells an engine that stands still from one that works in silence.
//
// An engine writes nothing while it computes a batch, and a long prompt may take an hour on a
// processor: silence alone says nothing. The kernel knows more: an engine that works uses
// processor time, also one whose work is on a GPU, since a processor starts each of its
// kernels, or it waits for a processor that others have (state R). It stands still if for the
// limit it has neither sent anything nor used or wanted a processor, or if it has sent nothing
// and one of its processes has been stopped (state T, as by SIGSTOP), for whose part the others
// may wait in a loop. Of a server with requests under way, a quarter of a processor is expected:
// its program uses a little in any case. An engine that waits in a loop for something else looks
// like one that works: only a limit of time ends it.
//
// The time in which this program was itself stopped does not count.
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

// Engine is what is watched.
type Engine struct {
	// Limit is how long it may stand still.
	Limit time.Duration
	// Root is its first process; 0 if not known, and then silence alone counts where Talks is
	// set, and nothing otherwise.
	Root func() int
	// Family finds all of its processes. It costs milliseconds: it is called after half the
	// limit, and once more at its end.
	Family func() kin.Family
	// Talks says that it sends something all the time that it works, or computes a prompt,
	// as a server with requests under way.
	Talks bool

	heard atomic.Int64
}

// Heard notes that the engine has sent something, at a time of CLOCK_MONOTONIC in
// nanoseconds. It may be called at any time.
func (e *Engine) Heard(at int64) {
	if e != nil {
		e.heard.Store(at)
	}
}

// Stalled is the cause of a context that ends because the engine stands still.
type Stalled struct {
	// For is how long it has sent nothing.
	For time.Duration
	// Stopped are the processes in state T.
	Stopped []int
	// States are those of its processes, such as "S", by their numbers.
	States map[int]byte
}

// Error says since when, and what its processes do.
func (s *Stalled) Error() string {
	text := fmt.Sprintf("nothing came from it for %v, and it used no processor time to speak of",
		s.For.Round(time.Millisecond))
	if len(s.Stopped) > 0 {
		text = fmt.Sprintf("nothing came from it for %v, and of its processes these are stopped (state T): %s",
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

// mostNamed bounds a list of processes in a message.
const mostNamed = 16

// Failure is that of an engine which stood still while doing something, and was stopped.
func (s *Stalled) Failure(name, doing string) *note.Failure {
	next := "see engine.log for its last lines, and `dmesg` for errors of the GPU (Xid) or of the disk; " +
		"then run it again"
	if len(s.Stopped) > 0 {
		next = "find out what sent SIGSTOP (a scheduler, a debugger, another user), then run it again"
	}
	return &note.Failure{Class: codes.ClassHung, Next: next,
		Message: fmt.Sprintf("%s stood still while %s: %v; it was ended", name, doing, s)}
}

// Watch returns a context that ends when the engine stands still, with a [Stalled] as its
// cause, and the function that ends watching.
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

// looks is how often the engine is looked at within its limit.
const looks = 10

func (e *Engine) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	period := max(e.Limit/looks, time.Millisecond)
	tick := time.NewTicker(period)
	defer tick.Stop()
	l := look{Engine: e, heard: e.heard.Load()}
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

// waited is the time between two looks that was spent waiting for the engine: for more than
// twice the period this program itself was stopped.
func waited(last, now int64, period time.Duration) time.Duration {
	return min(time.Duration(now-last), 2*period)
}

// look is what was seen of an engine so far.
type look struct {
	*Engine
	heard int64
	// quiet is the time since it sent something, idle since it did anything.
	quiet, idle time.Duration
	root        uint64 // processor time of the first process
	// family has the processor times of all processes as they were first, a time ago.
	family map[int]uint64
	ago    time.Duration
	// stopped is how long processes have been in state T.
	stopped map[int]time.Duration
}

// after looks at the engine once more, and returns what stands still.
func (l *look) after(step time.Duration) *Stalled {
	if h := l.Engine.heard.Load(); h != l.heard {
		*l = look{Engine: l.Engine, heard: h, root: l.root}
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
	case !ok, p.Dead(), p.State == 't': // its end is seen elsewhere; a debugger holds it
		l.idle = 0
	case !l.Talks && (p.CPU != l.root || p.State == 'R'):
		l.root, l.idle = p.CPU, 0
	}
	if l.idle < l.Limit/2 && l.quiet < l.Limit/2 {
		return nil
	}
	return l.members(step)
}

// members looks at all processes of the engine.
func (l *look) members(step time.Duration) *Stalled {
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
	case works, l.works(l.Family(), 0): // some came meanwhile
		l.idle, l.family = l.Limit/2, nil
		return nil
	}
	return out
}

// share is the part of a processor that a server uses at least which works on requests. What
// it uses in any case, to answer questions for its counters, is less.
const share = 0.25

// works reports whether the processes have used processor time since they were first seen.
func (l *look) works(now kin.Family, step time.Duration) bool {
	if l.family == nil {
		l.family, l.ago = map[int]uint64{}, 0
		for pid, p := range now {
			l.family[pid] = p.CPU
		}
		return false
	}
	l.ago += step
	var ticks uint64
	runs := false // or waits for a processor that others have
	for pid, p := range now {
		ticks += p.CPU - min(p.CPU, l.family[pid])
		runs = runs || p.State == 'R'
	}
	if l.Talks {
		return runs || float64(ticks)/kin.Ticks >= share*l.ago.Seconds()
	}
	return runs || ticks > 0
}

// read reads the processes that were found at first: to look for others costs more.
func (l *look) read() kin.Family {
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
