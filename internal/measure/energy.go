package measure

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/unit"
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

// deviceEnergy is one device over the window.
type deviceEnergy struct {
	device   power.Device
	counted  bool
	curve    *attribute.Curve
	total    attribute.Estimate
	method   string
	source   string
	integral float64
	err      error
	out      result.Device
}

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
	s := "no " + strings.ToUpper(scope) + " power sensor can be read here" + r.missing()
	if scope == "cpu" { // there is no model of a GPU's power
		s += "; for a rough modelled value add --estimate"
	}
	return s
}

// missing lists the sensors that could not be opened, and what would help.
func (r *run) missing() string {
	var b strings.Builder
	for _, u := range r.Missing {
		fmt.Fprintf(&b, "; %s: %s", u.Source, u.Reason)
		if u.Fix != "" {
			fmt.Fprintf(&b, " (try: %s)", u.Fix)
		}
	}
	return b.String()
}

// devices computes every metered device, whether it counts or not.
func (r *run) devices(m material) []*deviceEnergy {
	samples := byDevice(m.trace.Samples)
	var out []*deviceEnergy
	for _, meter := range r.Meters {
		for _, dev := range meter.Devices() {
			d := &deviceEnergy{device: dev, counted: r.counts(dev)}
			d.measure(samples[dev.ID], m)
			d.describe(m.window, r.baseline[dev.ID])
			out = append(out, d)
		}
	}
	return out
}

// counts says whether a device runs the model.
func (r *run) counts(d power.Device) bool {
	if r.record.Energy.Scope == "cpu" {
		return d.Kind == power.CPU || d.Kind == power.DRAM
	}
	if d.Kind != power.GPU {
		return false
	}
	return d.UUID == "" || len(r.loaded.DeviceUUIDs) == 0 || slices.Contains(r.loaded.DeviceUUIDs, d.UUID)
}

// measure computes the energy of the window by counter and by integral. The
// counter is preferred; both are kept.
func (d *deviceEnergy) measure(samples []power.Sample, m material) {
	var integral attribute.Estimate
	d.curve, d.err = attribute.NewCurve(samples)
	if d.err == nil {
		integral, d.err = d.curve.Integral(m.window)
	}
	seriesErr := d.err
	if d.err == nil {
		d.total, d.integral = integral, integral.Joules
		d.method, d.source = "integral of the power series", samples[0].Source
	}
	var readings []power.Reading
	for _, c := range m.trace.Counters {
		if c.Device == d.device.ID {
			readings = append(readings, c)
		}
	}
	if len(readings) == 0 {
		d.out.Agreement = agreement(nil, valueIf(seriesErr == nil, d.integral))
		return
	}
	counter, err := attribute.Counter(readings, d.curve, m.window)
	if err == nil {
		err = monotone(readings)
	}
	if err != nil {
		// A counter that misbehaves makes the whole window doubtful.
		d.err = err
		return
	}
	d.err = nil
	d.total = counter
	d.method, d.source = "energy counter, edge-snapped", readings[0].Source
	d.out.Agreement = agreement(&counter.Joules, valueIf(seriesErr == nil, d.integral))
	if d.out.Agreement.Verdict == "fail" {
		d.err = fmt.Errorf("the energy counter says %.4g J and the integral of the power series %.4g J: "+
			"they differ by %.1f %%, more than %.0f %%; neither is trusted",
			counter.Joules, d.integral, *d.out.Agreement.DifferencePct, agreementFail)
	}
}

// monotone refuses a counter that was reset while it was read, also where it has
// since grown beyond its first value.
func monotone(readings []power.Reading) error {
	for i, now := range readings {
		if i > 0 && now.Energy < readings[i-1].Energy {
			return fmt.Errorf("the energy counter (%s) went backwards: it was reset during the run", now.Source)
		}
	}
	return nil
}

func valueIf(ok bool, v float64) *float64 {
	if !ok {
		return nil
	}
	return &v
}

// agreement compares two values of one window.
func agreement(counter, integral *float64) *result.Agreement {
	a := &result.Agreement{CounterJ: counter, IntegralJ: integral, Verdict: "single_source"}
	if counter == nil || integral == nil || *counter == 0 {
		return a
	}
	pct := 100 * (*integral - *counter) / *counter
	a.DifferencePct = &pct
	switch {
	case math.Abs(pct) > agreementFail:
		a.Verdict = "fail"
	case math.Abs(pct) > agreementWarn:
		a.Verdict = "warn"
	default:
		a.Verdict = "ok"
	}
	return a
}

// describe fills the device's row.
func (d *deviceEnergy) describe(w attribute.Window, idle Idle) {
	o := &d.out
	o.Device, o.Kind, o.Name, o.Counted = d.device.ID, string(d.device.Kind), d.device.Name, d.counted
	if idle.Reason == "" && idle.Watts > 0 {
		o.BaselineW = &idle.Watts
	}
	if d.curve != nil {
		q := d.curve.Quality(w)
		o.Series = &result.SeriesInfo{
			Source: q.Source, Samples: q.Samples, SamplesPerS: float64(q.Samples) / w.Duration().Seconds(),
			WindowMS: milliseconds(q.Averaging), LargestGapMS: milliseconds(q.LargestGap), Gaps: q.Gaps, CoveragePct: 100 * q.Coverage,
		}
	}
	if d.err != nil {
		o.Reason = d.err.Error()
		return
	}
	o.EnergyJ = d.quantity(d.total.Joules, d.total.Half95)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (d *deviceEnergy) gain() float64 {
	if d.device.Modelled {
		return modelGain95
	}
	return sensorGain95
}

func (d *deviceEnergy) quantity(v, half float64) *result.Quantity {
	return &result.Quantity{Value: v, CI95: [2]float64{v - half, v + half}, Gain95: d.gain() * math.Abs(v), Method: d.method, Source: d.source}
}

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
		e.Reason = "modelled, not measured: no CPU power sensor can be read here" + r.missing()
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
	if rel := s.half / s.joules; rel > 0.05 {
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
	e.UnattributedJ = &result.Quantity{Value: rest, CI95: [2]float64{rest - (e.TotalJ.CI95[1] - e.TotalJ.Value), rest + (e.TotalJ.CI95[1] - e.TotalJ.Value)},
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
