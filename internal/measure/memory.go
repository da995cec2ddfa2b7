package measure

import (
	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// memory records the engine's peak beside the estimate from the shape: what the engine
// says itself, and what its processes held, which means the same for all engines.
func (r *run) memory(log *backend.Log, w attribute.Window) {
	m := &r.record.Memory
	r.estimateMemory()
	p := r.processPeak(w)
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

// processPeak is what the engine's processes held at most, until the window's end.
func (r *run) processPeak(w attribute.Window) tenants.Peak {
	switch {
	case r.hostMemory != nil:
		return r.hostMemory.Peak()
	case !r.onGPU():
		return tenants.Peak{Reason: "the engine's process is not known"}
	case len(r.Meters) == 0:
		return tenants.Peak{Reason: "the GPUs were not looked at: no sensor is open (energy.sources)"}
	}
	devices := r.shareable()
	if len(devices) == 0 {
		return tenants.Peak{Reason: "no sensor of this machine says what processes hold of the GPUs that ran the model"}
	}
	return r.processes.PeakMemory(devices, w)
}

// shareable lists the GPUs that ran the model and whose processes can be listed.
func (r *run) shareable() []string {
	var devices []string
	for _, d := range r.record.Energy.Devices {
		if d.Counted && d.Kind == string(power.GPU) && !d.OverNetwork && tenants.Listed(r.Meters, d.Device) {
			devices = append(devices, d.Device)
		}
	}
	return devices
}

// estimateMemory is weights and cache by the shape.
func (r *run) estimateMemory() {
	if p := r.Experiment.PyTorch; p != nil && p.Quantization != "" {
		return // the shape alone says nothing of quantised weights
	}
	if r.resolved.ConfigErr != nil {
		return
	}
	w := r.Experiment.Workload
	weights, kv := r.resolved.Config.EstimateBytes(r.dtype(), r.batch(), w.InputTokens+w.OutputTokens)
	if sum := weights + kv; weights > 0 {
		r.record.Memory.EstimatedBytes = &sum
	}
}
