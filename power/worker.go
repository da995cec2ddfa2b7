package power

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/tick"
)

// worker polls one meter. Only its goroutine calls the meter. It moves the collected values under the lock
// after every poll, so that Stop finds them even if the meter never returns.
type worker struct {
	sampler *Sampler
	meter   Meter
	marks   chan markRequest
	primed  chan struct{}
	done    chan struct{}

	// The following fields belong to the goroutine.
	scratch     Trace
	devices     map[string]*deviceState
	counters    map[string]Reading // the previous reading by device
	nextPoll    int64
	nextCounter int64
	dead        bool          // the meter panicked and is not called again
	cpu0        time.Duration // when sampling began

	mu     sync.Mutex
	out    Trace           // all but the samples
	packs  []*pack         // the samples, by device
	seen   map[string]bool // errors already recorded
	lastNS int64           // end of the latest poll
}

// deviceState is the worker's state of one device's series.
type deviceState struct {
	source    string
	lastNS    int64 // stamp of the newest sample, or the start of sampling
	failingNS int64 // start of the missing samples; 0 while they arrive
	reason    string
	shownNS   int64
}

type markRequest struct {
	snap   time.Duration
	answer chan []Reading // buffered, so that the worker never waits for a caller that left
}

func newWorker(m Meter, s *Sampler) *worker {
	w := &worker{
		sampler: s, meter: m,
		marks: make(chan markRequest), primed: make(chan struct{}), done: make(chan struct{}),
		devices: make(map[string]*deviceState), counters: make(map[string]Reading), seen: make(map[string]bool),
	}
	for _, d := range m.Devices() {
		w.devices[d.ID] = &deviceState{source: m.Name(), lastNS: s.startNS}
	}
	return w
}

// run is the worker's goroutine. It must not start processes: a child would be tied to this thread, which may
// end with the goroutine.
func (w *worker) run(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(w.done)
	w.begin(ctx)
	close(w.primed)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Duration(max(0, w.tick(ctx)-w.sampler.Now())))
		select {
		case <-ctx.Done():
			w.finish(ctx)
			return
		case r := <-w.marks:
			r.answer <- w.mark(ctx, r.snap)
		case <-timer.C:
		}
	}
}

// begin polls once and discards the result: its samples, gaps and errors belong to the time since the meter
// was last polled. A lasting failure shows at the next poll; a panic would not.
func (w *worker) begin(ctx context.Context) {
	w.cpu0 = w.cpu()
	if err := w.guard("", func() error { return w.meter.Poll(ctx, &w.scratch) }); w.dead {
		w.note(err)
	}
	w.scratch = Trace{}
	now := w.sampler.Now()
	w.nextPoll, w.nextCounter = now+int64(w.meter.Interval()), now
}

// tick does what is due and returns the time of the next task.
func (w *worker) tick(ctx context.Context) int64 {
	now := w.sampler.Now()
	if now >= w.nextPoll {
		w.poll(ctx)
		w.nextPoll = following(w.nextPoll, w.meter.Interval(), now)
	}
	if now >= w.nextCounter {
		before := w.cpu()
		w.keep(w.read(ctx))
		w.nextCounter = following(w.nextCounter, w.counterInterval(w.cpu()-before), now)
	}
	return min(w.nextPoll, w.nextCounter)
}

// counterInterval returns the time to the next reading of the counters, given the cost of one.
func (w *worker) counterInterval(cost time.Duration) time.Duration {
	if d := w.sampler.CounterInterval; d > 0 {
		return max(d, minCounterInterval)
	}
	return max(counterInterval, time.Duration(float64(cost)/counterShare))
}

// following returns the next time of a schedule after now; missed times are skipped.
func following(due int64, interval time.Duration, now int64) int64 {
	if due += int64(interval); due > now {
		return due
	}
	return now + int64(interval)
}

func (w *worker) finish(ctx context.Context) {
	w.poll(ctx)
	w.keep(w.read(ctx))
	now := w.sampler.Now()
	for id, d := range w.devices {
		if d.failingNS != 0 {
			w.scratch.Gaps = append(w.scratch.Gaps,
				Gap{Device: id, Source: d.source, StartNS: d.failingNS, EndNS: now, Reason: d.reason})
		}
	}
	w.flush()
}

