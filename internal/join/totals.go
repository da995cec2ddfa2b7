package join

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/atload"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// sum is the total over the counted devices: gains add, because sensors may share their bias; statistical
// half widths add in quadrature.
type sum struct {
	joules, half, gain float64
	alias              float64 // the part of half from the counters' aliasing
	method, source     string
	budget             []result.BudgetTerm
}

// aliasing is the budget term of a counter that measures a part of its period only.
const aliasing = "aliasing: the counter may measure only a part of each of its periods"

func addUp(devices []*deviceEnergy) sum {
	var s sum
	var methods, sources []string
	terms := map[string]float64{}
	for _, d := range devices {
		s.joules += d.total.Joules
		s.half = math.Hypot(s.half, d.total.Half95)
		s.gain += d.gain() * d.total.Joules
		methods, sources = append(methods, d.method), append(sources, d.source)
		term := "timing of the series at the window's limits"
		if d.counter {
			term = "timing of the counter at the window's limits"
		}
		terms[term] = math.Hypot(terms[term], math.Sqrt(max(0, d.total.Half95*d.total.Half95-d.alias*d.alias)))
		s.alias = math.Hypot(s.alias, d.alias)
		if d.alias > 0 {
			terms[aliasing] = math.Hypot(terms[aliasing], d.alias)
		}
	}
	for term, half := range terms {
		s.budget = append(s.budget, result.BudgetTerm{Term: term, Half95: half})
	}
	slices.SortFunc(s.budget, func(a, b result.BudgetTerm) int { return strings.Compare(a.Term, b.Term) })
	s.method, s.source = joinUnique(methods), joinUnique(sources)
	return s
}

