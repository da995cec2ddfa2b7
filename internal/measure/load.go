package measure

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// longestDrain is the least time after the last arrival before answers are given up; it is as long as the load
// if that is longer.
const longestDrain = time.Minute

// arrivalsFor returns the arrivals of an open loop that are long enough for the sensors: without a duration
// of its own, the workload is repeated.
func (d *desk) arrivalsFor(a study.Arrivals, prompts int) study.Arrivals {
	if a.DurationS > 0 || a.Rate <= 0 || a.Kind == load.Trace {
		return a
	}
	a.DurationS = float64(prompts) / a.Rate
	if len(d.Meters) > 0 {
		a.DurationS = max(a.DurationS, d.minWindow()/(1-load.RampShare))
	}
	return a
}

// open returns the engine's workload of requests that arrive at the given times, in nanoseconds after the
// start; conversations begin at these times. They are repeated in their order. most is the maximum number in flight; 0
// means any.
func (w work) open(at []int64, most int) backend.Workload {
	n, turns := len(at)*w.turns, w.turns
	out := w.of(w.requests, (n+len(w.requests)-1)/len(w.requests))
	out.Requests, out.Round, out.Open, out.Concurrency = out.Requests[:n], 0, true, most
	for i := range out.Requests {
		out.Requests[i].DueNS = at[i/turns]
	}
	return out
}

// measureOpen measures a window in which requests arrive by themselves.
func (d *desk) measureOpen(ctx context.Context, c *collected, a study.Arrivals, l length) (*measured, error) {
	w, lasts, err := d.schedule(c, a)
	if err != nil {
		return nil, err
	}
	w.DrainNS = int64(max(longestDrain, lasts))
	if t := c.input.trace; t != nil {
		_, remains := t.Lasts()
		w.DrainNS += remains
	}
	l.repeats = (len(w.Requests) + len(c.work.requests) - 1) / len(c.work.requests)
	l.lasts = lasts
	detail := fmt.Sprintf("%s over %s s", digits.Count(len(w.Requests), "request"),
		digits.Significant(math.Ceil(lasts.Seconds()), 3))
	m, err := d.measureWork(ctx, c.engine, w, c.work, l, detail)
	if err == nil {
		m.horizon = m.log.StartNS + int64(lasts)
		if t := c.input.trace; t != nil {
			m.taken = t.Summary()
			d.shortTrace(lasts)
		}
	}
	return m, err
}

// schedule returns the requests of an open loop with their times, and how long they arrive.
func (d *desk) schedule(c *collected, a study.Arrivals) (backend.Workload, time.Duration, error) {
	most := d.Experiment.Workload.Concurrency
	if c.work.recorded {
		at := make([]int64, len(c.work.requests))
		for i, q := range c.work.requests {
			at[i] = q.DueNS
		}
		return c.work.open(at, most), time.Duration(slices.Max(at)), nil
	}
	e := d.Experiment
	e.Workload.Load = a
	p, err := e.Process()
	if err != nil {
		return backend.Workload{}, 0, err
	}
	times, err := load.Times(p)
	if err != nil {
		return backend.Workload{}, 0, err
	}
	if len(times) < 2 {
		what := []string{"no request arrives", "one request alone arrives, which is not a rate,"}[len(times)]
		_, seconds := p.Expected()
		return backend.Workload{}, 0, note.Failf(codes.ClassConfig,
			"raise the rate, workload.load.duration_s or workload.prompts", "%s in %s s", what,
			digits.Significant(seconds, 3))
	}
	lasts := max(time.Duration(times[len(times)-1]), digits.Duration(a.DurationS))
	return c.work.open(times, most), lasts, nil
}
