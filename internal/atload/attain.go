package atload

import (
	"cmp"
	"slices"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// defaultAttainment is the fraction of good requests that an objective requires if it sets none.
const defaultAttainment = 0.95

// Good reports whether a request was completed within each limit of an objective. Times count from the scheduled
// arrival. A limit of the time per further token holds for an answer of one token.
func Good(q backend.Request, slo study.SLO) bool {
	within := func(ns int64, limitMS float64) bool { return limitMS == 0 || float64(ns)/1e6 <= limitMS }
	if !q.OK || !within(q.FirstTokenNS-q.ArrivedNS, slo.TTFTMS) || !within(q.EndNS-q.ArrivedNS, slo.E2EMS) {
		return false
	}
	n := int64(q.OutputTokens) - 1
	return n < 1 || slo.TPOTMS == 0 || float64(q.EndNS-q.FirstTokenNS)/float64(n)/1e6 <= slo.TPOTMS
}

// Attained returns how many of the scheduled requests were good, and their share with Wilson's interval for the number
// of independent requests that they are worth; nil without requests. It is a function of the stored requests of a
// window (see [Scheduled]), so that one run answers for every objective.
func Attained(requests []backend.Request, slo study.SLO) (good int, share *result.Estimate) {
	good, hits := hitsOf(requests, slo)
	if len(requests) == 0 {
		return 0, nil
	}
	e := stats.Proportion(good, len(requests), stats.EffectiveSize(hits))
	return good, &result.Estimate{Value: e.Value, CI95: [2]float64{e.Low, e.High}}
}

// Worth returns the number of independent requests that the scheduled ones are worth, as far as they are good.
func Worth(requests []backend.Request, slo study.SLO) float64 {
	_, hits := hitsOf(requests, slo)
	return stats.EffectiveSize(hits)
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

// Verdicts on an objective.
const (
	Met        = "yes"
	NotMet     = "no"
	Unresolved = "unresolved"
)

// Verdict returns whether an attainment reaches an objective: unresolved if its interval holds the limit.
func Verdict(share *result.Estimate, slo study.SLO) string {
	limit := cmp.Or(slo.Attainment, defaultAttainment)
	switch {
	case share == nil:
		return Unresolved
	case share.CI95[0] >= limit:
		return Met
	case share.CI95[1] < limit:
		return NotMet
	}
	return Unresolved
}

// inOrder returns the requests in the order of their schedule.
func inOrder(requests []backend.Request) []backend.Request {
	requests = slices.Clone(requests)
	slices.SortStableFunc(requests, func(a, b backend.Request) int { return cmp.Compare(a.ArrivedNS, b.ArrivedNS) })
	return requests
}
