package estimate

import (
	"fmt"
	"math"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/unit"
)

// Range is a rough interval.
type Range struct{ Low, High float64 }

// Prediction is the predicted cost of one run. All of it is modelled; Basis names the model.
type Prediction struct {
	// Prefill and Decode are the phases of the measured window, including its repetitions.
	Prefill, Decode Phase
	// Repeats is how often the workload runs to fill the window.
	Repeats int
	// Window is the measured window, Fixed everything around it.
	Window Phase
	Fixed  Fixed
	// Longer is the part that the window gains if it is lengthened for the split by phase as far as it may be. The
	// warm-up decides whether it is.
	Longer Phase
	// Served are the stretches of a load.
	Served []Served
	// Seconds and Energy are for the whole run.
	Seconds float64
	Energy  unit.Energy

	Memory Memory

	// SecondsRange and JoulesRange belong to Window, PeakRange (bytes) to Memory.Total.
	SecondsRange, JoulesRange, PeakRange Range
	// Basis is "roofline", "roofline corrected by N runs" or "history (N runs)".
	Basis string
	// Warnings name what makes the prediction less accurate than usual.
	Warnings []string
}

// Fixed are the seconds around the window, and their total energy.
type Fixed struct {
	Baseline, Start, Resident, Warmup float64
	Energy                            unit.Energy
}

// Seconds returns the sum.
func (f Fixed) Seconds() float64 { return f.Baseline + f.Start + f.Resident + f.Warmup }

// KWh returns the energy of the whole run in kilowatt-hours.
func (p Prediction) KWh() float64 { return p.Energy.Joules() / (1000 * digits.JoulesPerWattHour) }

// Intervals of the roofline, as factors. Fitted: runs on one kind of machine differed by 1.5. Otherwise the
// constants are nominal. Steps that are bound by the host take as long as its launches: on the hosts of two
// machines, 0.85 to 2.2 times the modelled time.
var (
	fittedRange  = Range{0.7, 1.5}
	nominalRange = Range{0.4, 2.5}
)

const hostHigh = 2.5

// Estimate predicts one run from the shape, corrected by earlier runs if there are any; see [History]. An error
// names what in the Setup cannot be estimated.
func Estimate(s Setup, earlier []Run) (Prediction, error) {
	if err := s.Validate(); err != nil {
		return Prediction{}, err
	}
	out := Prediction{Basis: "roofline", Memory: s.Memory()}
	prefill, decode := s.once()
	c := correctionFor(s, earlier)
	byHost := decode.Bound == BoundLaunches || prefill.Bound == BoundLaunches
	if byHost && !c.exact { // similar runs do not narrow it: the same host varies from day to day
		c.seconds.High = max(c.seconds.High, hostHigh/c.time)
		c.joules.High = max(c.joules.High, hostHigh/c.energy)
	}
	prefill, decode = c.apply(prefill), c.apply(decode)
	once := prefill.plus(decode)

	out.Repeats = 1
	if once.Seconds > 0 && once.Seconds < s.Around.MinWindow {
		out.Repeats = int(math.Ceil(s.Around.MinWindow / once.Seconds))
	}
	n := float64(out.Repeats)
	out.Prefill, out.Decode, out.Window = prefill.times(n), decode.times(n), once.times(n)
	if len(s.Arrivals) > 0 {
		out.Repeats, out.Prefill, out.Decode = 1, Phase{}, Phase{}
		out.Window, out.Served = s.arrive(c)
	} else if a := s.Around; a.WarmupRuns > 0 && once.Seconds > 0 && out.Window.Seconds < a.MaxWindow {
		out.Longer = out.Window.times(a.MaxWindow/out.Window.Seconds - 1)
	}
	out.Fixed = s.fixed(c)
	out.Seconds = out.Fixed.Seconds() + out.Window.Seconds
	out.Energy = out.Fixed.Energy + out.Window.Energy

	out.Basis = c.basis
	out.Memory = c.memory(out.Memory)
	out.SecondsRange = c.seconds.times(out.Window.Seconds)
	if len(s.Arrivals) > 0 { // requests arrive for as long as they do, whatever the engine is
		out.SecondsRange = Range{out.Window.Seconds, out.Window.Seconds}
	}
	out.JoulesRange = c.joules.times(out.Window.Energy.Joules())
	out.PeakRange = Range{float64(out.Memory.Low), float64(out.Memory.High)}
	out.Warnings = s.warnings(c)
	if byHost && c.runs == 0 {
		out.Warnings = append(out.Warnings,
			"steps are bound by the host that launches kernels, and hosts differ by a factor of two")
	}
	return out, nil
}

