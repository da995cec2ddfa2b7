package loads

import (
	"strings"

	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/result"
)

// verdict is whether the runs of a point met the objective: what all of them say, and otherwise what their requests say
// together. It is unresolved if the verdict of a run has another reason than its requests; empty without an objective.
func verdict(runs []*result.Record, attainment float64) string {
	var out string
	same, pooled := true, true
	for i, r := range runs {
		l := r.Load
		if i == 0 {
			out = l.SLOMet
		}
		same = same && l.SLOMet == out
		pooled = pooled && l.SLOMet != "" && l.Attainment != nil && otherReason(l, attainment) == ""
	}
	switch {
	case same && (out != load.Unresolved || len(runs) == 1):
		return out
	case !pooled:
		return load.Unresolved
	}
	return together(runs, attainment)
}

// moreRequests is in the reason of a verdict that more requests would resolve.
const moreRequests = "more requests are needed"

// otherReason returns why the verdict of a run does not follow from its requests; empty if it does.
func otherReason(l *result.Load, attainment float64) string {
	if l.SLOReason == "" || strings.HasSuffix(l.SLOReason, moreRequests) && l.Attainment != nil &&
		load.Judged(l.Attainment.CI95[0], l.Attainment.CI95[1], attainment) == load.Unresolved {
		return ""
	}
	return l.SLOReason
}

// unresolved reports whether more requests would tell whether a point met the objective, with the reason why not.
func (p Point) unresolved() (more bool, reason string) {
	if p.SLOMet != load.Unresolved {
		return false, ""
	}
	for _, r := range p.Runs {
		if why := otherReason(r.Load, p.Summary.Config.Workload.SLO.Limits().Attainment); why != "" {
			return false, why
		}
	}
	return true, ""
}

// together judges the requests of several runs: each run counts as the independent requests that its interval is worth,
// and all of them as fewer if the runs scatter by more than such requests do.
func together(runs []*result.Record, attainment float64) string {
	var good, all float64
	n := make([]float64, len(runs))
	for i, r := range runs {
		a := r.Load.Attainment
		n[i] = worth(*a, float64(r.Load.Scheduled))
		good, all = good+n[i]*a.Value, all+n[i]
	}
	if all == 0 {
		return load.Unresolved
	}
	p, excess := good/all, 0.0
	for i, r := range runs {
		d := r.Load.Attainment.Value - p
		excess += n[i] * d * d
	}
	if p > 0 && p < 1 {
		// Pearson's statistic over its expectation: 1 if the runs scatter as independent requests do.
		all /= max(1, excess/(p*(1-p))/float64(len(runs)-1))
	}
	return load.Judge(p*all, all, attainment, load.Z95)
}

// worth is the number of independent requests of which a share has its Wilson interval, of at most so many.
func worth(share result.Estimate, most float64) float64 {
	low, high := 0.0, most
	for range 60 {
		n := (low + high) / 2
		from, to := load.Wilson(share.Value*n, n, load.Z95)
		if from, to = min(from, share.Value), max(to, share.Value); to-from > share.CI95[1]-share.CI95[0] {
			low = n
		} else {
			high = n
		}
	}
	return high
}
