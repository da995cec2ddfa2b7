package attribute

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/linear"
	"github.com/llenergymeasure/llem/power"
)

// Method names the phase split of this package in results.
const Method = "regression of the power samples on the step log, through the sensor's own averaging window and lag"

// Options are the material of a phase split on one device.
type Options struct {
	// Samples is the power series of the device.
	Samples []power.Sample
	// Steps are the engine's iterations.
	Steps []backend.Step
	// Requests are the requests of the run.
	Requests []backend.Request
	// Window is the stretch whose energy is split.
	Window Window
	// Tier says how well the steps are known.
	Tier backend.Tier
	// Profile, if set, is what a self-test found about the sensor.
	Profile *power.SourceProfile
	// Takes is how long a window is that can be split, by an [Outlook] of this one: what a refusal asks for. 0
	// is not known, and less than 0 that no length helps.
	Takes time.Duration
}

// Phase is the energy of one kind of work.
type Phase struct {
	// Joules is the energy of the phase.
	Joules float64
	// Half95 is the half width of the 95 % statistical interval, of which what lies
	// below zero does not count.
	Half95 float64
	// Low and High bound the energy over all ways of sharing out what mixed steps
	// spend on both phases, the interval included.
	Low, High float64
	// Duration is how long steps of the phase ran.
	Duration time.Duration
	// Tokens is how many tokens the phase computed.
	Tokens int64
	// Refused says why Joules cannot be defended; the numbers are then void.
	Refused string
	// degrees of freedom of the interval.
	degrees float64
	// short is why the window is too short for the phase; nil where no length helps.
	short *shortError
}

// Term is one term of the fitted power model: a mean power in watts while the work
// that it names is done.
type Term struct {
	// Name is what the term stands for.
	Name string
	// Watts is the fitted power.
	Watts float64
	// SD is its standard error, in watts.
	SD float64
}

// Split is the energy of a window by phase: prefill, decode, and the rest of the
// window in which no step ran.
type Split struct {
	// Prefill, Decode and Other are the parts of the window's energy.
	Prefill, Decode, Other Phase
	// Method names how the energy was split.
	Method string
	// Kernel is the sensor's averaging as it was used.
	Kernel Kernel
	// Condition is the condition number of the design.
	Condition float64
	// Samples is how many power samples were fitted.
	Samples int
	// ResidualW is the standard deviation of what the model does not explain.
	ResidualW float64
	// Terms are the terms of the fitted model.
	Terms []Term
	// Shared is the energy of mixed steps that both phases caused together.
	Shared float64

	fit *regression
}

// Sum of the three phases.
func (s Split) Sum() float64 { return s.Prefill.Joules + s.Decode.Joules + s.Other.Joules }

// maxRelative is the half width of a phase's interval, relative to its energy,
// beyond which the phase is not printed.
const maxRelative = 0.25

// Phases splits the energy of the window. The true power is modelled as a sum of
// terms over the step log: a power for each phase with its variation over context
// and batch, or, where steps mix both phases, energies per step, per prompt token,
// per output token and per KV entry. Each sample is the mean of that power over
// the sensor's averaging window, which may lag; weights, lag and window are found
// together by non-negative least squares.
//
// In a mixed step the two phases share what every step costs, above all reading the
// weights. Each gets half of it: the Shapley value ½[E(P) + E(PD) − E(D)] of a game
// with two players, where E(P) and E(D) are what the model says of the step with
// one phase alone. Low and High give it all to the other or all to this one.
//
// What cannot be known is refused with the reason: the whole split as an error, a
// single phase in its Refused.
func Phases(o Options) (Split, error) {
	if o.Tier == backend.TierClient {
		return Split{}, errors.New(
			"the engine shows only the client's time stamps: the phase split is not identifiable")
	}
	line, err := timeline(o.Steps, o.Requests, o.Window)
	if err != nil {
		return Split{}, err
	}
	obs := observations(o.Samples, o.Window)
	if err := covered(obs, o.Window); err != nil {
		return Split{}, o.asking(err)
	}
	r := &regression{design: newDesign(line, o.Window), obs: obs}
	priors := priorsOf(o.Samples[0].Source, o.Profile)
	condition, err := r.design.choose(func(b *basis) [][]float64 { return rows(b, obs, priors[0], priors[0].mean) })
	if err != nil {
		return Split{}, o.asking(err)
	}
	fits, err := r.fits(priors)
	if err != nil {
		return Split{}, o.asking(err)
	}
	s := splitOf(fits[0], line)
	for _, other := range fits[1:] {
		s.widen(splitOf(other, line))
	}
	s.Condition = condition
	s.refuse(line, o)
	s.Other.notNegative()
	if o.Tier == backend.TierCounters {
		s.boundsOnly()
	}
	return s, nil
}

// splitOf is the split by one fit.
func splitOf(r *regression, line []stretch) Split {
	s := Split{Method: Method, Kernel: r.sensor(), Samples: len(r.obs), ResidualW: r.sigma, fit: r}
	s.fill(r, line)
	return s
}

