package atload

import (
	"cmp"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/result"
)

// Tell returns what a load tells in a window: all but its energies, and the search.
func (r Run) Tell(w attribute.Window) *result.Load {
	f, scheduled := r.inFlight(), inOrder(Scheduled(r.Requests, w))
	seconds := w.Duration().Seconds()
	l := &result.Load{Kind: r.Kind, StartMonoNS: r.Start, EndMonoNS: r.End, HorizonMonoNS: r.horizon(),
		RampS: float64(w.Start-r.Start) / 1e9, DrainS: float64(r.End-w.End) / 1e9,
		Scheduled: int64(len(scheduled)), InFlight: f.mean(w), MaxInFlight: f.most(w)}
	for _, idle := range f.none(w) {
		l.IdleS += idle.Duration().Seconds()
	}
	r.rates(l, w)
	for _, q := range scheduled {
		switch {
		case q.OK:
		case Cut(q):
			l.Cut++
		default:
			l.Failed++
		}
		if q.Capped {
			l.Capped++
		}
	}
	l.GapCV = gapCV(scheduled)
	l.SendLagMS = result.DistributionOf(sendLags(scheduled))
	l.BacklogSlope = f.slope(w)
	if !r.closed() {
		l.BacklogSlope = f.walking(l, w)
		l.Saturated = growing(l, seconds)
	}
	l.Halves = r.halves(w)
	r.responses(l, scheduled, seconds)
	r.Judge(l, w)
	return l
}

// rates counts the requests that were scheduled, sent and completed in the window.
func (r Run) rates(l *result.Load, w attribute.Window) {
	seconds := w.Duration().Seconds()
	in := func(t int64) bool { return t >= w.Start && t < w.End }
	for _, q := range r.Requests {
		if q.SubmittedNS != 0 && in(q.SubmittedNS) {
			l.SentRPS += 1 / seconds
		}
		if q.OK && in(q.EndNS) {
			l.CompletedRPS += 1 / seconds
		}
	}
	l.OfferedRPS = float64(l.Scheduled) / seconds
}

// responses computes what depends on the times of the answers.
func (r Run) responses(l *result.Load, scheduled []backend.Request, seconds float64) {
	var first, all, ttft, e2e []float64
	sum, ended := 0.0, true
	for _, q := range scheduled {
		if ended = ended && !Cut(q); !Cut(q) {
			sum += float64(q.EndNS-q.ArrivedNS) / 1e9
		}
		if !q.OK {
			continue
		}
		first = append(first, milliseconds(q.FirstTokenNS-q.ArrivedNS))
		all = append(all, milliseconds(q.EndNS-q.ArrivedNS))
		ttft = append(ttft, milliseconds(q.FirstTokenNS-q.SubmittedNS))
		e2e = append(e2e, milliseconds(q.EndNS-q.SubmittedNS))
	}
	if want := sum / seconds; ended && want > 0 {
		l.LittlePct = new(100 * (l.InFlight/want - 1))
	}
	if n := len(first); n >= 4 {
		l.EffectiveN = new(min(stats.EffectiveSize(first), stats.EffectiveSize(all)))
	}
	if !l.Saturated {
		l.ServiceTTFTMS, l.ServiceE2EMS = Summarized(ttft), Summarized(e2e)
	}
}

func milliseconds(ns int64) float64 { return float64(ns) / 1e6 }

// Summarized summarises times of requests in the order of their schedule, which may resemble their neighbours.
func Summarized(times []float64) *result.Distribution {
	return result.DistributionWith(times, stats.BeyondSize(times))
}

// sendLags returns the times from schedule to sending, in milliseconds, without requests that waited for a cap.
func sendLags(requests []backend.Request) []float64 {
	var lags []float64
	for _, q := range requests {
		if q.SubmittedNS != 0 && !q.Capped {
			lags = append(lags, milliseconds(q.SubmittedNS-q.ArrivedNS))
		}
	}
	return lags
}