// poll collects new samples, and opens or closes gaps.
func (w *worker) poll(ctx context.Context) {
	// The end of sampling must not look like a failure of the meter.
	ctx = context.WithoutCancel(ctx)
	err := w.guard("", func() error { return w.meter.Poll(ctx, &w.scratch) })
	w.note(err)
	w.mu.Lock()
	w.out.Cost.Polls++
	w.mu.Unlock()
	newest := make(map[string]Sample, len(w.devices))
	for _, s := range w.scratch.Samples {
		d := w.devices[s.Device]
		if d == nil {
			continue
		}
		if d.failingNS != 0 {
			w.scratch.Gaps = append(w.scratch.Gaps, Gap{Device: s.Device, Source: s.Source,
				StartNS: d.failingNS, EndNS: s.MonoNS - int64(s.Window), Reason: d.reason})
			d.failingNS = 0
		}
		d.source, d.lastNS = s.Source, s.MonoNS
		newest[s.Device] = s
	}
	for id, d := range w.devices {
		s, fresh := newest[id]
		switch {
		case fresh:
			w.show(d, s)
		case err != nil && d.failingNS == 0:
			d.failingNS, d.reason = d.lastNS, err.Error()
		}
	}
	w.flush()
}

func (w *worker) show(d *deviceState, s Sample) {
	if w.sampler.OnPower == nil || (d.shownNS != 0 && s.MonoNS-d.shownNS < int64(showInterval)) {
		return
	}
	d.shownNS = s.MonoNS
	w.sampler.publish(s.Device, s.Power)
}

// read reads the counters once.
func (w *worker) read(ctx context.Context) []Reading {
	ctx = context.WithoutCancel(ctx)
	var readings []Reading
	w.note(w.guard("counter: ", func() (err error) {
		readings, err = w.meter.Counters(ctx)
		return err
	}))
	return readings
}

// keep appends readings to the trace. A counter that went backwards was reset (a driver reload, a restarted
// device). No difference across the reset is meaningful, so it becomes a gap.
func (w *worker) keep(readings []Reading) {
	for _, r := range readings {
		previous, ok := w.counters[r.Device]
		if ok && r.Energy < previous.Energy {
			w.note(fmt.Errorf("%s: the energy counter %s went backwards", r.Device, r.Source))
			w.scratch.Gaps = append(w.scratch.Gaps, Gap{Device: r.Device, Source: r.Source,
				StartNS: previous.BeforeNS, EndNS: r.AfterNS, Reason: "the energy counter went backwards"})
		}
		w.counters[r.Device] = r
	}
	w.scratch.Counters = append(w.scratch.Counters, readings...)
	w.flush()
}