// widen takes in what another shape of the sensor, which the samples do not rule
// out, says about the phases.
func (s *Split) widen(o Split) {
	for _, q := range [][2]*Phase{{&s.Prefill, &o.Prefill}, {&s.Decode, &o.Decode}, {&s.Other, &o.Other}} {
		p, other := q[0], q[1]
		p.Half95 = max(p.Half95, math.Abs(p.Joules-other.Joules)+other.Half95)
		p.Low, p.High = min(p.Low, other.Low), max(p.High, other.High)
		p.contain()
		p.degrees = min(p.degrees, other.degrees)
	}
}

// contain makes the bounds hold the interval, as far as it is not negative.
func (p *Phase) contain() {
	p.Low = max(0, min(p.Low, p.Joules-p.Half95))
	p.High = max(p.High, p.Joules+p.Half95)
}

// covered refuses a series with holes: what happened in them is not known.
func covered(obs []observation, w Window) error {
	inside, longest, at := 0, int64(0), w.Start
	var spacing int64
	if len(obs) > 1 {
		times := make([]int64, len(obs))
		for i, o := range obs {
			times[i] = o.at
		}
		spacing = int64(medianSpacing(times))
	}
	for _, o := range obs {
		if o.at < w.Start {
			continue
		}
		longest = max(longest, min(o.at, w.End)-at)
		at = min(o.at, w.End)
		if o.at <= w.End {
			inside++
		}
	}
	longest = max(longest, w.End-at)
	if inside < leastSamples {
		return &shortError{fmt.Sprintf("the window of %.2g s holds %d power samples, too few for a phase split",
			w.Duration().Seconds(), inside), w, leastSamples / max(0.5, float64(inside)), 0}
	}
	// A hole is harmless for the weights as long as little time lies in holes.
	var hole int64
	last := w.Start
	for _, o := range obs {
		if o.at <= w.Start {
			continue
		}
		if gap := min(o.at, w.End) - last; gap > 5*spacing {
			hole += gap
		}
		if last = min(o.at, w.End); o.at >= w.End {
			break
		}
	}
	if gap := w.End - last; gap > 5*spacing {
		hole += gap
	}
	if float64(hole) > maxHoles*float64(w.End-w.Start) {
		return fmt.Errorf("the power series covers only %.1f %% of the window; longest gap %.0f ms",
			100*(1-float64(hole)/float64(w.End-w.Start)), float64(longest)/1e6)
	}
	return nil
}

// leastSamples is the number of power samples from which a window is split.
const leastSamples = 8

// maxHoles is the part of the window that may lie in gaps of the series.
const maxHoles = 1 - minCoverage

// fill computes the phases from the fit.
func (s *Split) fill(r *regression, line []stretch) {
	for _, t := range line {
		p := &s.Other
		switch t.kind {
		case prefill:
			p = &s.Prefill
		case decode:
			p = &s.Decode
		}
		if t.kind == mixed {
			// The time of a mixed step belongs to both; tokens do not.
			s.Prefill.Duration += time.Duration(t.ns())
			p = &s.Decode
		}
		p.Duration += time.Duration(t.ns())
		s.Prefill.Tokens += int64(t.prompt)
		s.Decode.Tokens += int64(t.output)
	}
	d := r.design
	part := func(of func(split) float64) []float64 {
		c := make([]float64, len(d.energy))
		for i, e := range d.energy {
			c[i] = of(e)
		}
		return c
	}
	phase := func(p *Phase, of, low, high func(split) float64) {
		value, sd, df := r.estimate(part(of))
		p.Joules, p.Half95 = value, student975(df)*sd
		lowest, lowSD, lowDF := r.estimate(part(low))
		highest, highSD, highDF := r.estimate(part(high))
		p.Low, p.High = lowest-student975(lowDF)*lowSD, highest+student975(highDF)*highSD
		p.contain()
		p.degrees = df
	}
	phase(&s.Prefill,
		func(e split) float64 { return e.prefill },
		func(e split) float64 { return e.prefill - e.both },
		func(e split) float64 { return e.prefill + e.both })
	phase(&s.Decode,
		func(e split) float64 { return e.decode },
		func(e split) float64 { return e.decode - e.both },
		func(e split) float64 { return e.decode + e.both })
	other := func(e split) float64 { return e.other }
	phase(&s.Other, other, other, other)
	s.Shared = max(0, 2*linear.Dot(part(func(e split) float64 { return e.both }), r.beta))
	for c, col := range d.columns {
		unit := make([]float64, len(d.columns))
		unit[c] = 1
		w, wsd, _ := r.estimate(unit)
		s.Terms = append(s.Terms, Term{col.name, w, wsd})
	}
}

// minDegrees is the number of samples' worth of information below which an
// interval itself is a guess.
const minDegrees = 6

// maxBlur is how many times longer than a phase the sensor's window may be: beyond,
// the phase is a fraction of a percent of every sample.
const maxBlur = 100