// gapCV returns the coefficient of variation of the times between requests in order; nil if there are too few.
func gapCV(requests []backend.Request) *float64 {
	var gaps []float64
	for i := 1; i < len(requests); i++ {
		gaps = append(gaps, float64(requests[i].ArrivedNS-requests[i-1].ArrivedNS))
	}
	s, ok := stats.Summarize(gaps)
	if !ok || s.N < 2 || s.Mean <= 0 {
		return nil
	}
	return new(s.SD / s.Mean)
}

// Limits of the lag between schedule and sending.
const (
	// lagMS is the lag that is never reported, and lagShare the share of the median time to the first token.
	lagMS, lagShare = 1.0, 0.01
	// lagOfSLO is the share of the objective's time to the first token above which it is not judged.
	lagOfSLO = 0.1
)

// Lag returns the 99th percentile of the lag of sending, or the longest lag of few requests, in milliseconds.
func Lag(l *result.Load) float64 {
	d := l.SendLagMS
	if d == nil {
		return 0
	}
	return *cmp.Or(d.P99, &d.Max)
}

// Late reports whether requests were sent so late that it shows in the latencies. median is the median time to the
// first token, in milliseconds.
func Late(l *result.Load, median float64) bool { return Lag(l) > max(lagMS, lagShare*median) }

// verdict judges the objective, with the reason if it cannot be met or judged.
func (r Run) verdict(l *result.Load) (verdict load.Verdict, reason string) {
	if a := l.Attainment; a != nil {
		verdict = load.Judged(a.CI95[0], a.CI95[1], r.SLO.Limits().Attainment)
	}
	switch {
	case r.SLO.TTFTMS > 0 && Lag(l) > lagOfSLO*r.SLO.TTFTMS:
		return load.Unresolved, "requests were sent too late to judge the time to the first token"
	case l.Saturated:
		return load.No, "the backlog grows: no objective holds for long"
	case l.Scheduled == 0:
		return load.Unresolved, "no request was scheduled in the window"
	case verdict == load.Unresolved:
		return verdict, "the interval of the attainment holds the objective: more requests are needed"
	}
	return verdict, ""
}

// blocks is the number of equal parts of a window whose differences estimate a scatter, even.
const blocks = 10

// trendBlocks is the number of equal parts of a window over which the number in flight is averaged for its trend.
const trendBlocks = 20

// slope returns the change of the number in flight per second: the line through its means over equal blocks, with
// Student's interval. Means even out that answers end in waves. Blocks resemble their neighbours where answers take
// longer than a block: the interval is widened by the number of independent blocks that the residuals are worth.
func (f flight) slope(w attribute.Window) *result.Estimate {
	seconds := w.Duration().Seconds()
	if len(f.at) == 0 || seconds <= 0 {
		return nil
	}
	at := func(i int) int64 { return w.Start + int64(float64(w.End-w.Start)*float64(i)/trendBlocks) }
	var means, residuals [trendBlocks]float64
	for i := range means {
		means[i] = f.mean(attribute.Window{Start: at(i), End: at(i + 1)})
	}
	mean := stats.Mean(means[:])
	var xx, xy, left float64
	for i, y := range means {
		x := float64(i) - float64(trendBlocks-1)/2
		xx += x * x
		xy += x * (y - mean)
	}
	b := xy / xx
	for i, y := range means {
		residuals[i] = y - mean - b*(float64(i)-float64(trendBlocks-1)/2)
		left += residuals[i] * residuals[i]
	}
	worth := max(3, stats.EffectiveSize(residuals[:]))
	half := stats.StudentQuantile(trendBlocks-2) *
		math.Sqrt(left/(trendBlocks-2)/xx*trendBlocks/worth)
	per := trendBlocks / seconds
	return &result.Estimate{Value: b * per, CI95: [2]float64{(b - half) * per, (b + half) * per}}
}

// grown is the growth of the requests in flight over a window, relative to their mean, from which a slope above zero
// means that the backlog grows.
const grown = 0.25

