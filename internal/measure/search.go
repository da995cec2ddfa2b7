package measure

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"github.com/llenergymeasure/llem/internal/atload"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/power"
)

// minTurns is how many requests follow one another on each connection of a closed loop at least.
const minTurns = 8.0

// searched is a load that a search has run.
type searched struct {
	load.Probe
	*measured
}

// search runs one load after the other on the same engine until the highest one that meets the objective is
// known. The window of the run is the sustained run at that load, or the last probe if there is none.
func (d *desk) search(ctx context.Context, c *collected, l length) (*measured, error) {
	w := d.Experiment.Workload
	s := &load.Search{From: w.Load.SearchFrom, To: w.Load.SearchTo, Tolerance: w.Load.Tolerance,
		Attainment: w.SLO.Attainment, Whole: w.Load.Search == load.OverConcurrency, Sustained: true}
	var all []searched
	pace := 0.0 // requests per second of the load before
	for p, ok := s.Next(); ok; p, ok = s.Next() {
		m, err := d.measureProbe(ctx, c, p, l, pace)
		if err != nil {
			return m, err
		}
		s.Report(d.judged(c, m, p.Load))
		all = append(all, searched{p, m})
		pace = float64(len(m.log.Requests)) / (float64(m.log.EndNS-m.log.StartNS) / 1e9)
	}
	found := s.Found()
	own := len(all) - 1
	for i, p := range all {
		if p.Role == load.RoleSustained && p.Load == found.Lower {
			own = i
		}
	}
	m := all[own].measured
	m.search = &join.SearchRun{Over: w.Load.Search, Load: all[own].Load, Lower: known(found.Lower),
		Upper: known(found.Upper), Resolved: found.Resolved, Reason: found.Reason}
	var trace power.Trace
	for i, p := range all {
		trace = join.Traces(trace, p.trace)
		if i != own {
			m.search.Probes = append(m.search.Probes, join.ProbeRun{Role: p.Role, Load: p.Load,
				StartNS: p.log.StartNS, EndNS: p.log.EndNS, HorizonNS: p.horizon, Requests: p.log.Requests})
		}
	}
	m.trace = trace
	return m, nil
}

// known returns a pointer to a number, nil for 0.
func known(v float64) *float64 {
	if v == 0 {
		return nil
	}
	return &v
}

// measureProbe measures one load of a search. A sustained run takes as long as the load of the study. A closed loop
// gets as many requests as took that long at the pace of the load before it.
func (d *desk) measureProbe(ctx context.Context, c *collected, p load.Probe, l length, pace float64) (*measured,
	error) {
	w := d.Experiment.Workload
	a := w.Load
	if p.Role == load.RoleProbe && a.ProbeS > 0 {
		a.DurationS = a.ProbeS
	}
	if p.Extension > 0 { // other arrivals than before
		a.Seed = cmp.Or(a.Seed, d.Experiment.Seed) + uint64(p.Extension)
	}
	if a.Search == load.OverRate {
		a.Rate = p.Load
		return d.measureOpen(ctx, c, d.arrivalsFor(a, d.Experiment.Workload.Prompts), l)
	}
	work := c.work
	work.concurrency = int(p.Load)
	requests := max(minTurns*p.Load, pace*max(a.ProbeS, d.minWindow()))
	l.repeats = max(1, int(math.Ceil(requests/float64(len(work.requests)))))
	return d.measureWork(ctx, c.engine, work.repeated(l.repeats), work, l,
		fmt.Sprintf("%s with %d in flight", digits.Count(l.repeats*len(work.requests), "request"), work.concurrency))
}

// judged returns the outcome of a load, before the record is computed.
func (d *desk) judged(c *collected, m *measured, at float64) load.Outcome {
	probe := *c
	probe.measured = m
	m.search = &join.SearchRun{Load: at}
	told, window := join.Judge(probe.material(d), newRecord(d.Options))
	m.search = nil
	return load.Outcome{Scheduled: told.Scheduled, Good: told.Good, Saturated: told.Saturated,
		Effective: atload.Worth(atload.Scheduled(m.log.Requests, window), d.Experiment.Workload.SLO)}
}
