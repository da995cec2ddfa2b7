package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/sampling"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/load/trace"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
)

// measured is the result of one window.
type measured struct {
	length length
	window attribute.Window
	anchor clock.Anchor
	log    *backend.Log
	trace  power.Trace
	// horizon is when the arrivals of an open loop end; 0 without one. search is how the load was found.
	horizon int64
	search  *join.SearchRun
	// taken is what the load takes from a trace; nil for others.
	taken *trace.Summary
	// round is the number of requests that were submitted together; 0 means all.
	round int
	// given is the number of prompt tokens given, and asked the number of requested output tokens.
	given, asked int64
	// spent has the processor times at the window's limits.
	spent sampling.Spent
}

// measureWindow measures the window, and once more if it is shorter than wanted: the first window then
// determines the duration of a round and is discarded.
func (d *desk) measureWindow(ctx context.Context, c *collected, l length) (*measured, error) {
	e, w := c.engine, c.work
	m, err := d.measureOnce(ctx, e, w, l)
	if err != nil || noCompletedRequest(m.log) != nil {
		return m, err
	}
	longer, again := d.lengthened(l, m.window)
	if !again {
		longer, again, err = d.judgedAgain(ctx, c, m)
	}
	if err != nil || !again {
		m.length.phasesTake = longer.phasesTake
		return m, err
	}
	if e.memory != nil {
		e.memory = e.memory.Again()
	}
	return d.measureOnce(ctx, e, w, longer)
}

// measureOnce measures the whole workload with all rounds.
func (d *desk) measureOnce(ctx context.Context, e *running, w work, l length) (m *measured, err error) {
	detail := digits.Count(len(w.requests), "request")
	if l.repeats > 1 {
		detail = roundsText(len(w.requests), l.repeats)
	}
	return d.measureWork(ctx, e, w.repeated(l.repeats), w, l, detail)
}

// measureWork measures one window around an engine's workload.
func (d *desk) measureWork(ctx context.Context, e *running, load backend.Workload, w work, l length,
	detail string) (m *measured, err error) {
	d.phase(event.Measure, detail)
	m = &measured{length: l}
	sampler := d.sampling().Sampler()
	before, after := d.sampling().Margins()
	sampler.Start(ctx)
	defer func() { m.trace = sampling.Stopped(ctx, sampler) }()
	if err := d.Clock.Sleep(ctx, before); err != nil {
		return m, err
	}
	m.anchor = d.Clock.Anchor()
	m.round = load.Round
	m.given, m.asked = totals(load)
	load.Progress = func(done, total int) {
		d.emit(event.Progress{Phase: event.Measure, Fraction: float64(done) / float64(max(total, 1)),
			Detail: requestsText(done, total, l.repeats), Done: done, Total: total})
	}
	cpu := tenants.FollowCPU(e.loaded.PID)
	load.Finished = func() {
		m.window.End = d.Clock.Mono()
		m.spent.To = sampling.ReadCPU(cpu)
		if e.memory != nil {
			e.memory.End()
		}
		sampling.Mark(ctx, sampler)
		m.spent.Newcomers = cpu.Newcomers()
	}
	d.emit(event.Progress{Phase: event.Measure, Total: len(load.Requests)})
	sampling.Mark(ctx, sampler)
	m.spent.From = sampling.ReadCPU(cpu)
	m.window.Start = d.Clock.Mono()
	bounded, cancel := d.bounded(ctx, max(l.lasts, time.Duration(l.warmNS*int64(w.batches()*l.repeats))))
	defer cancel()
	m.log, err = e.session.Run(bounded, load)
	if err == nil && m.window.End == 0 {
		err = note.Failf(codes.ClassProtocol, "", "the engine returned results without reporting that it finished")
	}
	if err == nil {
		err = d.Clock.Sleep(ctx, after)
	}
	if err == nil {
		err = checkCounts(m.log, len(load.Requests))
	}
	return m, err
}

// totals returns the numbers of prompt and output tokens that a workload asks for. The prompt of a turn holds the turns
// before it and their answers.
func totals(w backend.Workload) (given, asked int64) {
	whole := map[int]int{}
	for _, p := range w.Requests {
		n := len(p.Tokens)
		if p.After != nil {
			n += whole[*p.After]
		}
		given, asked = given+int64(n), asked+int64(w.Asked(p))
		whole[p.ID] = n + w.Asked(p)
	}
	return given, asked
}

// noCompletedRequest is the failure of a run in which every request failed: no energy per
// token exists.
func noCompletedRequest(log *backend.Log) error {
	why := "it returned none"
	for _, q := range log.Requests {
		if q.OK {
			return nil
		}
		why = q.Failure
	}
	return note.Failf(codes.ClassEngine, "see the engine's log", "the engine completed no request: %s", why)
}

// requestsText returns how many requests of a window are done: the prompts may run several times.
func requestsText(done, total, repeats int) string {
	if repeats > 1 && total%repeats == 0 {
		return fmt.Sprintf("%d of %d (%s)", done, total, roundsText(total/repeats, repeats))
	}
	return fmt.Sprintf("%d of %d requests", done, total)
}

// roundsText returns how the requests of a window come about.
func roundsText(prompts, repeats int) string {
	return fmt.Sprintf("%s × %d repeats", digits.Count(prompts, "prompt"), repeats)
}
