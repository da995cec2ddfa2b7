package measure

import (
	"slices"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/estimate"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// collected has the results of the stages of a run.
type collected struct {
	input     input
	engine    *running
	idles     idles
	work      work
	measured  *measured
	processes *tenants.Processes
}

// material returns the input of the computation.
func (c *collected) material(d *desk) *join.Material {
	w := c.measured
	m := &join.Material{Engine: join.EngineOf(c.engine.loaded), Requests: w.log.Requests, Steps: w.log.Steps,
		Tasks: c.work.tasks(w.length.repeats), Given: w.given, Asked: w.asked,
		OutputHash: c.work.outputHash(w.log), Window: w.window, PhasesTakeS: w.length.phasesTake.Seconds(),
		Bare:     c.idles.bare,
		Resident: c.idles.resident, Missing: d.Missing}
	if d.hasLoad() {
		m.Load = &join.LoadRun{StartNS: w.log.StartNS, EndNS: w.log.EndNS, HorizonNS: w.horizon, Search: w.search,
			Trace: w.taken}
	}
	m.SetTrace(w.trace)
	m.SetDevices(d.devices(), c.idles.known, d.Profiles)
	for i := range m.Devices {
		dev := &m.Devices[i]
		if dev.Kind != power.GPU || dev.Modelled {
			continue
		}
		dev.IdleLimitW = float64(estimate.IdleLimit(dev.Name))
	}
	d.sampling().Tenants(m, c.processes)
	return m
}

// finish computes the record.
func (d *desk) finish(c *collected) series.All {
	m := c.measured
	d.record.Window = &result.Window{Start: m.anchor.Time(m.window.Start), End: m.anchor.Time(m.window.End),
		Repeats: m.length.repeats, Round: m.round}
	d.record.Timing.WindowS = m.window.Duration().Seconds()
	d.record.Backend.StepClock = m.log.StepClock
	d.compute(c.input, d.computed(c))
	d.checkStreams(m.log)
	d.harness(m)
	series := join.Compute(c.material(d), d.record, d.show)
	for _, dev := range d.record.Energy.Devices {
		if dev.Counted {
			d.record.Warnings = append(d.record.Warnings, d.Cards[dev.UUID]...)
		}
	}
	d.memory(c)
	return series
}

// checkStreams warns of what a server's streams do not show.
func (d *desk) checkStreams(log *backend.Log) {
	if n := log.Reconnects; n > 0 {
		d.warn(codes.Reconnects,
			digits.Count(n, "connection")+" to the server were opened while requests waited for them: "+
				"the time for this is part of their TTFT")
	}
	if n := log.SharedStamps; n > 0 {
		d.warn(codes.SharedStamps,
			digits.Count(n, "token")+
				" arrived together with the previous token: ITL is the time between arrivals, and its "+
				"small percentiles are too low")
	}
}

// worked is the work of a window: how far each request was at its end, less how far at its start.
type worked struct{ end, before []shape.Length }

// computed returns the work of the window: whole requests, or the tokens that a load produced in its steady part.
func (d *desk) computed(c *collected) (w worked) {
	requests := c.measured.log.Requests
	if !d.hasLoad() {
		for _, q := range requests {
			if q.OK {
				w.end = append(w.end, shape.Length{Prompt: q.PromptTokens, Output: q.OutputTokens})
			}
		}
		return w
	}
	_, window := join.Judge(c.material(d), newRecord(d.Options))
	for _, q := range requests {
		at := func(ns int64) int {
			n, _ := slices.BinarySearch(q.TokenNS, ns)
			return n
		}
		if n := at(window.End); n > 0 {
			w.end = append(w.end, shape.Length{Prompt: q.PromptTokens, Output: n})
		}
		if n := at(window.Start); n > 0 {
			w.before = append(w.before, shape.Length{Prompt: q.PromptTokens, Output: n})
		}
	}
	return w
}

// hasLoad reports whether the record tells about a load.
func (d *desk) hasLoad() bool {
	x := d.Experiment.Workload
	return x.Load.Open() || x.Load.Search != "" || x.SLO.Set() || x.Load.Turns > 1
}

// compute sets parameters and operations from the architecture.
func (d *desk) compute(in input, done worked) {
	if in.model.ConfigErr != nil {
		d.record.Warn(codes.FLOPsUnknown, "parameters and FLOPs are unknown: "+in.model.ConfigErr.Error())
		return
	}
	config := in.model.Config
	if l := config.Layout; l != nil && l.Approximate != "" {
		d.record.Warn(codes.FLOPsApproximate, l.Approximate)
	}
	if counted := config.Counted(); counted != "" {
		d.record.Warn(codes.PartCounted, counted)
	}
	if config.Outside != "" {
		d.record.Warn(codes.TokenOutside, config.Outside)
	}
	p, f, before := config.Parameters(), config.FLOPs(done.end), config.FLOPs(done.before)
	d.record.Compute = &result.Compute{
		Parameters: p.Total, NonEmbedding: p.NonEmbedding, Active: p.Active,
		FLOPs: f.Total() - before.Total(), FLOPsPrefill: f.Prefill - before.Prefill,
		FLOPsDecode: f.Decode - before.Decode,
	}
}

// memory records the engine's peak beside the estimate from the shape: its own number, and the memory of its
// processes, which means the same for all engines.
func (d *desk) memory(c *collected) {
	m, log := &d.record.Memory, c.measured.log
	m.EstimatedBytes = c.estimatedBytes()
	p := d.processPeak(c)
	m.Reason = p.Reason
	if p.Bytes > 0 {
		m.ProcessPeakBytes, m.ProcessMethod, m.ProcessSource = &p.Bytes, p.Method, p.Source
	}
	switch {
	case log.PeakMemoryBytes > 0:
		m.PeakBytes, m.PeakSource = &log.PeakMemoryBytes, log.MemorySource
		m.Method = result.MethodOf(log.MemorySource)
	case p.Bytes > 0:
		m.PeakBytes, m.Method, m.PeakSource = &p.Bytes, p.Method, p.Source
	}
}

// processPeak returns the peak memory of the engine's processes up to the window's end.
func (d *desk) processPeak(c *collected) tenants.Peak {
	switch {
	case c.engine.memory != nil:
		return c.engine.memory.Peak()
	case !c.engine.onGPU():
		return tenants.Peak{Reason: "the engine's process is unknown"}
	case len(d.Meters) == 0:
		return tenants.Peak{Reason: "the GPUs were not examined: no sensor is open (energy.sources)"}
	}
	devices := d.listedGPUs()
	if len(devices) == 0 {
		return tenants.Peak{Reason: "no sensor of this machine reports the memory of processes on the GPUs that " +
			"ran the model"}
	}
	return c.processes.PeakMemory(devices, c.measured.window)
}

// listedGPUs returns the GPUs that ran the model and whose processes can be listed.
func (d *desk) listedGPUs() []string {
	var devices []string
	for _, dev := range d.record.Energy.Devices {
		if dev.Counted && dev.Kind == string(power.GPU) && !dev.OverNetwork && tenants.Listed(d.Meters, dev.Device) {
			devices = append(devices, dev.Device)
		}
	}
	return devices
}

// estimatedBytes returns weights and cache from the shape; nil if unknown.
func (c *collected) estimatedBytes() *int64 {
	e := c.input.experiment
	if about.Estimate(&c.input.engine, e.Section).Quantized {
		return nil // the shape alone does not determine quantised weights
	}
	if c.input.model.ConfigErr != nil {
		return nil
	}
	weights, kv := c.input.model.Config.EstimateBytes(c.input.dtype(), c.work.batch,
		c.input.maxContext())
	if sum := weights + kv; weights > 0 {
		return &sum
	}
	return nil
}
