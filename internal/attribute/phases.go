package attribute

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/blur"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/linear"
	"github.com/llenergymeasure/llem/power"
)

// Method is the name of this phase split in results.
const Method = "regression of the power samples on the step log, through the sensor's own averaging window and lag"

// Options are the inputs of a phase split on one device.
type Options struct {
	// Samples is the power series of the device.
	Samples []power.Sample
	// Steps are the engine's steps.
	Steps []backend.Step
	// Requests are the requests of the run.
	Requests []backend.Request
	// Window is the interval whose energy is split.
	Window Window
	// Part, if set, is the part of the window whose energy is wanted: the power of the work is then determined from
	// all of the window, and the phases are of the part.
	Part Window
	// Refined asks for a fit that is exact in long windows, too: see polish and stampDoubt. Without it, results already
	// published recompute to the last digit.
	Refined bool
	// Tier is how well the steps are known.
	Tier backend.Tier
	// Profile, if set, is the self-test's profile of the sensor.
	Profile *power.SourceProfile
	// Takes is the length of a window that can be split, by an [Outlook] of this window; refusals name it.
	// 0 means unknown, a negative value that no length helps.
	Takes time.Duration
}

// Phase is the energy of one kind of work.
type Phase struct {
	// Joules is the energy of the phase.
	Joules float64
	// Half95 is the half width of the 95 % confidence interval. The part of the interval below zero does not
	// count.
	Half95 float64
	// Low and High bound the energy over all ways to divide the shared cost of mixed steps, including the
	// confidence interval.
	Low, High float64
	// Duration is the total time of steps of the phase.
	Duration time.Duration
	// Tokens is the number of tokens that the phase computed.
	Tokens int64
	// Refused is why the phase has no valid energy; the numbers are then meaningless.
	Refused string
	// degrees of freedom of the interval.
	degrees float64
	// short is the error if the window is too short for the phase; nil if no length helps.
	short *shortError
}

// Term is one term of the fitted power model: the mean power of a kind of work, in watts.
type Term struct {
	// Name is the kind of work.
	Name string
	// Watts is the fitted power.
	Watts float64
	// SD is its standard error, in watts.
	SD float64
}

// Split is the energy of a window by phase: prefill, decode, and the time without steps.
type Split struct {
	// Prefill, Decode and Other are the parts of the window's energy.
	Prefill, Decode, Other Phase
	// Method is the name of the method.
	Method string
	// Kernel is the fitted averaging of the sensor.
	Kernel Kernel
	// Condition is the condition number of the design.
	Condition float64
	// Samples is the number of fitted power samples.
	Samples int
	// ResidualW is the standard deviation of the residuals, in watts.
	ResidualW float64
	// Terms are the terms of the fitted model.
	Terms []Term
	// Shared is the energy of mixed steps that both phases share.
	Shared float64

	fit *regression
}

// Sum returns the energy of the three phases.
func (s Split) Sum() float64 { return s.Prefill.Joules + s.Decode.Joules + s.Other.Joules }

// maxRelative is the half width of a phase's confidence interval, relative to its energy, above which the
// phase is refused.
const maxRelative = 0.25

