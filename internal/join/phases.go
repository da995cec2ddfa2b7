package join

import (
	"fmt"
	"math"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/result"
)

// phases splits the total. The remainder after phases and idle time is unattributed, so that all parts add up
// to total_j exactly.
func (j *join) phases(counted []*deviceEnergy) {
	e := &j.record.Energy
	if e.Provenance == result.Modelled {
		e.PhasesReason = "the power is modelled and does not distinguish prefill from decode"
		return
	}
	if j.metered() && len(j.Steps) == 0 {
		e.PhasesReason = "no steps were marked in the window"
		return
	}
	var all attribute.Split
	var refused string
	var gain float64
	var sources []string
	out := &result.Phases{Method: attribute.Method}
	for _, d := range counted {
		s, err := attribute.Phases(attribute.Options{Samples: between(j.samples(d.device.ID), j.whole()),
			Steps: j.Steps, Requests: j.Requests, Window: j.whole(), Part: j.Window, Tier: j.Engine.Tier,
			Refined: j.Load != nil, Profile: d.device.Profile, Takes: digits.Duration(j.PhasesTakeS)})
		if err != nil {
			refused = d.device.ID + ": " + err.Error()
			break
		}
		add(&all.Prefill, s.Prefill)
		add(&all.Decode, s.Decode)
		add(&all.Other, s.Other)
		all.Shared += s.Shared
		gain = max(gain, d.gain())
		sources = append(sources, d.samples[0].Source)
		out.Fits = append(out.Fits, fitOut(d.device.ID, s))
		j.addShares(s)
	}
	if refused != "" {
		e.PhasesReason, j.shares = refused, nil
		return
	}
	out.SharedJ = all.Shared
	source := joinUnique(sources)
	out.Prefill, out.Decode, out.Other = phaseOut(all.Prefill, gain, source), phaseOut(all.Decode, gain,
		source), phaseOut(all.Other, gain, source)
	e.Phases = out
	j.dropShares(all)
	j.unattributed(counted, out)
}

// addShares adds the requests' shares on one device.
func (j *join) addShares(s attribute.Split) {
	shares := s.PerRequest(j.Requests)
	if j.shares == nil {
		j.shares = shares
		return
	}
	for i, q := range shares {
		j.shares[i].Prefill += q.Prefill
		j.shares[i].Decode += q.Decode
	}
}

// dropShares removes the shares of a refused phase.
func (j *join) dropShares(s attribute.Split) {
	for i := range j.shares {
		if s.Prefill.Refused != "" {
			j.shares[i].Prefill = math.NaN()
		}
		if s.Decode.Refused != "" {
			j.shares[i].Decode = math.NaN()
		}
	}
}

// unattributed returns the total minus all parts with a value.
func (j *join) unattributed(counted []*deviceEnergy, p *result.Phases) {
	e := &j.record.Energy
	rest, half := e.TotalJ.Value, 0.0
	for _, phase := range []*result.Phase{p.Prefill, p.Decode, p.Other} {
		if phase.EnergyJ != nil {
			rest -= *phase.EnergyJ
			half = math.Hypot(half, phase.CI95[1]-*phase.EnergyJ) // zero may cut off one side of the interval
		}
	}
	for _, d := range counted {
		half = math.Hypot(half, d.total.Half95)
	}
	e.UnattributedJ = &result.Quantity{Value: rest, CI95: [2]float64{rest - half, rest + half},
		Method: "total minus phases and idle time", Source: e.TotalJ.Source}
	if share := math.Abs(rest) / e.TotalJ.Value; share > agreementWarn/100 && p.Prefill.EnergyJ != nil &&
		p.Decode.EnergyJ != nil {
		j.warn(codes.Unattributed,
			fmt.Sprintf("the phases do not account for %.1f %% of the total: the power series and the counter, or "+
				"the model of "+
				"the steps, do not match", 100*rest/e.TotalJ.Value))
	}
}

// add adds a phase of another device; time and tokens are common to all devices.
func add(to *attribute.Phase, p attribute.Phase) {
	to.Joules += p.Joules
	to.Half95 = math.Hypot(to.Half95, p.Half95)
	to.Low += p.Low
	to.High += p.High
	to.Duration, to.Tokens = p.Duration, p.Tokens
	if to.Refused == "" {
		to.Refused = p.Refused
	}
}

// phaseOut returns a phase for the record; a refused phase has no numbers.
func phaseOut(p attribute.Phase, gain float64, source string) *result.Phase {
	out := &result.Phase{DurationS: p.Duration.Seconds(), Tokens: p.Tokens, Reason: p.Refused}
	if p.Refused != "" {
		return out
	}
	g := gain * math.Abs(p.Joules)
	out.Method, out.Source = attribute.Method, source
	out.EnergyJ, out.LowJ, out.HighJ, out.Gain95 = &p.Joules, &p.Low, &p.High, &g
	out.CI95 = &[2]float64{max(0, p.Joules-p.Half95), p.Joules + p.Half95}
	if p.Tokens > 0 {
		n := float64(p.Tokens)
		v, per := p.Joules/n, g/n
		out.JPerToken, out.JPerTokenGain95 = &v, &per
		out.JPerTokenCI95 = &[2]float64{out.CI95[0] / n, out.CI95[1] / n}
	}
	if p.Duration > 0 {
		v := p.Joules / p.Duration.Seconds()
		out.MeanW = &v
	}
	return out
}

func fitOut(device string, s attribute.Split) result.PhaseFit {
	f := result.PhaseFit{Device: device, Condition: s.Condition, Samples: s.Samples, ResidualW: s.ResidualW,
		FilterMS: milliseconds(s.Kernel.Filter), FilterSDMS: milliseconds(s.Kernel.FilterSD),
		WindowMS: milliseconds(s.Kernel.Window), WindowSDMS: milliseconds(s.Kernel.WindowSD),
		LagMS: milliseconds(s.Kernel.Lag), LagSDMS: milliseconds(s.Kernel.LagSD)}
	for _, t := range s.Terms {
		f.Terms = append(f.Terms, result.Term{Name: t.Name, W: t.Watts, SDW: t.SD})
	}
	return f
}
