package join

import (
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/atload"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/latencies"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// loads returns the run's load, after the probes of its search, and sets the window to the steady part of it.
func (m *Material) loads(rec *result.Record) []atload.Run {
	if m.Load == nil {
		return nil
	}
	var all []atload.Run
	exact := m.Engine.Tier == backend.TierExact
	if s := m.Load.Search; s != nil {
		for _, p := range s.Probes {
			latencies.Stamp(p.Requests, rec, exact)
			all = append(all, m.loadOf(rec, p))
		}
	}
	run := m.ownLoad(rec)
	steady, _ := m.steadyPart(run)
	if w := rec.Window; w != nil { // the wall clock of the new limits
		w.Start = w.Start.Add(time.Duration(steady.Start - m.Window.Start))
		w.End = w.End.Add(time.Duration(steady.End - m.Window.End))
	}
	m.Window = steady
	return append(all, run)
}

// ownLoad returns the run's own load.
func (m *Material) ownLoad(rec *result.Record) atload.Run {
	own := ProbeRun{StartNS: m.Load.StartNS, EndNS: m.Load.EndNS, HorizonNS: m.Load.HorizonNS, Requests: m.Requests}
	if s := m.Load.Search; s != nil {
		own.Load = s.Load
	}
	run := m.loadOf(rec, own)
	run.Steps = m.Steps
	return run
}

// loadOf returns a load as its window is chosen and its requests are judged.
func (m *Material) loadOf(rec *result.Record, p ProbeRun) atload.Run {
	c := rec.Config.Workload
	r := atload.Run{Kind: c.Load.Kind, Requests: p.Requests, Start: p.StartNS, End: p.EndNS, Horizon: p.HorizonNS,
		SLO: c.SLO, Concurrency: c.Concurrency,
		Power: m.powerOf(attribute.Window{Start: p.StartNS, End: p.EndNS})}
	if r.Kind == "" {
		r.Kind = load.Closed
		if p.Load > 0 {
			r.Concurrency = int(p.Load)
		}
	}
	return r
}

// powerOf returns the power of the devices that run the model as a function of time; nil if it is not known.
func (m *Material) powerOf(w attribute.Window) func(from, to int64) float64 {
	var curves []*attribute.Curve
	for _, d := range m.Devices {
		if !m.Engine.Counts(d.Device) {
			continue
		}
		c, err := attribute.NewCurve(between(m.samples(d.ID), w))
		if err != nil {
			return nil
		}
		curves = append(curves, c)
	}
	if len(curves) == 0 {
		return nil
	}
	return func(from, to int64) (watts float64) {
		for _, c := range curves {
			watts += c.MeanPower(from, to)
		}
		return watts
	}
}

// gpus is the number of GPUs that run the model.
func (m *Material) gpus() (n int) {
	for _, d := range m.Devices {
		if d.Kind == power.GPU && m.Engine.Counts(d.Device) {
			n++
		}
	}
	return n
}

// steadyPart returns the steady part of a load, with its limits at readings of the energy counter if there are some
// near them.
func (m *Material) steadyPart(r atload.Run) (attribute.Window, string) {
	w, method := r.Steady()
	for _, d := range m.Devices {
		if !m.Engine.Counts(d.Device) {
			continue
		}
		if snapped, ok := atload.Snap(atload.Held(m.readings(d.ID)), w); ok {
			return snapped, method + "; both limits moved inwards to a reading of the energy counter"
		}
	}
	return w, method
}

// medianTTFT returns the median response time to the first token, in milliseconds; nil if it is unknown.
func (j *join) medianTTFT() *float64 {
	if d := j.record.Latency.ResponseTTFT; d != nil {
		return &d.P50
	}
	return nil
}

// tellLoad fills in what a load tells but its energies, and counts the tokens of the window.
func (j *join) tellLoad() {
	run := j.loads[len(j.loads)-1]
	search, taken := j.record.Load.Search, j.record.Load.Trace
	l := run.Tell(j.Window)
	_, l.WindowMethod = j.steadyPart(run)
	l.Search, l.Trace = search, taken
	j.record.Load = l
	made, t := run.Produced(j.Window), j.record.Tokens
	t.Prompt, t.PromptComputed, t.Output = made.Prompt, made.Computed, made.Output
	t.RequestsFailed = l.Failed + l.Cut
	t.RequestsOK = l.Scheduled - t.RequestsFailed
	if search == nil {
		return
	}
	for i, p := range j.loads[:len(j.loads)-1] {
		probe := &search.Probes[i]
		w, _ := j.steadyPart(p)
		tells := p.Tell(w)
		probe.WindowMonoNS = [2]int64{w.Start, w.End}
		probe.HorizonMonoNS = tells.HorizonMonoNS
		probe.Scheduled, probe.Good, probe.Attainment = tells.Scheduled, tells.Good, tells.Attainment
		probe.Verdict = tells.SLOMet
	}
}

// Judge returns what a probe of a search tells, but its energies, and its window: the same as the record of the run
// will.
func Judge(m *Material, rec *result.Record) (*result.Load, attribute.Window) {
	latencies.Stamp(m.Requests, rec, m.Engine.Tier == backend.TierExact)
	r := m.ownLoad(rec)
	w, method := m.steadyPart(r)
	l := r.Tell(w)
	l.WindowMethod = method
	return l, w
}

// loadEnergy fills in the energies of a load.
func (j *join) loadEnergy() {
	l := j.record.Load
	total := j.record.Energy.TotalJ
	if total == nil || j.counted == nil {
		l.EnergyReason, l.LongRunReason = j.record.Energy.Reason, j.record.Energy.Reason
		return
	}
	ramp := attribute.Window{Start: j.Load.StartNS, End: j.Window.Start}
	drain := attribute.Window{Start: j.Window.End, End: j.Load.EndNS}
	var why [2]string
	l.RampJ, why[0] = j.energyIn(ramp)
	l.DrainJ, why[1] = j.energyIn(drain)
	for i, name := range []string{"ramp_j", "drain_j"} {
		if why[i] != "" {
			l.EnergyReason += fmt.Sprintf("%s: %s. ", name, why[i])
		}
	}
	l.IdleJ, why[0] = j.idleEnergy(j.loads[len(j.loads)-1].Idle(j.Window))
	if why[0] != "" {
		l.EnergyReason += "idle_j: " + why[0] + ". "
	}
	atload.Energies(l, total)
	j.loads[len(j.loads)-1].LongRun(l, j.Window, j.record.Energy.PerOutputTokenJ)
	if l.Search == nil {
		return
	}
	for i := range l.Search.Probes {
		p := &l.Search.Probes[i]
		w := attribute.Window{Start: p.WindowMonoNS[0], End: p.WindowMonoNS[1]}
		p.TotalJ, _ = j.energyIn(w)
		if t := j.loads[i].Produced(w); t.Good > 0 {
			p.PerGoodTokenJ = p.TotalJ.Over(float64(t.Good))
		}
	}
}

// energyIn returns the energy of the counted devices in another interval than the window, or why it has none.
func (j *join) energyIn(w attribute.Window) (*result.Quantity, string) {
	if w.End <= w.Start {
		return nil, ""
	}
	var all []*deviceEnergy
	for _, d := range j.counted {
		e := &deviceEnergy{device: d.device, counted: true, longer: d.longer, within: true, out: &result.Device{}}
		e.measure(between(j.samples(d.device.ID), w), j.readings(d.device.ID), w)
		if e.err != nil {
			return nil, fmt.Sprintf("%s: %v", d.device.ID, e.err)
		}
		// A counter may be older than assumed: where the series tells another energy, the interval holds both.
		if apart := math.Abs(e.total.Joules - e.integral); e.counter && e.integral > 0 && apart > e.total.Half95 {
			e.total.Half95 = apart + gainApart*e.total.Joules
		}
		all = append(all, e)
	}
	return addUp(all).times(1), ""
}
