package atload

import (
	"fmt"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/result"
)

const (
	// longRunBatches is the number of equal parts of a window whose scatter tells how far another window of the same
	// load may differ.
	longRunBatches = 20
	// widest is the half width of an interval, relative to the value, above which it is refused.
	widest = 0.5
)

// RequestsTerm is the part of an interval that comes from which requests a window has.
const RequestsTerm = "requests of the window: what other windows of the same load would differ by"

// LongRun completes a load with its energies per token as figures of the load, not only of the window: their intervals
// hold what windows of the same load give in the long run. perOutput is the energy of the window per output token.
//
// Energy over tokens is a ratio estimator: the scatter of energy − ratio · tokens between batches is its standard
// error, for as many independent batches as [stats.IntervalSize] leaves, which accounts for Student's quantile. The
// sensors' own interval is added in quadrature.
func (r Run) LongRun(l *result.Load, w attribute.Window, perOutput *result.Quantity) {
	l.LongRunOutputTokenJ, l.LongRunGoodTokenJ, l.LongRunReason = nil, nil, ""
	if perOutput == nil {
		l.LongRunReason = "there is no energy per output token"
		return
	}
	if l.LongRunReason = r.noLongRun(l); l.LongRunReason != "" {
		return
	}
	energy := make([]float64, longRunBatches)
	output, good := make([]float64, longRunBatches), make([]float64, longRunBatches)
	for i := range energy {
		at := func(i int) int64 { return w.Start + int64(float64(w.End-w.Start)*float64(i)/longRunBatches) }
		part := attribute.Window{Start: at(i), End: at(i + 1)}
		made := r.Produced(part)
		energy[i], output[i], good[i] = r.Power(part.Start, part.End), float64(made.Output), float64(made.Good)
	}
	if slices.ContainsFunc(energy, math.IsNaN) {
		l.LongRunReason = "the power series does not cover the window"
		return
	}
	l.LongRunOutputTokenJ, l.LongRunReason = longRun(perOutput, energy, output)
	if l.PerGoodTokenJ != nil {
		var why string
		if l.LongRunGoodTokenJ, why = longRun(l.PerGoodTokenJ, energy, good); l.LongRunReason == "" {
			l.LongRunReason = why
		}
	}
}

// noLongRun returns why a load has no figure of the long run.
func (r Run) noLongRun(l *result.Load) string {
	switch {
	case r.Kind == load.Ramp || r.Kind == load.Rates || r.Kind == load.Trace:
		return "the rate changes over the window: there is no other window of the same load"
	case l.Saturated:
		return "the backlog grew: there is no steady state"
	case l.Halves != nil && !l.Halves.Stationary:
		return "the halves of the window differ: there is no steady state"
	case r.Power == nil:
		return "there is no power series: a counter alone does not show how the energy scatters"
	}
	return ""
}

// longRun returns a ratio of the window with the interval of the long run, from its energy and tokens in equal parts of
// the window; energies need only be in proportion. It returns why not if the parts tell too little.
func longRun(ratio *result.Quantity, energy, tokens []float64) (*result.Quantity, string) {
	n := float64(len(energy))
	mean, each := stats.Mean(energy), stats.Mean(tokens)
	if mean <= 0 || each <= 0 {
		return nil, "there are no tokens"
	}
	off, square := make([]float64, len(energy)), 0.0
	for i := range off {
		off[i] = energy[i]/mean - tokens[i]/each // relative to the ratio
		square += off[i] * off[i]
	}
	half := load.Z95 * math.Sqrt(square/(n-1)/stats.IntervalSize(off)) * ratio.Value
	if half > widest*ratio.Value {
		return nil, fmt.Sprintf("the window is too short for an energy per token of the long run: "+
			"it would be known to ±%.0f %% only", 100*half/ratio.Value)
	}
	out := *ratio
	all := math.Hypot(half, (ratio.CI95[1]-ratio.CI95[0])/2)
	out.CI95 = [2]float64{max(0, ratio.Value-all), ratio.Value + all}
	out.Budget = append(slices.Clone(ratio.Budget), result.BudgetTerm{Term: RequestsTerm, Half95: half})
	return &out, ""
}