func (r Range) times(v float64) Range { return Range{r.Low * v, r.High * v} }

// fixed returns the parts of a run around its window.
func (s Setup) fixed(c correction) Fixed {
	p, a := s.engine(), s.Around
	idle := float64(s.Device.Idle) * float64(s.devices())
	resident := float64(s.Resident()) * float64(s.devices())
	f := Fixed{Baseline: a.BaselineSeconds, Resident: a.ResidentSeconds}
	// Devices load their parts of the weights concurrently from one disk.
	f.Start = p.start + float64(s.weights())*float64(s.parallel())/p.loadRate
	joules := f.Baseline*idle + (f.Start+f.Resident)*resident
	if a.WarmupRuns > 0 {
		sample := s
		sample.Work.Prompts = s.batch() + s.Work.Prompts%s.batch()
		prefill, decode := sample.once()
		warm := c.apply(prefill).plus(c.apply(decode)).times(float64(a.WarmupRuns))
		cover := s.cover(c)
		f.Warmup = warm.Seconds + cover.Seconds + p.first
		joules += warm.Energy.Joules() + cover.Energy.Joules() + p.first*resident
	}
	f.Energy = unit.FromJoules(joules)
	return f
}

// A warm-up runs each shape with a few output tokens: two rounds of first uses if there are any, three rounds
// otherwise. The number of shapes is unknown before prompts are tokenised: it is taken as the number of batches,
// up to the number that run one by one.
const (
	coverTokens, coverRounds, coverMost = 4, 3, 32
)

// cover returns the part of the warm-up that runs the shapes of the workload.
func (s Setup) cover(c correction) Phase {
	if s.Around.WarmupSeconds <= 0 {
		return Phase{}
	}
	n := (s.Work.Prompts + s.batch() - 1) / s.batch()
	if !s.Work.Padded {
		n = min(n, 2)
	}
	sample := s
	sample.Work.Prompts, sample.Work.Output = s.batch(), min(s.Work.Output, coverTokens)
	prefill, decode := sample.once()
	all := c.apply(prefill).plus(c.apply(decode)).times(float64(coverRounds * min(n, coverMost)))
	if all.Seconds > s.Around.WarmupSeconds {
		all = all.times(s.Around.WarmupSeconds / all.Seconds)
	}
	return all
}

// warnings lists where the model is known to be weak.
func (s Setup) warnings(c correction) []string {
	var out []string
	if !s.engine().fitted && c.runs == 0 {
		out = append(out, fmt.Sprintf("the constants of backend %s are nominal: no run has been compared with them",
			s.Backend))
	}
	if !s.Device.Host && s.Device.Name != fittedDevice && c.runs == 0 {
		out = append(out, "efficiency and power were fitted on an H200 only")
	}
	if !s.Device.Supports(s.format()) {
		out = append(out, fmt.Sprintf("%s has no matrix units for %s: computed in 16 bits", s.Device.Name, s.format()))
	}
	if s.parallel() > 1 {
		out = append(out, "communication between devices is nominal; how they are linked is unknown")
	}
	if s.stages() > 1 {
		out = append(out, "groups of devices that share the layers are assumed to work in turn")
	}
	if l := s.Model.Layout; l != nil && l.Approximate != "" {
		out = append(out, l.Approximate)
	}
	if counted := s.Model.Counted(); counted != "" {
		out = append(out, counted)
	}
	if s.Model.Experts > 0 {
		out = append(out, "tokens are assumed to spread evenly over experts")
	}
	return out
}

// fittedDevice is the device that the constants were fitted on.
const fittedDevice = "H200 SXM"
