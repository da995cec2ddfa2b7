package join

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// energy fills the energy part of the record.
func (j *join) energy(tokens result.Tokens) {
	e := &j.record.Energy
	scope := "cpu"
	if j.Engine.OnGPU() {
		scope = "gpu"
	}
	if len(j.Devices) == 0 {
		e.Reason = j.noSensor(scope)
		return
	}
	e.Scope = scope
	var counted, all []*deviceEnergy
	for _, d := range j.devices() {
		all = append(all, d)
		if d.counted {
			counted = append(counted, d)
		}
	}
	defer j.node(all, tokens)
	j.sensorNotes(counted)
	j.harnessShare(all)
	if len(counted) == 0 {
		e.Reason = fmt.Sprintf("the model ran on the %s: %s", e.Scope, j.noSensor(e.Scope))
		if j.metered() {
			e.Reason = j.noSensor(e.Scope)
		}
		return
	}
	j.agree(counted)
	if uuid, ok := j.unmetered(); ok && scope == "gpu" {
		e.Reason = fmt.Sprintf("the engine also used %s, which no meter reads: %s", uuid, j.noSensor(scope))
		return
	}
	for _, d := range counted {
		if d.err != nil {
			e.Reason = fmt.Sprintf("%s: %v", d.device.ID, d.err)
			return
		}
	}
	if why := j.foreignWork(counted); why != "" {
		if !j.record.Config.Energy.AllowShared {
			j.refuse(counted, why)
			return
		}
		j.warn(codes.GPUSharedAllowed,
			"other work ran on the GPU ("+why+"): its energy is part of every number of this run, "+
				"as energy.allow_shared permits")
	}
	if why := j.tooShort(counted); why != "" {
		e.Reason = why
		return
	}
	j.counted = counted
	j.totals(counted, tokens)
	j.phases(counted)
}

// sensorNotes warns of errors while the meters were read, and of doubtful baselines.
func (j *join) sensorNotes(counted []*deviceEnergy) {
	for _, msg := range j.Errors {
		j.warn(codes.SensorError, msg)
	}
	if j.record.Energy.Scope == "gpu" && len(j.Engine.GPUs) == 0 && len(counted) > 1 {
		j.warn(codes.GPUUnknown, fmt.Sprintf("the engine does not report which GPU it uses: all %d are counted; "+
			"choose with CUDA_VISIBLE_DEVICES", len(counted)))
	}
	for _, d := range counted {
		if d.doubt != "" {
			j.warn(codes.UncheckedCounter,
				d.device.ID+": "+d.doubt+
					"; run it again and compare, or "+
					j.longer("let the workload repeat for longer (energy.min_window)"))
		}
		j.drifting(d.device.ID, j.beforehand(), d.bare)
		j.drifting(d.device.ID, "with the model loaded", d.resident)
	}
}

// agree records the comparison of counter and integral: the sums over all counted devices, with the worst
// verdict of a device. Two devices that err in opposite directions do not cancel.
func (j *join) agree(counted []*deviceEnergy) {
	var counter, integral float64
	verdict, whole := "ok", true
	for _, d := range counted {
		a := d.out.Agreement
		if a == nil {
			a = &result.Agreement{Verdict: "single_source"}
		}
		verdict = worse(verdict, a.Verdict)
		if a.CounterJ == nil || a.IntegralJ == nil {
			whole = false
			continue
		}
		counter += *a.CounterJ
		integral += *a.IntegralJ
		if a.Verdict == "warn" || a.Verdict == "fail" {
			j.warn(codes.Agreement,
				fmt.Sprintf("%s: counter and integral of the power series differ by %.1f %%", d.device.ID,
					*a.DifferencePct))
		}
	}
	switch {
	case whole:
		j.record.Energy.Agreement = agreement(&counter, &integral)
	case len(counted) == 1:
		j.record.Energy.Agreement = counted[0].out.Agreement
		return
	default: // a single device allows no statement about the sum
		j.record.Energy.Agreement = &result.Agreement{}
	}
	j.record.Energy.Agreement.Verdict = verdict
}

// verdicts of an agreement, from good to bad.
var verdicts = []string{"ok", "same_source", "single_source", "warn", "fail"}

// worse returns the worse of two verdicts.
func worse(a, b string) string {
	if slices.Index(verdicts, b) > slices.Index(verdicts, a) {
		return b
	}
	return a
}

// harnessShare estimates the energy of this program's own work if the processor is metered: its share of all
// processor time, applied to the energy above idle.
func (j *join) harnessShare(devices []*deviceEnergy) {
	h := j.record.Harness
	if h == nil || h.HostCPUS == nil || *h.HostCPUS <= 0 {
		return
	}
	var above float64
	metered := false
	for _, d := range devices {
		if d.device.Kind != power.CPU || d.device.Modelled || d.err != nil || d.bare.Reason != "" || d.bare.W <= 0 {
			continue
		}
		metered = true
		above += max(0, d.total.Joules-d.bare.W*j.Window.Duration().Seconds())
	}
	if metered {
		joules := above * min(1, h.CPUS / *h.HostCPUS)
		h.EnergyJ = &joules
	}
}

// telemetryWarnings warns of throttling and of series with gaps.
func (j *join) telemetryWarnings() {
	seen, capped := map[string]int{}, map[string]bool{}
	for _, t := range j.Telemetry {
		if t.Throttle == nil || t.MonoNS < j.Window.Start || t.MonoNS > j.Window.End {
			continue
		}
		for _, s := range sensor.Slowdowns() {
			if *t.Throttle&s.Bit == 0 {
				continue
			}
			seen[t.Device+" "+s.Name]++
			if s.Bit == sensor.PowerCap {
				capped[t.Device+" "+s.Name] = true
			}
		}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		code := codes.Throttled
		if capped[name] {
			code = codes.PowerCapped // the purpose of the limit
		}
		j.record.Warn(code,
			fmt.Sprintf("%s was active in %d telemetry samples of the window", name, seen[name]))
	}
	for _, d := range j.record.Energy.Devices {
		if !d.Counted || d.Series == nil {
			continue
		}
		if d.Series.Gaps > 0 {
			j.record.Warn(codes.SeriesGaps,
				fmt.Sprintf("%s: %s in the power series, the longest %.0f ms", d.Device,
					digits.Count(d.Series.Gaps, "gap"), d.Series.LargestGapMS))
		}
		for _, reason := range j.gapReasons(d.Device) {
			j.record.Warn(codes.SeriesGaps, d.Device+": "+reason)
		}
	}
}

// gapReasons returns the distinct reasons of the gaps that overlap with the window.
func (j *join) gapReasons(device string) []string {
	lost := map[string]float64{}
	for _, g := range j.Gaps {
		from, to := max(g.StartNS, j.Window.Start), min(g.EndNS, j.Window.End)
		if g.Device == device && to > from {
			lost[g.Reason] += float64(to-from) / 1e6
		}
	}
	var out []string
	for reason, ms := range lost {
		if ms >= max(100, 0.005*milliseconds(j.Window.Duration())) {
			out = append(out, fmt.Sprintf("%.0f ms of the window without samples: %s", math.Round(ms), reason))
		}
	}
	sort.Strings(out)
	return out
}
