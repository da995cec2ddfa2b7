// Package tenants determines whose processes are on the GPUs of a run, and how much memory the engine's
// processes use.
//
// [Processes] collects the meters' process lists before the engine's start, while it loads and during the
// window, and separates the engine's processes from others, whose energy is part of every number.
// [MemoryWatch] follows an engine on a processor.
package tenants

import (
	"context"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/power"
)

// lister is a meter that lists the processes on its devices. It must not be called while a sampler polls the
// meter; the sampler's trace has the processes.
type lister interface {
	Processes(ctx context.Context) (map[string][]power.GPUProcess, error)
}

// memoryReader is a meter that reports the memory in use on its devices.
type memoryReader interface {
	MemoryUsed(ctx context.Context) (map[string]digits.Bytes, error)
}

// Processes are the processes on the GPUs during a run. The zero value is ready to use.
type Processes struct {
	// Clock is the clock of the run.
	Clock tick.Clock

	// engine is the engine's process, 0 until it is known. It was started at startNS and its model is loaded
	// since readyNS.
	engine           int
	startNS, readyNS int64

	mu   sync.Mutex
	seen []seen
	// looks are the polled memory values, before the memory in use before the engine's start.
	looks  []power.MemoryLook
	before map[string]int64
	hidden error // why the list could not be read
}

// seen is a process on a device, and whether it belongs to this run.
type seen struct {
	power.Presence
	own      bool
	doubtful bool // it may be the engine
}

// Add adds processes from a sampler.
func (p *Processes) Add(list []power.Presence) { p.add(list, p.own) }

// add adds processes. Their owner is determined when they are first seen, because later they may be gone.
func (p *Processes) add(list []power.Presence, own func(pid int) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range list {
		i := slices.IndexFunc(p.seen, func(s seen) bool { return s.Device == q.Device && s.PID == q.PID })
		if i < 0 {
			p.seen = append(p.seen, seen{Presence: q, own: own(q.PID)})
			continue
		}
		p.seen[i].Join(q)
	}
}

// Inherit copies the knowledge of an earlier run on the same engine: the engine, and the processes that were
// there before it, or came with it and were seen since a time in nanoseconds of the monotonic clock.
func (p *Processes) Inherit(from *Processes, since int64) {
	p.engine, p.startNS, p.readyNS, p.hidden, p.before = from.engine, from.startNS, from.readyNS, from.hidden,
		from.before
	p.seen = slices.DeleteFunc(slices.Clone(from.seen), func(s seen) bool {
		return s.FirstNS > from.startNS && (s.FirstNS > from.readyNS || s.LastNS < since)
	})
}

// Foreign reports whether a process was seen that does not belong to this run.
func (p *Processes) Foreign() bool {
	return slices.ContainsFunc(p.seen, func(s seen) bool { return !s.own })
}

// Own returns the process ids of this run that were seen on a GPU.
func (p *Processes) Own() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []int
	for _, s := range p.seen {
		if s.own {
			out = append(out, s.PID)
		}
	}
	return out
}

// on returns the processes on one device.
func (p *Processes) on(device string) []seen {
	return slices.DeleteFunc(slices.Clone(p.seen), func(s seen) bool { return s.Device != device })
}

// EngineStarts records that the engine is about to start, and the memory in use on the devices just before.
func (p *Processes) EngineStarts() { p.engineStarts(p.Clock.Mono()) }

func (p *Processes) engineStarts(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.startNS, p.before = now, map[string]int64{}
	for _, l := range p.looks {
		if l.UsedBytes != nil {
			p.before[l.Device] = *l.UsedBytes
		}
	}
}

// EngineLoaded records that the engine has loaded its model, and its process.
func (p *Processes) EngineLoaded(pid int) { p.engine, p.readyNS = pid, p.Clock.Mono() }

// Poll asks every meter for the processes on its devices, while no sampler runs.
func (p *Processes) Poll(ctx context.Context, meters []power.Meter) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for _, m := range meters {
		l, ok := m.(lister)
		if !ok {
			continue
		}
		all, err := l.Processes(ctx)
		if err != nil && ctx.Err() == nil {
			p.hidden = err
		}
		now := p.Clock.Mono()
		for device, list := range all {
			for _, q := range list {
				p.Add([]power.Presence{{Device: device, PID: q.PID, FirstNS: now, LastNS: now}})
			}
		}
		p.addUsed(now, all, usedOn(ctx, m))
	}
}

// usedOn returns the memory in use on the devices of a meter.
func usedOn(ctx context.Context, m power.Meter) map[string]digits.Bytes {
	u, ok := m.(memoryReader)
	if !ok {
		return nil
	}
	used, _ := u.MemoryUsed(ctx) // a failed device is missing
	return used
}

// addUsed adds the memory in use on each device.
func (p *Processes) addUsed(now int64, all map[string][]power.GPUProcess, used map[string]digits.Bytes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	devices := slices.AppendSeq(slices.Collect(maps.Keys(all)), maps.Keys(used))
	slices.Sort(devices)
	for _, d := range slices.Compact(devices) {
		l := power.MemoryLook{MonoNS: now, Device: d, Processes: all[d]}
		if n, ok := used[d]; ok {
			l.UsedBytes = new(int64(n))
		}
		p.looks = append(p.looks, l)
	}
}

// pollEvery is the time between two polls without a sampler.
const pollEvery = 500 * time.Millisecond

// Watch polls the GPUs while the engine works outside the sampled intervals, and once more afterwards.
func (p *Processes) Watch(ctx context.Context, meters []power.Meter, do func() error) error {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(pollEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				p.Poll(ctx, meters)
			}
		}
	}()
	err := do()
	close(stop)
	<-stopped
	p.Poll(ctx, meters)
	return err
}

// Limits for waiting until a GPU is free of an engine that has ended.
const (
	releaseWithin = 10 * time.Second
	releaseEvery  = 50 * time.Millisecond
)

// WaitReleased waits until the driver no longer lists processes that have ended, because they would take
// memory and power from the next run. The next run reports what is not released in time.
func WaitReleased(meters []power.Meter, ended []int) {
	ctx, cancel := context.WithTimeout(context.Background(), releaseWithin)
	defer cancel()
	for held := true; held && ctx.Err() == nil; {
		held = false
		for _, m := range meters {
			l, ok := m.(lister)
			if !ok {
				continue
			}
			all, err := l.Processes(ctx)
			if err != nil {
				continue // invisible processes cannot be waited for
			}
			for _, list := range all {
				held = held ||
					slices.ContainsFunc(list, func(p power.GPUProcess) bool { return slices.Contains(ended, p.PID) })
			}
		}
		if held {
			_ = clock.Sleep(ctx, releaseEvery)
		}
	}
}

// own reports whether a process is this program, was started by it, or is in the process group of the engine.
func (p *Processes) own(pid int) bool {
	if p.engine > 0 {
		if group, err := unix.Getpgid(pid); err == nil && group == p.engine {
			return true
		}
	}
	for range 64 { // bounds the chain of parents
		if pid == os.Getpid() || pid == p.engine { // which in a container is not a descendant of this program
			return true
		}
		if pid, _ = machine.kin(pid); pid <= 1 {
			break
		}
	}
	return false
}

// Listed reports whether a meter can list the processes on a device.
func Listed(meters []power.Meter, device string) bool {
	return slices.ContainsFunc(meters, func(m power.Meter) bool {
		_, ok := m.(lister)
		return ok && slices.ContainsFunc(m.Devices(), func(d power.Device) bool { return d.ID == device })
	})
}