func joinUnique(all []string) string {
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// times scales the sum to a derived quantity.
func (s sum) times(factor float64) *result.Quantity {
	v, half := s.joules*factor, s.half*math.Abs(factor)
	q := &result.Quantity{Value: v, CI95: [2]float64{v - half, v + half}, Gain95: s.gain * math.Abs(factor),
		Method: s.method, Source: s.source}
	for _, b := range s.budget {
		q.Budget = append(q.Budget, result.BudgetTerm{Term: b.Term, Half95: b.Half95 * math.Abs(factor)})
	}
	return q
}

// totals fills in everything that follows from the energy of the window.
func (j *join) totals(counted []*deviceEnergy, tokens result.Tokens) {
	e := &j.record.Energy
	s := addUp(counted)
	seconds := j.Window.Duration().Seconds()
	j.source(counted, s)
	e.TotalJ, e.MeanW = s.times(1), s.times(1/seconds)
	j.net(counted, s, seconds)
	if n := float64(tokens.Output); n > 0 {
		e.PerOutputTokenJ = s.times(1 / n)
		e.TokensPerJ = inverse(*e.PerOutputTokenJ)
		e.NetPerOutputTokenJ, e.NetResidentPerOutputTokenJ = e.NetJ.Over(n), e.NetResidentJ.Over(n)
	}
	if n := float64(tokens.Prompt + tokens.Output); n > 0 {
		e.PerTotalTokenJ, e.NetPerTotalTokenJ = s.times(1/n), e.NetJ.Over(n)
	}
	if n := float64(tokens.RequestsOK); n > 0 {
		e.PerRequestJ, e.NetPerRequestJ = s.times(1/n), e.NetJ.Over(n)
		e.WhPer1000Requests = s.times(1000 / n / digits.JoulesPerWattHour)
	}
	const joulesPerKWh = 1000 * digits.JoulesPerWattHour
	c := j.record.Config.Energy
	if c.CarbonIntensity > 0 {
		e.CO2eG = s.times(c.CarbonIntensity * c.PUE / joulesPerKWh)
	}
	if c.PricePerKWh > 0 {
		e.Cost = s.times(c.PricePerKWh * c.PUE / joulesPerKWh)
	}
	if j.record.Compute != nil && s.joules > 0 {
		perJ := j.record.Compute.FLOPs / s.joules
		j.record.Compute.FLOPsPerJ = &perJ
	}
	j.precision(s, seconds)
}

// source records the origin of the energy.
func (j *join) source(counted []*deviceEnergy, s sum) {
	e := &j.record.Energy
	e.Provenance = result.Measured
	if slices.ContainsFunc(counted, func(d *deviceEnergy) bool { return d.device.Modelled }) {
		// A modelled GPU is a simulated GPU: only the power of processors is modelled.
		e.Provenance, e.Reason = result.Simulated, "simulated, not measured: the GPU does not exist"
		if slices.ContainsFunc(counted, func(d *deviceEnergy) bool { return d.device.Kind != power.GPU }) {
			e.Provenance = result.Modelled
			e.Reason = "modelled, not measured: no CPU power sensor can be read on this machine" + j.missing("cpu")
		}
	}
	e.Provenance = e.Provenance.Of(j.record.Backend.Name)
	e.Sources = strings.Split(s.source, ", ")
}

// windowFor returns the length of a window, in seconds, in which the half width is a given share of the
// energy. The error at the limits is one of time, so its relative size is inversely proportional to the
// length; aliasing decreases with the square root of the length.
func (s sum) windowFor(share, seconds float64) float64 {
	alias := s.alias * s.alias / s.joules / s.joules
	limits := max(0, s.half*s.half/s.joules/s.joules-alias)
	// limits·x² + alias·x = share² at the window seconds/x
	return seconds * (alias + math.Sqrt(alias*alias+4*limits*share*share)) / (2 * share * share)
}

// precision computes the required length of the window, and warns if the window is too short.
func (j *join) precision(s sum, seconds float64) {
	e := &j.record.Energy
	for _, q := range []*result.Quantity{e.NetJ, e.NetResidentJ} {
		if q != nil && q.CI95[0] <= 0 {
			j.record.Warn(codes.NetNotPositive,
				"the energy net of idle is not distinguishable from zero: the machine was as busy before the run "+
					"as during it, or the window is too short")
			break
		}
	}
	if s.joules <= 0 {
		return
	}
	rel := s.half / s.joules
	e.MinWindow = &result.MinWindow{For1PctS: s.windowFor(0.01, seconds), For5PctS: s.windowFor(0.05, seconds)}
	if rel > 0.05 {
		j.record.Warn(codes.ShortWindow,
			fmt.Sprintf("the window of %.2f s is short for this sensor: the timing and sampling of its readings "+
				"alone make the energy uncertain by ±%.0f %%; "+
				"±5 %% needs %s s, ±1 %% needs %s s: %s",
				seconds, 100*rel, digits.Significant(e.MinWindow.For5PctS,
					2), digits.Significant(e.MinWindow.For1PctS, 2),
				j.longer("use more prompts, longer outputs, or energy.min_window")))
	}
}

// mostUncertain is the half width of a metered window's energy, relative to the energy, above which it is refused: the
// limit of phases. The window of a run is chosen by its workload and is only reported as short.
const mostUncertain = 0.25

// tooShort returns why a metered window is too short to have an energy; empty if it is not.
func (j *join) tooShort(counted []*deviceEnergy) string {
	s, seconds := addUp(counted), j.Window.Duration().Seconds()
	if !j.metered() || s.joules > 0 && s.half <= mostUncertain*s.joules {
		return ""
	}
	text := fmt.Sprintf("the window of %s s is too short for this sensor", digits.Significant(seconds, 2))
	if s.joules <= 0 {
		return text + ": it saw no energy in it; " + j.longer("")
	}
	j.record.Energy.MinWindow = &result.MinWindow{For1PctS: s.windowFor(0.01, seconds),
		For5PctS: s.windowFor(0.05, seconds)}
	return text + fmt.Sprintf(": its energy would be uncertain by ±%.0f %%; ±5 %% needs %s s, ±1 %% needs %s s; %s",
		100*s.half/s.joules, digits.Significant(s.windowFor(0.05, seconds), 2),
		digits.Significant(s.windowFor(0.01, seconds), 2), j.longer(""))
}

// longer is how a window becomes longer: of a run as engine says.
func (j *join) longer(engine string) string {
	if j.metered() {
		return "measure more of the work, or repeat it in one window"
	}
	return cmp.Or(j.arriving(), engine)
}

// arriving is how a window becomes longer in which requests arrive by themselves; empty for others.
func (j *join) arriving() string {
	if a := j.record.Config.Workload.Load; a.Open() {
		return atload.Longer(a.Kind)
	}
	return ""
}

// beforehand is when the bare idle power is measured.
func (j *join) beforehand() string {
	if j.metered() {
		return "before the window"
	}
	return "before the engine was started"
}

// inverse converts J per token to tokens per J.
func inverse(q result.Quantity) *result.Quantity {
	if q.CI95[0] <= 0 {
		return nil
	}
	return &result.Quantity{Value: 1 / q.Value, CI95: [2]float64{1 / q.CI95[1], 1 / q.CI95[0]},
		Gain95: q.Gain95 / q.Value / q.Value, Method: q.Method, Source: q.Source}
}

// net subtracts the idle power of the counted devices: bare, and with the model loaded.
func (j *join) net(counted []*deviceEnergy, s sum, seconds float64) {
	e := &j.record.Energy
	e.BaselineW, e.NetJ = j.netOf(counted, s, seconds, j.beforehand(),
		func(d *deviceEnergy) result.Idle { return d.bare })
	if e.BaselineW == nil {
		return
	}
	e.ResidentW, e.NetResidentJ = j.netOf(counted, s, seconds, "with the model loaded",
		func(d *deviceEnergy) result.Idle { return d.resident })
}

// netOf returns the idle power of the counted devices and the energy without it; both are nil, with a
// warning, if a device has none.
func (j *join) netOf(counted []*deviceEnergy, s sum, seconds float64, when string,
	of func(*deviceEnergy) result.Idle) (idle, net *result.Quantity) {
	var watts, half, gain, age float64
	for _, d := range counted {
		i := of(d)
		if (i == result.Idle{}) || i.Reason != "" {
			reason := i.Reason
			switch {
			case reason != "":
			case j.record.Config.Baseline.Seconds == 0:
				reason = "baseline.seconds is 0"
				if j.metered() {
					reason = "none was asked for with --baseline"
				}
			case when == "with the model loaded" && j.record.Config.Baseline.ResidentSeconds == 0:
				return nil, nil // not requested
			default:
				reason = "the sensor gave no samples while the machine was idle"
			}
			name := "net_j"
			if when == "with the model loaded" {
				name = "net_resident_j"
			}
			j.record.Warn(codes.NoBaseline,
				fmt.Sprintf("%s has no idle baseline %s (%s): %s is null", d.device.ID, when, reason, name))
			return nil, nil
		}
		watts += i.W
		half = math.Hypot(half, i.Half95)
		gain += d.gain() * i.W
		age = max(age, i.AgeS)
	}
	method := "mean power of the idle machine " + when
	if age > 0 {
		method += fmt.Sprintf(", measured %.0f s earlier and confirmed", age)
	}
	idle = &result.Quantity{Value: watts, CI95: [2]float64{watts - half, watts + half}, Gain95: gain, Method: method,
		Source: s.source}
	v, h := s.joules-watts*seconds, math.Hypot(s.half, half*seconds)
	net = &result.Quantity{Value: v, CI95: [2]float64{v - h, v + h}, Gain95: math.Abs(s.gain - gain*seconds),
		Method: s.method + ", minus idle power " + when, Source: s.source}
	net.Budget = append(slices.Clone(s.budget),
		result.BudgetTerm{Term: "scatter of the idle power", Half95: half * seconds})
	return idle, net
}
