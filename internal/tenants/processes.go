package measure

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/unit"
)

// processLister is a meter that knows which processes use its devices. It must not
// be asked while a sampler polls it; what the sampler sees is in its trace.
type processLister interface {
	Processes(ctx context.Context) (map[string][]power.GPUProcess, error)
}

// crowd are the processes seen on the GPUs during a run.
type crowd struct {
	// engine is the engine's process, 0 until it is known. It is started at startNS
	// and holds its model from readyNS on.
	engine           int
	startNS, readyNS int64

	mu   sync.Mutex
	seen []sighting
	// looks are what was found in use, before what was in use before the engine's start.
	looks  []power.MemoryLook
	before map[string]int64
	hidden error // why the list could not be read
}

// sighting is a process on a device, and whether it is this run's own.
type sighting struct {
	power.Presence
	own      bool
	doubtful bool // it may be the engine
}

// add takes over what was seen. Whose a process is gets asked the first time it is
// seen: later it may be gone.
func (c *crowd) add(list []power.Presence, own func(pid int) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range list {
		i := slices.IndexFunc(c.seen, func(q sighting) bool { return q.Device == p.Device && q.PID == p.PID })
		if i < 0 {
			c.seen = append(c.seen, sighting{Presence: p, own: own(p.PID)})
			continue
		}
		q := &c.seen[i]
		q.FirstNS, q.LastNS = min(q.FirstNS, p.FirstNS), max(q.LastNS, p.LastNS)
	}
}

// carry takes over what an earlier run on the same engine knows: the engine, and the
// processes that were there before it, or came with it and were seen since.
func (c *crowd) carry(from *crowd, since int64) {
	c.engine, c.startNS, c.readyNS, c.hidden, c.before = from.engine, from.startNS, from.readyNS, from.hidden,
		from.before
	c.seen = slices.DeleteFunc(slices.Clone(from.seen), func(q sighting) bool {
		return q.FirstNS >= from.startNS && (q.FirstNS > from.readyNS || q.LastNS < since)
	})
}

// others says whether any process was seen that is not this run's own.
func (c *crowd) others() bool {
	return slices.ContainsFunc(c.seen, func(q sighting) bool { return !q.own })
}

// on are the sightings on one device.
func (c *crowd) on(device string) []sighting {
	return slices.DeleteFunc(slices.Clone(c.seen), func(q sighting) bool { return q.Device != device })
}

// look asks every meter for the processes on its devices, while no sampler runs.
func (r *run) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for _, m := range r.Meters {
		l, ok := m.(processLister)
		if !ok {
			continue
		}
		all, err := l.Processes(ctx)
		if err != nil && ctx.Err() == nil {
			r.crowd.hidden = err
		}
		now := clock.Mono()
		for device, list := range all {
			for _, p := range list {
				r.crowd.add([]power.Presence{{Device: device, PID: p.PID, FirstNS: now, LastNS: now}}, r.own)
			}
		}
		r.crowd.looked(now, all, usedOn(ctx, m))
	}
}

// usedOn is the memory in use on the devices of a meter that knows.
func usedOn(ctx context.Context, m power.Meter) map[string]unit.Bytes {
	u, ok := m.(interface {
		MemoryUsed(ctx context.Context) (map[string]unit.Bytes, error)
	})
	if !ok {
		return nil
	}
	used, _ := u.MemoryUsed(ctx) // what fails is missing
	return used
}

// looked notes what a look found on each device.
func (c *crowd) looked(now int64, all map[string][]power.GPUProcess, used map[string]unit.Bytes) {
	c.mu.Lock()
	defer c.mu.Unlock()
	devices := slices.AppendSeq(slices.Collect(maps.Keys(all)), maps.Keys(used))
	slices.Sort(devices)
	for _, d := range slices.Compact(devices) {
		l := power.MemoryLook{MonoNS: now, Device: d, Processes: all[d]}
		if n, ok := used[d]; ok {
			l.UsedBytes = new(int64(n))
		}
		c.looks = append(c.looks, l)
	}
}

// begin notes the engine's start, and what the devices hold just before it.
func (c *crowd) begin(now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.startNS, c.before = now, map[string]int64{}
	for _, l := range c.looks {
		if l.UsedBytes != nil {
			c.before[l.Device] = *l.UsedBytes
		}
	}
}

// lookEvery is the time between two looks where no sampler runs.
const lookEvery = 500 * time.Millisecond

// watched looks at the GPUs again and again while the engine does something outside
// the sampled stretches, and once more when it has done.
func (r *run) watched(ctx context.Context, do func() error) error {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				r.look(ctx)
			}
		}
	}()
	err := do()
	close(stop)
	<-stopped
	r.look(ctx)
	return err
}

// Limits of the wait for a GPU to be free of an engine that has ended.
const (
	vacateWithin = 10 * time.Second
	vacateEvery  = 50 * time.Millisecond
)

// vacated waits until the driver no longer lists processes that have ended: their
// memory would be missing, and their power be there, in what comes next. What does not
// go away in time is named by the next run.
func vacated(meters []power.Meter, ended []int) {
	ctx, cancel := context.WithTimeout(context.Background(), vacateWithin)
	defer cancel()
	for held := true; held && ctx.Err() == nil; {
		held = false
		for _, m := range meters {
			l, ok := m.(processLister)
			if !ok {
				continue
			}
			all, err := l.Processes(ctx)
			if err != nil {
				continue // what cannot be seen cannot be waited for
			}
			for _, list := range all {
				held = held ||
					slices.ContainsFunc(list, func(p power.GPUProcess) bool { return slices.Contains(ended, p.PID) })
			}
		}
		if held {
			_ = sleep(ctx, vacateEvery)
		}
	}
}

