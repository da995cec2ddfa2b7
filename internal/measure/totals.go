package measure

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/unit"
)

// sum is the total over the counted devices: gains add (the sensors may share
// their bias), statistical half widths add in quadrature.
type sum struct {
	joules, half, gain float64
	method, source     string
}

func addUp(devices []*deviceEnergy) sum {
	var s sum
	var methods, sources []string
	for _, d := range devices {
		s.joules += d.total.Joules
		s.half = math.Hypot(s.half, d.total.Half95)
		s.gain += d.gain() * d.total.Joules
		methods, sources = append(methods, d.method), append(sources, d.source)
	}
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
	return &result.Quantity{Value: v, CI95: [2]float64{v - half, v + half}, Gain95: s.gain * math.Abs(factor), Method: s.method, Source: s.source}
}

// totals fills everything that follows from the energy of the window.
func (r *run) totals(counted []*deviceEnergy, m material, tokens result.Tokens) {
	e := &r.record.Energy
	s := addUp(counted)
	seconds := m.window.Duration().Seconds()
	e.Provenance = result.Measured
	if slices.ContainsFunc(counted, func(d *deviceEnergy) bool { return d.device.Modelled }) {
		e.Provenance = result.Modelled
		e.Reason = "modelled, not measured: no CPU power sensor can be read here" + r.missing("cpu")
	}
	e.Sources = strings.Split(s.source, ", ")
	e.TotalJ, e.MeanW = s.times(1), s.times(1/seconds)
	r.net(counted, s, seconds)
	if n := float64(tokens.Output); n > 0 {
		e.PerOutputTokenJ = s.times(1 / n)
		e.TokensPerJ = inverse(*e.PerOutputTokenJ)
	}
	if n := float64(tokens.Prompt + tokens.Output); n > 0 {
		e.PerTotalTokenJ = s.times(1 / n)
	}
	if n := float64(tokens.RequestsOK); n > 0 {
		e.PerRequestJ = s.times(1 / n)
		e.WhPer1000Requests = s.times(1000 / n / unit.JoulesPerWattHour)
	}
	const joulesPerKWh = 1000 * unit.JoulesPerWattHour
	c := r.Experiment.Energy
	if c.CarbonIntensity > 0 {
		e.CO2eG = s.times(c.CarbonIntensity * c.PUE / joulesPerKWh)
	}
	if c.PricePerKWh > 0 {
		e.Cost = s.times(c.PricePerKWh * c.PUE / joulesPerKWh)
	}
	if r.record.Compute != nil && s.joules > 0 {
		perJ := r.record.Compute.FLOPs / s.joules
		r.record.Compute.FLOPsPerJ = &perJ
	}
	if net := e.NetJ; net != nil && net.CI95[0] <= 0 {
		r.record.Warn("net_not_positive", "the energy net of idle is not distinguishable from zero: the machine was as busy before the run as during it, or the window is too short")
	}
	if rel := s.half / s.joules; s.joules > 0 && rel > 0.05 {
		r.record.Warn("short_window", fmt.Sprintf("the window of %.2f s is short for this sensor: the timing of its readings alone makes the energy uncertain by ±%.0f %%; "+
			"use more prompts or longer outputs", seconds, 100*rel))
	}
}

// inverse turns J per token into tokens per J.
func inverse(q result.Quantity) *result.Quantity {
	if q.CI95[0] <= 0 {
		return nil
	}
	return &result.Quantity{Value: 1 / q.Value, CI95: [2]float64{1 / q.CI95[1], 1 / q.CI95[0]},
		Gain95: q.Gain95 / q.Value / q.Value, Method: q.Method, Source: q.Source}
}

// net subtracts the idle power of the counted devices.
func (r *run) net(counted []*deviceEnergy, s sum, seconds float64) {
	var watts, half, gain float64
	for _, d := range counted {
		idle, ok := r.baseline[d.device.ID]
		if !ok || idle.Reason != "" {
			reason := "baseline.seconds is 0"
			switch {
			case ok:
				reason = idle.Reason
			case r.Experiment.Baseline.Seconds > 0:
				reason = "the sensor gave no samples while the machine was idle"
			}
			r.record.Warn("no_baseline", d.device.ID+" has no idle baseline ("+reason+"): net_j is null")
			return
		}
		watts += idle.Watts
		half = math.Hypot(half, idle.Half95)
		gain += d.gain() * idle.Watts
	}
	method := "mean power of the idle machine before the engine was started"
	r.record.Energy.BaselineW = &result.Quantity{Value: watts, CI95: [2]float64{watts - half, watts + half}, Gain95: gain, Method: method, Source: s.source}
	v, h := s.joules-watts*seconds, math.Hypot(s.half, half*seconds)
	r.record.Energy.NetJ = &result.Quantity{Value: v, CI95: [2]float64{v - h, v + h}, Gain95: math.Abs(s.gain - gain*seconds),
		Method: s.method + ", less idle power before the engine was started", Source: s.source}
}