// Phases splits the energy of the window. The true power is modelled as a sum of terms over the step log: a
// power for each phase with its variation over context and batch, or, if steps mix both phases, energies per
// step, per prompt token, per output token and per KV entry. Each sample is the mean of that power over the
// sensor's averaging window, with a lag. Non-negative least squares determines weights, lag and window
// together.
//
// In a mixed step, the two phases share the fixed cost of a step, mainly reading the weights. Each gets half
// of it: the Shapley value ½[E(P) + E(PD) − E(D)] of a game with two players, where E(P) and E(D) are the
// model's energies of a step with only that phase. Low and High assign the shared cost completely to the
// other phase or to this one.
//
// If the whole split cannot be determined, Phases returns the reason as an error; for a single phase, Refused
// has the reason.
func Phases(o Options) (Split, error) {
	if o.Tier == backend.TierClient {
		return Split{}, errors.New(
			"only the client's time stamps are known for this engine, which do not identify the phases")
	}
	line, err := timeline(o.Steps, o.Requests, o.Window)
	if err != nil {
		return Split{}, err
	}
	obs := observations(o.Samples, o.Window)
	if err := covered(obs, o.Window); err != nil {
		return Split{}, o.asking(err)
	}
	r := &regression{design: newDesign(line, o.Window, o.part()), obs: obs, refined: o.Refined}
	priors := priorsOf(o.Samples[0].Source, o.Profile, o.Refined)
	view := func(b *blur.Basis) [][]float64 { return rows(b, obs, priors[0], priors[0].mean) }
	condition, err := r.design.choose(view)
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

// part returns the interval that the phases are of.
func (o Options) part() Window {
	if o.Part == (Window{}) {
		return o.Window
	}
	return o.Part
}

// splitOf returns the split of one fit.
func splitOf(r *regression, line []stretch) Split {
	s := Split{Method: Method, Kernel: r.sensor(), Samples: len(r.obs), ResidualW: r.sigma, fit: r}
	s.fill(r, line)
	return s
}

// widen includes the phases of another shape of the sensor that the samples do not rule out.
func (s *Split) widen(o Split) {
	for _, q := range [][2]*Phase{{&s.Prefill, &o.Prefill}, {&s.Decode, &o.Decode}, {&s.Other, &o.Other}} {
		p, other := q[0], q[1]
		p.Half95 = max(p.Half95, math.Abs(p.Joules-other.Joules)+other.Half95)
		p.Low, p.High = min(p.Low, other.Low), max(p.High, other.High)
		p.contain()
		p.degrees = min(p.degrees, other.degrees)
	}
}

// contain extends the bounds to the confidence interval, except below zero.
func (p *Phase) contain() {
	p.Low = max(0, min(p.Low, p.Joules-p.Half95))
	p.High = max(p.High, p.Joules+p.Half95)
}

// covered returns an error for a series with gaps, in which the power is unknown.
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
		return &shortError{fmt.Sprintf("the window of %s s holds %s, too few for a phase split",
			digits.Significant(w.Duration().Seconds(), 2), digits.Count(inside, "power sample")), w,
			leastSamples / max(0.5, float64(inside)), 0}
	}
	// Gaps do not matter for the weights as long as they cover little time.
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

// leastSamples is the minimum number of power samples in a window.
const leastSamples = 8

// maxHoles is the fraction of the window that may lie in gaps of the series.
const maxHoles = 1 - minCoverage

// fill computes the phases from the fit.
func (s *Split) fill(r *regression, line []stretch) {
	var prompt, output float64
	for i, t := range line {
		part := r.design.part[i]
		ns := time.Duration(math.Round(part * float64(t.ns())))
		p := &s.Other
		switch t.kind {
		case prefill:
			p = &s.Prefill
		case decode:
			p = &s.Decode
		}
		if t.kind == mixed {
			// The time of a mixed step counts for both phases; its tokens do not.
			s.Prefill.Duration += ns
			p = &s.Decode
		}
		p.Duration += ns
		prompt, output = prompt+part*t.prompt, output+part*t.output
	}
	s.Prefill.Tokens, s.Decode.Tokens = int64(math.Round(prompt)), int64(math.Round(output))
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
	if r.refined {
		s.doubtPauses(r, line)
	}
	s.Shared = max(0, 2*linear.Dot(part(func(e split) float64 { return e.both }), r.beta))
	for c, col := range d.columns {
		unit := make([]float64, len(d.columns))
		unit[c] = 1
		w, wsd, _ := r.estimate(unit)
		s.Terms = append(s.Terms, Term{col.name, w, wsd})
	}
}

// stampDoubt is by how much the stamps of the steps may make every pause between two of them too long or too short.
const stampDoubt = 50 * time.Microsecond

// doubtPauses widens the intervals by what stamps do not tell: which power belongs to a pause, and which to the step
// before it. The series determines the sum of both, so that the error is the idle power over the error of the pause.
func (s *Split) doubtPauses(r *regression, line []stretch) {
	watts := 0.0
	for c, col := range r.design.columns {
		if col.name == idleTerm || col.name == pauseTerm {
			watts += r.beta[c]
		}
	}
	each := watts * stampDoubt.Seconds()
	var after [kinds]float64
	for i, t := range line {
		if t.kind == idle && r.design.part[i] > 0 {
			after[t.before] += each
		}
	}
	for p, doubt := range map[*Phase]float64{&s.Prefill: after[prefill] + after[mixed]/2,
		&s.Decode: after[decode] + after[mixed]/2, &s.Other: after[prefill] + after[decode] + after[mixed]} {
		p.Half95 = math.Hypot(p.Half95, doubt)
		p.contain()
	}
}

