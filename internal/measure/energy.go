package measure

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// Limits on the difference between counter and integral, in percent.
const (
	agreementWarn = 3.0
	agreementFail = 10.0
)

// sensorGain95 is the gain uncertainty of an uncalibrated board or package sensor
// (95 %): steady-state errors of about ±5 % of reading against external meters,
// see docs/metrics.md. modelGain95 is that of the CPU power model.
const (
	sensorGain95 = 0.05
	modelGain95  = 0.50
)

// energy fills the energy part of the record.
func (r *run) energy(m material, tokens result.Tokens) {
	e := &r.record.Energy
	scope := "cpu"
	if len(r.loaded.DeviceUUIDs) > 0 || strings.HasPrefix(r.loaded.Device, "cuda") {
		scope = "gpu"
	}
	if len(r.Meters) == 0 {
		e.Reason = r.noSensor(scope)
		return
	}
	e.Scope = scope
	var counted []*deviceEnergy
	for _, d := range r.devices(m) {
		e.Devices = append(e.Devices, d.out)
		if d.counted {
			counted = append(counted, d)
		}
	}
	r.sensorNotes(m, counted)
	if len(counted) == 0 {
		e.Reason = fmt.Sprintf("the model ran on the %s: %s", e.Scope, r.noSensor(e.Scope))
		return
	}
	r.agree(counted)
	for _, d := range counted {
		if d.err != nil {
			e.Reason = fmt.Sprintf("%s: %v", d.device.ID, d.err)
			return
		}
	}
	r.totals(counted, m, tokens)
	r.phases(counted, m)
}

// sensorNotes reports what the meters doubt and what failed while they were read.
func (r *run) sensorNotes(m material, counted []*deviceEnergy) {
	for _, meter := range r.Meters {
		if w, ok := meter.(power.Warner); ok {
			for _, msg := range w.Warnings() {
				r.record.Warn("sensor", msg)
			}
		}
	}
	for _, msg := range m.trace.Errors {
		r.note("sensor_error", msg)
	}
	if r.record.Energy.Scope == "gpu" && len(r.loaded.DeviceUUIDs) == 0 && len(counted) > 1 {
		r.note("gpu_unknown", fmt.Sprintf("the engine does not say which GPU it uses: all %d are counted; "+
			"choose with CUDA_VISIBLE_DEVICES", len(counted)))
	}
}

// noSensor explains missing energy of a scope with what would help.
func (r *run) noSensor(scope string) string {
	if r.Experiment.Energy.Sources == "none" {
		return "energy.sources is none"
	}
	s := "no " + strings.ToUpper(scope) + " power sensor can be read here" + r.missing(scope)
	if scope == "cpu" { // there is no model of a GPU's power
		s += "; for a rough modelled value add --estimate"
	}
	return s
}

// missing lists the sensors that could not be opened, and what would help.
func (r *run) missing(scope string) string {
	var b strings.Builder
	for _, u := range r.Missing {
		if forCPU := strings.HasPrefix(u.Source, "rapl"); forCPU != (scope == "cpu") {
			continue // no sensor for what ran the model
		}
		fmt.Fprintf(&b, "; %s: %s", u.Source, u.Reason)
		if u.Fix != "" {
			fmt.Fprintf(&b, " (try: %s)", u.Fix)
		}
	}
	return b.String()
}

