package measure

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// peak is a peak of memory: what it is, in which words, and why there is none.
type peak struct {
	bytes          int64
	method         result.MemoryMethod
	source, reason string
}

// memory records the engine's peak beside the estimate from the shape: what the engine
// says itself, and what its processes held, which means the same for all engines.
func (r *run) memory(log *backend.Log, w attribute.Window) {
	m := &r.record.Memory
	r.estimateMemory()
	p := r.processPeak(w)
	m.Reason = p.reason
	if p.bytes > 0 {
		m.ProcessPeakBytes, m.ProcessMethod, m.ProcessSource = &p.bytes, p.method, p.source
	}
	switch {
	case log.PeakMemoryBytes > 0:
		m.PeakBytes, m.PeakSource = &log.PeakMemoryBytes, log.MemorySource
		m.Method = result.MethodOf(log.MemorySource)
	case p.bytes > 0:
		m.PeakBytes, m.Method, m.PeakSource = &p.bytes, p.method, p.source
	}
}

// processPeak is what the engine's processes held at most, until the window's end.
func (r *run) processPeak(w attribute.Window) peak {
	switch {
	case r.hostMemory != nil:
		bytes, source := r.hostMemory.result()
		if bytes == 0 {
			return peak{reason: "nothing could be read of the engine's process in /proc"}
		}
		return peak{bytes: bytes, method: result.MemoryRSS, source: source}
	case !r.onGPU():
		return peak{reason: "the engine's process is not known"}
	case len(r.Meters) == 0:
		return peak{reason: "the GPUs were not looked at: no sensor is open (energy.sources)"}
	}
	var devices []string
	for _, d := range r.record.Energy.Devices {
		if d.Counted && d.Kind == string(power.GPU) && !d.OverNetwork && r.lists(d.Device) {
			devices = append(devices, d.Device)
		}
	}
	if len(devices) == 0 {
		return peak{reason: "no sensor of this machine says what processes hold of the GPUs that ran the model"}
	}
	return r.crowd.peak(devices, w)
}

// peak is the most memory that the engine's processes held on devices, all together, from
// when the model was loaded to the window's end: a later run on the same engine has no
// loading, and would differ by it. Where the driver does not say what each holds, it is what the
// devices held more than before the engine's start, unless others were there.
func (c *crowd) peak(devices []string, w attribute.Window) peak {
	c.mu.Lock()
	defer c.mu.Unlock()
	looks := slices.DeleteFunc(slices.Clone(c.looks), func(l power.MemoryLook) bool {
		return l.MonoNS < c.readyNS || l.MonoNS > w.End || !slices.Contains(devices, l.Device)
	})
	slices.SortStableFunc(looks, func(a, b power.MemoryLook) int { return cmp.Compare(a.MonoNS, b.MonoNS) })
	if bytes, n := mostHeld(looks, devices, c.held); bytes > 0 {
		return peak{bytes: bytes, method: result.MemoryProcess,
			source: fmt.Sprintf("NVML, memory of the engine's processes (%d) on %s, twice a second", n,
				strings.Join(devices, " and "))}
	}
	hidden := true
	for _, d := range devices {
		before, later := c.strangers(d, w)
		if len(before)+len(later) > 0 {
			return peak{reason: "the driver does not say what each process holds, and others were on the GPU (see " +
				"the warnings): run it again on an idle GPU"}
		}
		hidden = hidden && len(c.on(d)) == 0
	}
	bytes, _ := mostHeld(looks, devices, func(l power.MemoryLook) (int64, []int) {
		before, ok := c.before[l.Device]
		if l.UsedBytes == nil || !ok {
			return 0, nil
		}
		return max(0, *l.UsedBytes-before), nil
	})
	if bytes == 0 {
		return peak{reason: "the driver says neither what each process holds nor what is in use on the GPU before " +
			"and after the engine's start"}
	}
	source := "NVML, memory in use on " + strings.Join(devices, " and ") +
		" above that before the engine's start, twice a second"
	if hidden {
		source += "; the driver shows no processes, so that others would go unnoticed"
	}
	return peak{bytes: bytes, method: result.MemoryDevice, source: source}
}

// held is what the run's own processes hold on a device, and which they are; 0 if one
// of them does not say.
func (c *crowd) held(l power.MemoryLook) (sum int64, own []int) {
	for _, p := range l.Processes {
		ours := slices.ContainsFunc(c.seen,
			func(q sighting) bool { return q.own && q.Device == l.Device && q.PID == p.PID })
		switch {
		case !ours:
		case p.UsedBytes == nil:
			return 0, nil
		default:
			sum, own = sum+*p.UsedBytes, append(own, p.PID)
		}
	}
	return sum, own
}

// mostHeld is the largest sum over devices of what looks found, and the most processes
// at once, of which one may be on several devices; 0 if nothing was found on one of them.
func mostHeld(looks []power.MemoryLook, devices []string, of func(power.MemoryLook) (int64, []int)) (most int64,
	processes int) {
	now, who, found := map[string]int64{}, map[string][]int{}, map[string]bool{}
	for _, l := range looks {
		now[l.Device], who[l.Device] = of(l)
		found[l.Device] = found[l.Device] || now[l.Device] > 0
		var sum int64
		all := map[int]bool{}
		for _, d := range devices {
			sum += now[d]
			for _, pid := range who[d] {
				all[pid] = true
			}
		}
		most, processes = max(most, sum), max(processes, len(all))
	}
	for _, d := range devices {
		if !found[d] {
			return 0, 0
		}
	}
	return most, processes
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

// saw takes over what a sampler looked at.
func (c *crowd) saw(looks []power.MemoryLook) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks = append(c.looks, looks...)
}