// ended waits for the goroutine or for ctx, and reports whether the goroutine has ended.
func (w *worker) ended(ctx context.Context) bool {
	select {
	case <-w.done:
	case <-ctx.Done():
	}
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// requestMark asks the goroutine for a mark and waits for the answer.
func (w *worker) requestMark(ctx context.Context, snap time.Duration) []Reading {
	r := markRequest{snap: snap, answer: make(chan []Reading, 1)}
	select {
	case w.marks <- r:
	case <-w.done:
		return nil
	case <-ctx.Done():
		w.note(fmt.Errorf("the counters could not be read: %w", ctx.Err()))
		return nil
	}
	select {
	case readings := <-r.answer:
		return readings
	case <-ctx.Done():
		w.note(fmt.Errorf("the counters could not be read: %w", ctx.Err()))
		return nil
	}
}

// mark reads the counters until each has changed once or snap has passed. Polling continues meanwhile.
func (w *worker) mark(ctx context.Context, snap time.Duration) []Reading {
	first := w.read(ctx)
	deadline := w.sampler.Now() + int64(snap)
	readings, previous := first, make(map[string]Reading, len(first))
	for _, r := range first {
		previous[r.Device] = r
	}
	for waiting := len(first); waiting > 0 && w.sampler.Now() < deadline &&
		clock.Sleep(ctx, betweenReads(first)) == nil; {
		if now := w.sampler.Now(); now >= w.nextPoll {
			w.poll(ctx)
			w.nextPoll = following(w.nextPoll, w.meter.Interval(), now)
		}
		for _, r := range w.read(ctx) {
			i := indexOf(readings, r.Device)
			if i < 0 || readings[i].Snapped {
				continue
			}
			if old := previous[r.Device]; r.Energy != old.Energy {
				r.Snapped, r.SinceNS = true, old.BeforeNS
				waiting--
			}
			readings[i], previous[r.Device] = r, r
		}
	}
	w.keep(readings)
	return readings
}

func indexOf(readings []Reading, device string) int {
	for i, r := range readings {
		if r.Device == device {
			return i
		}
	}
	return -1
}

// guard calls the meter and converts a panic to an error; a meter that panicked is not called again.
func (w *worker) guard(what string, call func() error) (err error) {
	if w.dead {
		return errMeterDead
	}
	defer func() {
		if p := recover(); p != nil {
			w.dead = true
			err = fmt.Errorf("%spanic: %v", what, p)
		}
	}()
	if err := call(); err != nil {
		return fmt.Errorf("%s%w", what, err)
	}
	return nil
}

var errMeterDead = errors.New("no longer read after a panic")

// note records an error once per message.
func (w *worker) note(err error) {
	if err == nil || errors.Is(err, errMeterDead) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	message := w.meter.Name() + ": " + strings.ReplaceAll(err.Error(), "\n", "; ")
	if !w.seen[message] {
		w.seen[message] = true
		w.out.Errors = append(w.out.Errors, message)
	}
}

// flush moves the scratch trace into the collected one.
func (w *worker) flush() {
	cpu := w.cpu() - w.cpu0
	now := w.sampler.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.scratch.Samples {
		w.pack(s.Device).add(s)
	}
	w.out.Counters = append(w.out.Counters, w.scratch.Counters...)
	w.out.Telemetry = append(w.out.Telemetry, w.scratch.Telemetry...)
	w.out.Gaps = append(w.out.Gaps, w.scratch.Gaps...)
	for _, p := range w.scratch.Processes {
		w.out.Saw(p)
	}
	for _, l := range w.scratch.Memory {
		w.out.Looked(l)
	}
	w.scratch.Processes, w.scratch.Memory = w.scratch.Processes[:0], w.scratch.Memory[:0]
	w.out.Cost.CPU, w.lastNS = cpu, now
	w.scratch.Samples, w.scratch.Counters = w.scratch.Samples[:0], w.scratch.Counters[:0]
	w.scratch.Telemetry, w.scratch.Gaps = w.scratch.Telemetry[:0], w.scratch.Gaps[:0]
}

// cpu returns the processor time of the worker's thread and of the meter's helpers.
func (w *worker) cpu() time.Duration {
	if h, ok := w.meter.(Helped); ok {
		return tick.ThreadCPU() + h.HelperCPU()
	}
	return tick.ThreadCPU()
}

// collected returns the worker's trace and the time up to which it is complete.
func (w *worker) collected() (Trace, int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.out
	for _, p := range w.packs {
		t.Samples = p.appendTo(t.Samples)
	}
	t.Cost.Bytes = w.bytes()
	return t, w.lastNS
}

// pack returns the store of a device's samples.
func (w *worker) pack(device string) *pack {
	for _, p := range w.packs {
		if p.device == device {
			return p
		}
	}
	p := &pack{device: device}
	w.packs = append(w.packs, p)
	return p
}

// telemetryBytes is the size of a [Telemetry] with the values that it points to.
const telemetryBytes = int64(unsafe.Sizeof(Telemetry{})) + 6*8

// bytes returns the memory of everything collected so far.
func (w *worker) bytes() int64 {
	n := int64(cap(w.out.Telemetry))*telemetryBytes + int64(cap(w.out.Counters))*int64(unsafe.Sizeof(Reading{})) +
		int64(cap(w.out.Gaps))*int64(unsafe.Sizeof(Gap{})) +
		int64(cap(w.out.Memory))*int64(unsafe.Sizeof(MemoryLook{})) +
		int64(cap(w.scratch.Samples))*int64(unsafe.Sizeof(Sample{}))
	for _, p := range w.packs {
		n += p.bytes()
	}
	return n
}

// betweenReads returns the pause between the reads of a Mark: short if a read is cheap (RAPL), twice the
// duration of the read if a read keeps a core busy (4 ms for NVML's counter on an H200). SinceNS includes the
// resulting uncertainty.
func betweenReads(first []Reading) time.Duration {
	var longest int64
	for _, r := range first {
		longest = max(longest, r.AfterNS-r.BeforeNS)
	}
	return max(snapPoll, min(2*time.Duration(longest), maxSnapPoll))
}