// refuse marks the phases that cannot be defended.
func (s *Split) refuse(line []stretch, o Options) {
	for _, q := range []struct {
		name  string
		phase *Phase
		kind  kind
	}{{"prefill", &s.Prefill, prefill}, {"decode", &s.Decode, decode}} {
		if q.phase.Duration == 0 {
			continue
		}
		q.phase.refuse(q.name, o)
		if lasts := longest(line, q.kind); q.phase.Refused == "" && lasts > 0 && s.Kernel.blur() > maxBlur*lasts {
			q.phase.Refused = fmt.Sprintf(
				"%s lasts %.3g ms at a time, but the sensor averages over %.3g ms: use longer prompts, longer "+
					"outputs or a larger batch",
				q.name, 1e3*lasts.Seconds(), 1e3*s.Kernel.blur().Seconds())
		}
	}
}

// notNegative makes idle time that the fit gives a negative energy cost nothing, if its
// interval allows that, and refuses it otherwise. What that leaves of the total belongs
// to no phase.
func (p *Phase) notNegative() {
	switch {
	case p.Joules >= 0:
	case p.Joules+p.Half95 < 0:
		p.Refused = fmt.Sprintf(
			"the fit gives the time between the steps %.3g ± %.2g J (95 %%), which no machine draws: the samples "+
				"cannot tell it from the steps beside it; a longer window may (energy.min_window)", p.Joules, p.Half95)
	default:
		high := p.Joules + p.Half95
		p.Joules, p.Half95, p.Low, p.High = 0, high, 0, high
	}
}

// boundsOnly refuses the values of phases that are known by the engine's counters
// alone: how many tokens of each kind an interval had, and not which steps mixed
// both. What every step costs may then belong to either; the bounds hold, and where
// they are close the value is good with an interval as wide as they are.
func (s *Split) boundsOnly() {
	for _, p := range []*Phase{&s.Prefill, &s.Decode} {
		p.Half95 = max(p.Half95, p.High-p.Joules, p.Joules-p.Low)
		if p.Refused == "" && p.Half95 > maxRelative*p.Joules {
			p.Refused = fmt.Sprintf(
				"the engine shows counters, not which of its steps mixed prefill and decode: between %.3g and "+
					"%.3g J, more than ±%.0f %% apart", p.Low, p.High, 100*maxRelative)
		}
	}
}

// longest is the longest time for which the engine does one thing without a break,
// pauses aside.
func longest(line []stretch, k kind) time.Duration {
	var best, run int64
	for _, s := range line {
		switch s.kind {
		case k, mixed:
			run += s.ns()
			best = max(best, run)
		case idle:
		default:
			run = 0
		}
	}
	return time.Duration(best)
}

// refuse says why a phase cannot be defended, and from which length of the window on it could be.
func (p *Phase) refuse(name string, o Options) {
	var why string
	var more float64
	switch {
	case p.degrees < minDegrees:
		why = fmt.Sprintf("%s is seen by too few power samples in %.2g s (about %.0f carry it, %d are needed)", name,
			o.Window.Duration().Seconds(), p.degrees+1, minDegrees+1)
		more = (minDegrees + 1) / p.degrees
	case p.Joules <= 0:
		why = fmt.Sprintf("the energy of %s is not distinguishable from zero with this sensor", name)
		more = unknownMore
	case p.Half95 > maxRelative*p.Joules:
		why = fmt.Sprintf("the energy of %s is %.3g ± %.2g J (95 %%), and more than ±%.0f %% is not printed", name,
			p.Joules, p.Half95, 100*maxRelative)
		more = max(2, square(p.Half95/p.Joules/maxRelative))
	default:
		return
	}
	p.short = &shortError{why, o.Window, more, o.Takes}
	p.Refused = p.short.Error()
}

// unknownMore is how many times as long a window is asked for where nothing tells how long it
// would have to be.
const unknownMore = 4

// shortError says that a window is too short to be split.
type shortError struct {
	what   string
	window Window
	// more is how many times as long it would have to be, as far as this window shows.
	more float64
	// takes is [Options.Takes], which knows better.
	takes time.Duration
}

// asking gives a window that is too short the length that it should have.
func (o Options) asking(err error) error {
	if short, ok := errors.AsType[*shortError](err); ok {
		short.takes = o.Takes
	}
	return err
}

func (e *shortError) Error() string {
	takes := e.takes
	switch {
	case takes < 0:
		return e.what + ", and by what the warm-up showed a longer window would not help"
	case takes <= e.window.Duration():
		takes = time.Duration(e.more * float64(e.window.Duration()))
	}
	return fmt.Sprintf("%s: set energy.min_window: %.0f", e.what, WindowToAsk(takes))
}

// WindowToAsk is a length of a window in whole seconds, and not more exactly than it is known.
func WindowToAsk(d time.Duration) float64 {
	seconds := math.Ceil(d.Seconds())
	if seconds > 100 {
		seconds = 10 * math.Ceil(seconds/10)
	}
	return seconds
}