// ours are the processes of this run that were seen on a GPU.
func (c *crowd) ours() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []int
	for _, q := range c.seen {
		if q.own {
			out = append(out, q.PID)
		}
	}
	return out
}

// own says whether a process is this program, was started by it, or is in the
// process group of the engine.
func (r *run) own(pid int) bool {
	if r.crowd.engine > 0 {
		if group, err := unix.Getpgid(pid); err == nil && group == r.crowd.engine {
			return true
		}
	}
	for range 64 { // a chain of parents is short; one that is not ends somewhere
		if pid == os.Getpid() || pid == r.crowd.engine { // which in a container is no descendant
			return true
		}
		if pid = parentOf(pid); pid <= 1 {
			break
		}
	}
	return false
}

// parentOf is the parent of a process, 0 where there is none to be seen.
func parentOf(pid int) int {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// pid (command) state ppid …; a command may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// shared warns of other processes on the GPUs that ran the model: what they draw is
// in every number.
func (r *run) shared(m *Material) {
	r.crowd.mu.Lock()
	defer r.crowd.mu.Unlock()
	var before, gone, beside []string
	for _, d := range r.record.Energy.Devices {
		if !d.Counted || d.Kind != string(power.GPU) || d.OverNetwork || !r.lists(d.Device) {
			continue
		}
		r.unseen(d)
		early, late := r.crowd.strangers(d.Device, m.Window)
		before = append(before, early...)
		for _, p := range late {
			if p.LastNS < m.Window.Start {
				gone = append(gone, p.name())
			} else {
				beside = append(beside, p.name()+", "+p.during(m.Window))
			}
		}
	}
	if len(before) > 0 {
		r.note("gpu_shared", "other processes were on the GPU before the engine was started ("+
			strings.Join(before, "; ")+
			"): their power is in the baseline, and in the energy if they stayed; stop them, or choose another "+
			"GPU with CUDA_VISIBLE_DEVICES")
	}
	if len(gone) > 0 {
		r.note("gpu_shared", "another process used the GPU while the engine was loaded or warmed up, and was gone "+
			"before the window ("+strings.Join(gone, "; ")+
			"): it may have changed the idle power with the model loaded, clocks and temperature; run it again on "+
			"an idle GPU")
	}
	if len(beside) > 0 {
		r.note("gpu_shared", "another process was on the GPU during the window ("+strings.Join(beside, "; ")+
			"): its energy is in this result, which is not that of the model alone; run it again on an idle GPU")
	}
}

// lists says whether some meter can name the processes on a device.
func (r *run) lists(device string) bool {
	return slices.ContainsFunc(r.Meters, func(m power.Meter) bool {
		_, ok := m.(processLister)
		return ok && slices.ContainsFunc(m.Devices(), func(d power.Device) bool { return d.ID == device })
	})
}

// unseen warns where the driver does not show even the engine: it would show no
// other process either.
func (r *run) unseen(d result.Device) {
	if slices.ContainsFunc(r.crowd.on(d.Device), func(q sighting) bool { return q.LastNS >= r.crowd.startNS }) {
		return
	}
	why := "not even the engine's"
	if r.crowd.hidden != nil {
		why = r.crowd.hidden.Error()
	}
	r.note("gpu_processes_hidden",
		fmt.Sprintf("%s: the driver shows no processes here (%s), so others that use the GPU would go unnoticed; "+
			"in a container, share the host's process ids (docker run --pid=host)", d.Device, why))
}

// strangers are the processes on a device that are not this run's: those that were
// there before the engine, and those that came later. Where none is known to be the
// engine's, process ids are those of another namespace: one that came with the model
// and stayed is taken for the engine; of several it is not known which.
func (c *crowd) strangers(device string, w attribute.Window) (before []string, later []sighting) {
	engine := false
	var candidates []int
	for _, q := range c.on(device) {
		switch {
		case q.own:
			engine = true
		case q.FirstNS < c.startNS:
			before = append(before, q.name())
		default:
			later = append(later, q)
			if q.FirstNS <= c.readyNS && q.LastNS >= w.Start {
				candidates = append(candidates, len(later)-1)
			}
		}
	}
	switch {
	case engine:
	case len(candidates) == 1:
		later = slices.Delete(later, candidates[0], candidates[0]+1)
	default:
		for _, i := range candidates {
			later[i].doubtful = true
		}
	}
	return before, later
}

func (q sighting) name() string {
	s := fmt.Sprintf("%s: process %d", q.Device, q.PID)
	if q.doubtful {
		s += ", or this one is the engine"
	}
	return s
}

// during says when in the window a process was seen.
func (q sighting) during(w attribute.Window) string {
	from, to := float64(q.FirstNS-w.Start)/1e9, float64(min(q.LastNS, w.End)-w.Start)/1e9
	if from < 0 {
		return fmt.Sprintf("from before the window to %.1f of its %.1f s", to, w.Duration().Seconds())
	}
	return fmt.Sprintf("from %.1f to %.1f of its %.1f s", from, to, w.Duration().Seconds())
}
