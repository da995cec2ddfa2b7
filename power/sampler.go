package power

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/unit"
)

// A Sampler polls meters while something else runs. Set the fields, then call Start once, Mark as often as
// needed, and Stop once.
//
// Each meter has a goroutine on its own thread, so that a slow sensor does not delay others and the processor
// time of sampling is known. A meter that fails, panics or loses its device leaves a [Gap] and a line in
// Trace.Errors; the sampler continues.
type Sampler struct {
	// OnPower, if set, receives the newest power of a device for display, at most five times a second. Calls
	// do not overlap. The meter waits for it, so it must return quickly.
	OnPower func(device string, power unit.Watts)
	// CounterInterval is the time between counter readings in the trace, at least 10 ms. Zero means one
	// second, or longer if the readings would take more than half a percent of a core: on an H200, NVML spins
	// for 4 ms per GPU and reading.
	CounterInterval time.Duration
	// Now returns CLOCK_MONOTONIC in nanoseconds; tests replace it.
	Now func() int64

	meters  []Meter
	workers []*worker
	cancel  context.CancelFunc
	startNS int64
	show    sync.Mutex
}

const (
	counterInterval    = time.Second
	counterShare       = 0.005 // fraction of a core for counter readings at the default interval
	minCounterInterval = 10 * time.Millisecond
	showInterval       = 200 * time.Millisecond
	stopGrace          = 250 * time.Millisecond
	// snapPoll is the pause between the counter reads of a Mark. RAPL's counter
	// moves every millisecond, NVML's every 100 ms at a read time of 2–4 ms.
	snapPoll = 2 * time.Millisecond
	// maxSnapPoll bounds the pause for a sensor that answers slowly.
	maxSnapPoll = 20 * time.Millisecond
)

// NewSampler returns a sampler for the meters, which the caller still closes.
func NewSampler(meters ...Meter) *Sampler { return &Sampler{meters: meters} }

// Start begins sampling and returns once every meter has been polled, so that the trace begins now and not at
// an earlier reading of a meter. Sampling ends with Stop or with ctx.
func (s *Sampler) Start(ctx context.Context) {
	if s.Now == nil {
		s.Now = clock.Mono
	}
	s.startNS = s.Now()
	run, cancel := context.WithCancel(ctx)
	s.cancel = cancel
	for _, m := range s.meters {
		w := newWorker(m, s)
		s.workers = append(s.workers, w)
		go w.run(run)
	}
	for _, w := range s.workers {
		select {
		case <-w.primed:
		case <-ctx.Done():
			return
		}
	}
}

// Mark reads the counters of all meters concurrently, each repeatedly until it changes or snap has passed,
// and returns the last reading of every counter in the order of meters and devices. The readings are also
// part of the trace. A snapped reading is a good boundary of a measuring window: its energy holds at its
// stamp, not up to one refresh period earlier.
//
// A meter that does not answer in time is missing from the result.
func (s *Sampler) Mark(ctx context.Context, snap time.Duration) []Reading {
	answers := make([][]Reading, len(s.workers))
	var wg sync.WaitGroup
	for i, w := range s.workers {
		wg.Go(func() { answers[i] = w.requestMark(ctx, snap) })
	}
	wg.Wait()
	return slices.Concat(answers...)
}

// Stop polls every meter a last time, ends sampling and returns the trace. A meter that has not returned when
// ctx ends (at least 250 ms) is abandoned; what it delivered is kept. Another Stop returns the same trace.
func (s *Sampler) Stop(ctx context.Context) Trace {
	if s.cancel == nil {
		return Trace{}
	}
	s.cancel()
	// A healthy meter may finish even if ctx has ended.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	for _, w := range s.workers {
		if !w.ended(ctx) && !w.ended(grace) {
			w.note(fmt.Errorf("did not answer while sampling was stopped: %w", ctx.Err()))
		}
	}
	var all Trace
	end := s.startNS
	for _, w := range s.workers {
		t, last := w.collected()
		all.Samples = append(all.Samples, t.Samples...)
		all.Counters = append(all.Counters, t.Counters...)
		all.Telemetry = append(all.Telemetry, t.Telemetry...)
		all.Gaps = append(all.Gaps, t.Gaps...)
		all.Processes = append(all.Processes, t.Processes...)
		all.Memory = append(all.Memory, t.Memory...)
		all.Errors = append(all.Errors, t.Errors...)
		all.Cost.Polls += t.Cost.Polls
		all.Cost.CPU += t.Cost.CPU
		all.Cost.Bytes += t.Cost.Bytes
		end = max(end, last)
	}
	all.Gaps = mergeGaps(all.Gaps, s.startNS)
	all.Cost.Elapsed = time.Duration(end - s.startNS)
	return all
}

// publish passes a value to OnPower.
func (s *Sampler) publish(device string, power unit.Watts) {
	s.show.Lock()
	defer s.show.Unlock()
	s.OnPower(device, power)
}

// mergeGaps joins overlapping or adjacent gaps of one series and drops anything before start. The reason of
// the earliest gap is kept.
func mergeGaps(gaps []Gap, start int64) []Gap {
	slices.SortStableFunc(gaps, func(a, b Gap) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Source, b.Source),
			cmp.Compare(a.StartNS, b.StartNS))
	})
	var merged []Gap
	for _, g := range gaps {
		g.StartNS = max(g.StartNS, start)
		if g.EndNS <= g.StartNS {
			continue
		}
		if n := len(merged); n > 0 && merged[n-1].Device == g.Device && merged[n-1].Source == g.Source &&
			g.StartNS <= merged[n-1].EndNS {
			merged[n-1].EndNS = max(merged[n-1].EndNS, g.EndNS)
			continue
		}
		merged = append(merged, g)
	}
	return merged
}
