package atload

import (
	"cmp"
	"slices"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Good reports whether a request was completed within each limit of an objective. Times count from the scheduled
// arrival. A limit of the time per further token holds for an answer of one token.
func Good(q backend.Request, slo study.SLO) bool {
	tpot := 0.0
	if n := q.OutputTokens - 1; n > 0 {
		tpot = milliseconds(q.EndNS-q.FirstTokenNS) / float64(n)
	}
	return q.OK &&
		slo.Limits().Good(milliseconds(q.FirstTokenNS-q.ArrivedNS), tpot, milliseconds(q.EndNS-q.ArrivedNS))
}

// Attained returns how many of the scheduled requests were good, and their share with Wilson's interval for the number
// of independent requests that they are worth; nil without requests. It is a function of the stored requests of a
// window (see [Scheduled]), so that one run answers for every objective.
func Attained(requests []backend.Request, slo study.SLO) (good int, share *result.Estimate) {
	good, hits := hitsOf(requests, slo)
	if len(requests) == 0 {
		return 0, nil
	}
	p, n := float64(good)/float64(len(requests)), worth(requests, hits)
	low, high := load.Wilson(p*n, n, load.Z95)
	return good, &result.Estimate{Value: p, CI95: [2]float64{min(p, low), max(p, high)}} // exact at 0 and 1
}

// Worth returns the number of independent requests that the scheduled ones are worth, as far as they are good.
func Worth(requests []backend.Request, slo study.SLO) float64 {
	_, hits := hitsOf(requests, slo)
	return worth(requests, hits)
}

// worth returns the number of independent requests for an interval of the share of good ones: as far as they are good,
// or by their times to the first token if that is less, because few requests that are not good hide what they share.
// Requests that are all good, or none, count each.
func worth(requests []backend.Request, hits []float64) float64 {
	if !slices.Contains(hits, 0) || !slices.Contains(hits, 1) {
		return float64(len(hits))
	}
	var first []float64
	for _, q := range inOrder(requests) {
		if q.OK {
			first = append(first, milliseconds(q.FirstTokenNS-q.ArrivedNS))
		}
	}
	return min(stats.IntervalSize(hits), stats.IntervalSize(first)*float64(len(hits))/float64(len(first)))
}

// hitsOf returns how many requests were good, and 1 for each in the order of their schedule, 0 for the others.
func hitsOf(requests []backend.Request, slo study.SLO) (good int, hits []float64) {
	hits = make([]float64, len(requests))
	for i, q := range inOrder(requests) {
		if Good(q, slo) {
			good++
			hits[i] = 1
		}
	}
	return good, hits
}

// Judge completes what a load tells with what its objective decides.
func (r Run) Judge(l *result.Load, w attribute.Window) {
	t := r.Produced(w)
	if t.Good != l.GoodTokens {
		l.LongRunGoodTokenJ = nil // it was of another objective
	}
	l.GoodTokens, l.WastedTokens = t.Good, t.Wasted
	good, share := Attained(Scheduled(r.Requests, w), r.SLO)
	l.Good, l.Attainment, l.GoodputRPS = int64(good), share, float64(good)/w.Duration().Seconds()
	l.SLOMet, l.SLOReason = "", ""
	if r.SLO.Set() {
		l.SLOMet, l.SLOReason = r.verdict(l)
	}
}

const noGoodToken = "no output token belongs to a good request"

// WhyNoEnergy returns why a record has no energy per good token.
func WhyNoEnergy(r *result.Record) string {
	switch {
	case r.Energy.TotalJ == nil:
		return cmp.Or(r.Energy.Reason, "no energy was measured")
	case r.Load.GoodTokens == 0:
		return noGoodToken
	}
	return r.Load.EnergyReason
}

// Energies completes a judged load with the energies that depend on its objective, of the total of its window.
func Energies(l *result.Load, total *result.Quantity) {
	l.PerGoodTokenJ, l.WastedJ = nil, nil
	if l.GoodTokens > 0 {
		l.PerGoodTokenJ = total.Over(float64(l.GoodTokens))
	} else {
		l.EnergyReason += "per_good_token_j: " + noGoodToken + ". "
	}
	switch all := l.GoodTokens + l.WastedTokens; {
	case all > 0 && l.WastedTokens > 0:
		l.WastedJ = total.Over(float64(all) / float64(l.WastedTokens))
	case all > 0:
		l.WastedJ = &result.Quantity{Method: total.Method, Source: total.Source}
	}
}

// inOrder returns the requests in the order of their schedule.
func inOrder(requests []backend.Request) []backend.Request {
	requests = slices.Clone(requests)
	slices.SortStableFunc(requests, func(a, b backend.Request) int { return cmp.Compare(a.ArrivedNS, b.ArrivedNS) })
	return requests
}