// walking returns the slope with the interval of a backlog that grows, if it seems to. The number in flight is then not
// a line with a scatter around it, but walks at random: arrivals and ends of the window are independent of each other,
// and the slope through a random walk is off by 6/5 of the variance of its growth.
func (f flight) walking(l *result.Load, w attribute.Window) *result.Estimate {
	s := l.BacklogSlope
	if s == nil || s.CI95[0] <= 0 {
		return s
	}
	scatter := 1.0
	if l.GapCV != nil {
		scatter = *l.GapCV * *l.GapCV
	}
	half := load.Z95 * math.Sqrt(6./5*(l.OfferedRPS*scatter+l.CompletedRPS*f.dispersion(w))/w.Duration().Seconds())
	return &result.Estimate{Value: s.Value,
		CI95: [2]float64{min(s.CI95[0], s.Value-half), max(s.CI95[1], s.Value+half)}}
}

const (
	// endBlocks is the number of equal parts of a window over which ends are counted: few, as answers end in waves.
	endBlocks = 5
	// leastDispersion bounds the dispersion of ends, which is known from few parts.
	leastDispersion = 0.1
)

// dispersion returns the variance of the number of ends in a part of a window, relative to the variance in a Poisson
// process, which it does not exceed: an engine that is never idle answers more evenly.
func (f flight) dispersion(w attribute.Window) float64 {
	var counts [endBlocks]float64
	for _, at := range f.ends {
		if at >= w.Start && at < w.End {
			counts[int(float64(at-w.Start)/float64(w.End-w.Start)*endBlocks)]++
		}
	}
	s, ok := stats.Summarize(counts[:])
	if !ok || s.Mean <= 0 {
		return 1
	}
	return min(1, max(leastDispersion, s.SD*s.SD/s.Mean))
}

// growing reports whether the number in flight grows by more than a queue does that keeps up with its arrivals.
func growing(l *result.Load, seconds float64) bool {
	s := l.BacklogSlope
	return s != nil && s.CI95[0] > 0 && s.Value*seconds > max(2, grown*l.InFlight)
}

// Limits of the difference of two halves.
const (
	// apart is the difference in percent from which it matters.
	apart = 5.0
	// chance is the confidence with which a difference is not chance. Two are tested.
	chance = 0.99
)

// halves compares the halves of the window in power and in output tokens per second.
func (r Run) halves(w attribute.Window) *result.Halves {
	part := func(i int) attribute.Window {
		at := func(i int) int64 { return w.Start + int64(float64(w.End-w.Start)*float64(i)/(2*blocks)) }
		return attribute.Window{Start: at(i), End: at(i + 1)}
	}
	var power, rate []float64
	for i := range 2 * blocks {
		p := part(i)
		n := int64(0)
		for _, q := range r.Requests {
			n += OutputIn(q, p)
		}
		rate = append(rate, float64(n))
		if r.Power != nil {
			power = append(power, r.Power(p.Start, p.End))
		}
	}
	h := &result.Halves{Stationary: true}
	for _, v := range []struct {
		values []float64
		to     **float64
	}{{power, &h.PowerPct}, {rate, &h.RatePct}} {
		pct, differ, ok := halfDifference(v.values)
		if ok {
			*v.to = &pct
			h.Stationary = h.Stationary && !(differ && math.Abs(pct) > apart)
		}
	}
	return h
}

// halfDifference returns the difference of the means of the second and the first half, in percent of the mean, and
// whether chance does not explain it.
func halfDifference(values []float64) (pct float64, differ, ok bool) {
	n := len(values) / 2
	mean := stats.Mean(values)
	if n < 2 || mean <= 0 || slices.ContainsFunc(values, math.IsNaN) {
		return 0, false, false
	}
	pairs := make([]float64, n)
	for i := range pairs {
		pairs[i] = values[n+i] - values[i]
	}
	e, err := stats.MeanInterval(pairs, chance)
	if err != nil || !e.HasInterval() {
		return 0, false, false
	}
	return 100 * e.Value / mean, e.Low > 0 || e.High < 0, true
}
