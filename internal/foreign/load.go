package foreign

import (
	"slices"

	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/result"
)

// open reports whether the requests of a run arrived by themselves.
func (r Run) open() bool { return r.Record.Config.Workload.Load.Open() }

// own reports whether a request is of the load of the run, and not of an earlier probe of its search.
func (r Run) own(point *int64) bool {
	l := r.Record.Load
	return point == nil || l == nil || l.Search == nil || *point == int64(len(l.Search.Probes))
}

// duration is the length of the benchmark in seconds. The programs know no steady part: of a load it is all of it,
// until the last answer.
func (r Run) duration() float64 {
	if l := r.Record.Load; l != nil && l.EndMonoNS > l.StartMonoNS {
		return seconds(l.EndMonoNS - l.StartMonoNS)
	}
	return r.Record.Window.DurationS
}

// wholeJ is the measured energy of the duration in joules, of a load with its ramp and its drain; nil if a part of it
// is unknown.
func (r Run) wholeJ() *float64 {
	total, l := r.energyJ(), r.Record.Load
	if total == nil || l == nil {
		return total
	}
	sum := *total
	for _, part := range []struct {
		s float64
		j *result.Quantity
	}{{l.RampS, l.RampJ}, {l.DrainS, l.DrainJ}} {
		switch {
		case part.j != nil:
			sum += part.j.Value
		case part.s > 0:
			return nil
		}
	}
	return &sum
}

// arrivals is how the requests were sent, in the words of vllm bench serve: the mean rate, "inf" for a closed loop, and
// the shape of the gaps.
func (r Run) arrivals() (rate, burstiness any) {
	a := r.Record.Config.Workload.Load
	rate, burstiness = "inf", 1.0
	if l := r.Record.Load; a.Open() && l != nil {
		if rate = a.Rate; a.Rate == 0 {
			rate = l.OfferedRPS
		}
		switch a.Kind {
		case load.Gamma:
			burstiness = load.Burstiness(a.CV)
		case load.Poisson:
		default: // the gaps follow no gamma distribution
			burstiness = nil
		}
	}
	return rate, burstiness
}

// queued are the times that requests waited in the client, from their schedule to their sending, in seconds.
func queued(all []request) []float64 {
	out := make([]float64, len(all))
	for i, q := range all {
		out[i] = seconds(q.sent - q.due)
	}
	return out
}

// good counts the requests that were completed within each limit of the study's objective, with times from their
// sending, as the programs have them; false without an objective.
func (r Run) good(ok []request) (int, bool) {
	slo := r.Record.Config.Workload.SLO
	if !slo.Limited() {
		return 0, false
	}
	limits := slo.Limits()
	return len(slices.DeleteFunc(slices.Clone(ok), func(q request) bool {
		tpot, _ := q.perToken()
		return !limits.Good(q.ttft()*1e3, tpot*1e3, q.latency()*1e3)
	})), true
}