// minDegrees is the effective number of samples below which the confidence interval is a guess.
const minDegrees = 6

// maxBlur is how many times longer than a phase the sensor's window may be: above it, the phase is a fraction
// of a percent of each sample.
const maxBlur = 100

// refuse marks the phases whose energy cannot be determined.
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

// notNegative sets a negative energy of idle time to zero if its confidence interval allows it, and refuses
// the phase otherwise. The difference from the total then belongs to no phase.
func (p *Phase) notNegative() {
	switch {
	case p.Joules >= 0:
	case p.Joules+p.Half95 < 0:
		p.Refused = fmt.Sprintf(
			"the fit gives the time between steps %s (95 %%), which is impossible: the samples "+
				"cannot separate it from the steps; a longer window may (energy.min_window)", digits.Within(p.Joules,
				p.Half95, "J"))
	default:
		high := p.Joules + p.Half95
		p.Joules, p.Half95, p.Low, p.High = 0, high, 0, high
	}
}

// boundsOnly refuses the values of phases if only the engine's counters are known: how many tokens of each
// kind an interval had, but not which steps mixed both. The cost of a step may then belong to either phase.
// The bounds still hold, and if they are close, the value is valid with an interval as wide as the bounds.
func (s *Split) boundsOnly() {
	for _, p := range []*Phase{&s.Prefill, &s.Decode} {
		p.Half95 = max(p.Half95, p.High-p.Joules, p.Joules-p.Low)
		if p.Refused == "" && p.Half95 > maxRelative*p.Joules {
			p.Refused = fmt.Sprintf(
				"the engine's counters do not show which steps mixed prefill and decode: between %.3g and "+
					"%.3g J, more than ±%.0f %% apart", p.Low, p.High, 100*maxRelative)
		}
	}
}

// longest returns the longest time for which the engine does one kind of work without interruption, ignoring
// pauses.
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

// refuse sets the reason why the energy of a phase cannot be determined, and the window length that would
// suffice.
func (p *Phase) refuse(name string, o Options) {
	var why string
	var more float64
	switch {
	case p.degrees < minDegrees:
		why = fmt.Sprintf("%s has too few power samples in %s s (about %.0f effective samples, %d are needed)", name,
			digits.Significant(o.Window.Duration().Seconds(), 2), p.degrees+1, minDegrees+1)
		more = (minDegrees + 1) / p.degrees
	case p.Joules <= 0:
		why = fmt.Sprintf("the energy of %s is not distinguishable from zero with this sensor", name)
		more = unknownMore
	case p.Half95 > maxRelative*p.Joules:
		why = fmt.Sprintf("the energy of %s is %s (95 %%); the limit is ±%.0f %%", name,
			digits.Within(p.Joules, p.Half95, "J"), 100*maxRelative)
		more = max(2, square(p.Half95/p.Joules/maxRelative))
	default:
		return
	}
	p.short = &shortError{why, o.Window, more, o.Takes}
	p.Refused = p.short.Error()
}

// unknownMore is the factor by which a window should be longer if the required length is unknown.
const unknownMore = 4

// shortError is the error for a window that is too short to be split.
type shortError struct {
	what   string
	window Window
	// more is the factor by which it should be longer, from this window alone.
	more float64
	// takes is [Options.Takes], which is more reliable.
	takes time.Duration
}

// asking adds the required length to the error of a window that is too short.
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
		return e.what + "; judging by the warm-up, a longer window would not help"
	case takes <= e.window.Duration():
		takes = time.Duration(e.more * float64(e.window.Duration()))
	}
	return fmt.Sprintf("%s: set energy.min_window: %.0f", e.what, WindowToAsk(takes))
}

// WindowToAsk returns a window length in whole seconds, rounded to its precision.
func WindowToAsk(d time.Duration) float64 {
	seconds := math.Ceil(d.Seconds())
	if seconds > 100 {
		seconds = 10 * math.Ceil(seconds/10)
	}
	return seconds
}