// phases splits the total by the simple method. What the series misses of the
// total is unattributed, so that phases and rest add up to total_j exactly.
func (r *run) phases(counted []*deviceEnergy, m material) {
	e := &r.record.Energy
	if !r.loaded.SharedClock {
		e.PhasesReason = "the engine reads another clock than the power sensors: its steps cannot be laid over the series"
		return
	}
	var all attribute.Split
	for _, d := range counted {
		if d.curve == nil {
			e.PhasesReason = d.device.ID + " has no power series"
			return
		}
		s, err := attribute.Phases(d.curve, m.log.Steps, m.window)
		if err != nil {
			e.PhasesReason = d.device.ID + ": " + err.Error()
			return
		}
		add(&all.Prefill, s.Prefill)
		add(&all.Decode, s.Decode)
		add(&all.Other, s.Other)
	}
	e.Phases = &result.Phases{Method: attribute.SimpleMethod,
		Prefill: phaseOut(all.Prefill), Decode: phaseOut(all.Decode), Other: phaseOut(all.Other)}
	rest := e.TotalJ.Value - all.Sum()
	var half float64 // of both sources: the total is the counter's, the phases are the series'
	for _, d := range counted {
		half = math.Hypot(half, math.Hypot(d.total.Half95, d.series.Half95))
	}
	e.UnattributedJ = &result.Quantity{Value: rest, CI95: [2]float64{rest - half, rest + half},
		Gain95: 0, Method: "total less the phases", Source: e.TotalJ.Source}
}

// add sums a phase over devices; time and tokens are common to them.
func add(to *attribute.Phase, p attribute.Phase) {
	to.Joules += p.Joules
	to.Low += p.Low
	to.High += p.High
	to.Duration, to.Tokens, to.Stretches = p.Duration, p.Tokens, p.Stretches
}

func phaseOut(p attribute.Phase) *result.Phase {
	out := &result.Phase{EnergyJ: p.Joules, LowJ: p.Low, HighJ: p.High, DurationS: p.Duration.Seconds(), Tokens: p.Tokens}
	if p.Tokens > 0 {
		v := p.Joules / float64(p.Tokens)
		out.JPerToken = &v
	}
	if p.Duration > 0 {
		v := p.Joules / p.Duration.Seconds()
		out.MeanW = &v
	}
	return out
}

// agree reports the comparison of counter and integral over all counted devices.
func (r *run) agree(counted []*deviceEnergy) {
	var counter, integral float64
	both := true
	for _, d := range counted {
		a := d.out.Agreement
		if a == nil || a.CounterJ == nil || a.IntegralJ == nil {
			both = false
			break
		}
		counter += *a.CounterJ
		integral += *a.IntegralJ
	}
	if !both {
		r.record.Energy.Agreement = counted[0].out.Agreement
		return
	}
	a := agreement(&counter, &integral)
	if slices.ContainsFunc(counted, func(d *deviceEnergy) bool { return d.out.Agreement.Verdict == "same_source" }) && a.Verdict == "ok" {
		a.Verdict = "same_source"
	}
	r.record.Energy.Agreement = a
	if a.Verdict == "warn" || a.Verdict == "fail" {
		r.note("agreement", fmt.Sprintf("counter and integral of the power series differ by %.1f %%", *a.DifferencePct))
	}
}

// throttleReasons are the bits of NVML's clocks-event mask that slow a GPU down.
var throttleReasons = map[int64]string{
	0x04: "power cap", 0x08: "hardware slowdown", 0x20: "software thermal slowdown",
	0x40: "hardware thermal slowdown", 0x80: "hardware power brake",
}

// telemetryWarnings reports throttling and series with holes.
func (r *run) telemetryWarnings(m material) {
	seen := map[string]int{}
	for _, t := range m.trace.Telemetry {
		if t.Throttle == nil || t.MonoNS < m.window.Start || t.MonoNS > m.window.End {
			continue
		}
		for bit, name := range throttleReasons {
			if *t.Throttle&bit != 0 {
				seen[t.Device+" "+name]++
			}
		}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		r.record.Warn("throttled", fmt.Sprintf("%s was active in %d telemetry samples of the window", name, seen[name]))
	}
	for _, d := range r.record.Energy.Devices {
		if d.Counted && d.Series != nil && d.Series.Gaps > 0 {
			r.record.Warn("series_gaps", fmt.Sprintf("%s: %d gaps in the power series, the longest %.0f ms", d.Device, d.Series.Gaps, d.Series.LargestGapMS))
		}
	}
}
