package tenants

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// Peak is a peak of memory.
type Peak struct {
	// Bytes is 0 if unknown; Reason then has the cause.
	Bytes int64
	// Method and Source describe how it was measured.
	Method result.MemoryMethod
	Source string
	Reason string
}

// PeakMemory returns the largest total memory of the engine's processes on devices, from the loaded model to
// the window's end. Loading is excluded, because later runs on the same engine do not load. If the driver
// does not report memory per process, it is the increase of the devices' memory since before the engine's
// start, unless there were other processes.
func (p *Processes) PeakMemory(devices []string, w attribute.Window) Peak {
	p.mu.Lock()
	defer p.mu.Unlock()
	looks := slices.DeleteFunc(slices.Clone(p.looks), func(l power.MemoryLook) bool {
		return l.MonoNS < p.readyNS || l.MonoNS > w.End || !slices.Contains(devices, l.Device)
	})
	slices.SortStableFunc(looks, func(a, b power.MemoryLook) int { return cmp.Compare(a.MonoNS, b.MonoNS) })
	if bytes, n := mostHeld(looks, devices, p.held); bytes > 0 {
		return Peak{Bytes: bytes, Method: result.MemoryProcess,
			Source: fmt.Sprintf("NVML, memory of the engine's processes (%d) on %s, twice a second", n,
				strings.Join(devices, " and "))}
	}
	hidden := true
	for _, d := range devices {
		before, later := p.foreign(d, w)
		if len(before)+len(later) > 0 {
			return Peak{Reason: "the driver does not report the memory of each process, and others were on " +
				"the GPU (see " +
				"the warnings): run it again on an idle GPU"}
		}
		hidden = hidden && len(p.on(d)) == 0
	}
	bytes, _ := mostHeld(looks, devices, func(l power.MemoryLook) (int64, []int) {
		before, ok := p.before[l.Device]
		if l.UsedBytes == nil || !ok {
			return 0, nil
		}
		return max(0, *l.UsedBytes-before), nil
	})
	if bytes == 0 {
		return Peak{Reason: "the driver reports neither the memory of each process nor the memory in use on the " +
			"GPU before " +
			"and after the engine's start"}
	}
	source := "NVML, memory in use on " + strings.Join(devices, " and ") +
		" above that before the engine's start, twice a second"
	if hidden {
		source += "; the driver shows no processes, so others would go unnoticed"
	}
	return Peak{Bytes: bytes, Method: result.MemoryDevice, Source: source}
}

// held returns the memory of the run's processes on a device, and their ids; 0 if one of them is unknown.
func (p *Processes) held(l power.MemoryLook) (sum int64, own []int) {
	for _, q := range l.Processes {
		ours := slices.ContainsFunc(p.seen,
			func(s seen) bool { return s.own && s.Device == l.Device && s.PID == q.PID })
		switch {
		case !ours:
		case q.UsedBytes == nil:
			return 0, nil
		default:
			sum, own = sum+*q.UsedBytes, append(own, q.PID)
		}
	}
	return sum, own
}

// mostHeld returns the largest sum over devices at one time, and the largest number of processes (a process
// may be on several devices); 0 if nothing was found on one of them.
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

// AddMemory adds the memory in use from a sampler.
func (p *Processes) AddMemory(looks []power.MemoryLook) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looks = append(p.looks, looks...)
}
