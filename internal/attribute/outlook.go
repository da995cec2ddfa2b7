package attribute

import (
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/linear"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// Outlook is what is known about a window before it is measured: the work that it repeats, and the sensor.
type Outlook struct {
	// Steps are the engine's steps of one turn of the work.
	Steps []backend.Step
	// Requests are the requests of the turn.
	Requests []backend.Request
	// Turn is the interval of the turn; it contains the steps.
	Turn Window
	// Tier is how well the steps are known.
	Tier backend.Tier
	// Source names the call that returns the power series, Spacing is the time between two samples, and
	// Averaging is the sensor's averaging window that a sample states.
	Source             string
	Spacing, Averaging time.Duration
	// Profile, if set, is the self-test's profile of the sensor.
	Profile *power.SourceProfile
}

// Need is what a split by phase requires of a window.
type Need struct {
	// Turns is the number of turns of the work that the window must contain; 0 means that no number that was
	// tried is enough.
	Turns int
	// Why is the reason why the largest number that was tried is not enough.
	Why string
	// Longer is then about the required length of the window; 0 means that no length helps.
	Longer time.Duration
}

// Turns returns how many consecutive turns of the work a window must contain so that its energy can be split
// by phase. At most most turns are tried.
func (o Outlook) Turns(most int) Need {
	fails, turns := 0, 1
	for {
		why, more := o.refused(turns)
		if why == "" {
			break
		}
		if fails = turns; turns >= most || more == 0 {
			return Need{Why: why, Longer: time.Duration(more * float64(turns) * float64(o.Turn.Duration()))}
		}
		turns = min(most, max(turns+1, int(math.Ceil(float64(turns)*min(more, 2)))))
	}
	for turns-fails > 1 { // the minimum lies in between
		if n := (turns + fails) / 2; o.splits(n) {
			turns = n
		} else {
			fails = n
		}
	}
	return Need{Turns: turns}
}

func (o Outlook) splits(turns int) bool {
	why, _ := o.refused(turns)
	return why == ""
}

// SeenBy returns the outlook with the sensor that these samples of a device describe.
func (o Outlook) SeenBy(samples []power.Sample) Outlook {
	if len(samples) == 0 {
		return o
	}
	o.Source, o.Averaging, o.Spacing = samples[0].Source, samples[0].Window, unknownRefresh
	span := Window{math.MinInt64 / 2, math.MaxInt64 / 2}
	if spacing, err := typicalSpacing(observations(samples, span)); err == nil {
		o.Spacing = time.Duration(spacing)
	}
	return o
}

// refused returns why a window of so many turns would have no phases, or "" if it would, and by which factor
// it would have to be longer, 0 if no length helps. It calls [Phases] on simulated samples of an ordinary
// load, several times, because the scatter of one draw may be favourable.
func (o Outlook) refused(turns int) (why string, more float64) {
	for seed := range uint64(tries) {
		split, err := o.foresee(turns, seed)
		if err != nil {
			if short, ok := errors.AsType[*shortError](err); ok {
				return err.Error(), short.more
			}
			return err.Error(), 0
		}
		for _, p := range []Phase{split.Prefill, split.Decode} {
			if p.Refused != "" {
				if p.short == nil {
					return p.Refused, 0
				}
				return p.Refused, p.short.more
			}
		}
	}
	return "", 0
}

// tries is the number of draws that must all be split.
const tries = 3

func (o Outlook) foresee(turns int, seed uint64) (Split, error) {
	p := Options{Tier: o.Tier, Profile: o.Profile, Window: Window{End: int64(turns) * int64(o.Turn.Duration())}}
	for i := range int64(turns) {
		by := i*int64(o.Turn.Duration()) - o.Turn.Start
		for _, s := range o.Steps {
			s.StartNS, s.EndNS = s.StartNS+by, s.EndNS+by
			p.Steps = append(p.Steps, s)
		}
		for _, q := range o.Requests {
			p.Requests = append(p.Requests, later(q, by))
		}
	}
	line, err := timeline(p.Steps, p.Requests, p.Window)
	if err != nil {
		return Split{}, err
	}
	p.Samples = o.samples(newDesign(line, p.Window, p.Window), p.Window, seed)
	return Phases(p)
}

// later returns a request shifted by ns.
func later(q backend.Request, ns int64) backend.Request {
	q.SubmittedNS, q.FirstTokenNS, q.EndNS = q.SubmittedNS+ns, q.FirstTokenNS+ns, q.EndNS+ns
	tokens := make([]int64, len(q.TokenNS))
	for i, t := range q.TokenNS {
		tokens[i] = t + ns
	}
	q.TokenNS = tokens
	return q
}

// The simulated load: each kind of work with its own term takes an equal share of the power of a busy engine,
// and an idle machine takes a part of it. The model leaves residuals of some percent (3 to 10 in runs of an
// H200 and an H100, up to 20 if an engine's steps are short), partly correlated between samples. Sampling
// begins a little before the window and ends after it.
const (
	usualWatts   = 300.0
	usualIdle    = 0.3
	usualScatter = 0.10
	usualMemory  = 0.3
	usualMargin  = int64(150e6)
)

// samples returns what the sensor would show of a load, with typical scatter.
func (o Outlook) samples(d *design, w Window, seed uint64) []power.Sample {
	var needed float64
	for c, col := range d.columns {
		if col.needed && d.occurs(c) {
			needed++
		}
	}
	watts := make([]float64, len(d.columns))
	for c, col := range d.columns {
		switch {
		case col.name == "idle":
			watts[c] = usualIdle * usualWatts
		case col.needed && d.mixed():
			watts[c] = usualWatts / max(1, needed)
		case col.needed:
			watts[c] = usualWatts
		}
	}
	var obs []observation
	for at := w.Start - usualMargin; at < w.End+usualMargin; at += max(int64(o.Spacing), msNS) {
		obs = append(obs, observation{at: at, window: int64(o.Averaging)})
	}
	prior := priorsOf(o.Source, o.Profile, false)[0]
	noise := rand.New(rand.NewPCG(1, seed)) // the same question gets the same answer
	off, fresh := 0.0, math.Sqrt(1-usualMemory*usualMemory)
	out := make([]power.Sample, len(obs))
	for i, row := range rows(d.basis, obs, prior, prior.mean) {
		off = usualMemory*off + fresh*noise.NormFloat64()
		out[i] = power.Sample{MonoNS: obs[i].at, Source: o.Source, Window: o.Averaging,
			Power: max(0, unit.Watts(linear.Dot(row, watts)*(1+usualScatter*off)))}
	}
	return out
}
