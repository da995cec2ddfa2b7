package tenants

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// Others returns the processes on a device that do not belong to this run, and whether the driver hides which
// processes work there.
func (p *Processes) Others(device string, w attribute.Window) (others []result.Tenant, workHidden bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, later := p.foreign(device, w)
	for _, s := range append(before, later...) {
		t := result.Tenant{PID: s.PID, FromS: float64(s.FirstNS-w.Start) / 1e9, ToS: float64(s.LastNS-w.Start) / 1e9,
			BusyPct: s.BusyPct, Doubtful: s.doubtful}
		if s.BusyNS != 0 {
			t.BusyS = new(float64(s.BusyNS-w.Start) / 1e9)
		}
		others = append(others, t)
	}
	return others, !slices.ContainsFunc(p.on(device),
		func(s seen) bool { return s.LastNS >= p.startNS && s.BusyPct != nil })
}

// shows reports whether the driver shows processes since the engine's start: if it does not show the engine,
// it would show no other process either.
func (p *Processes) shows(device string) bool {
	return slices.ContainsFunc(p.on(device), func(s seen) bool { return s.LastNS >= p.startNS })
}

// Warnings warns of other processes on the GPUs that ran the model and whose processes can be [Listed],
// because every number includes their power.
func (p *Processes) Warnings(devices []string, w attribute.Window) note.List {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out note.List
	var before, gone, beside []string
	for _, d := range devices {
		p.warnHidden(&out, d)
		early, late := p.foreign(d, w)
		for _, s := range early {
			before = append(before, s.name())
		}
		for _, s := range late {
			if s.LastNS < w.Start {
				gone = append(gone, s.name())
			} else {
				beside = append(beside, s.name()+", "+s.during(w))
			}
		}
	}
	if len(before) > 0 {
		out.Warn(codes.GPUShared, "other processes were on the GPU before the engine was started ("+
			strings.Join(before, "; ")+
			"): none was seen working in the window, but a GPU with a context idles at more power, which is "+
			"part of the "+
			"baseline but not of net energy; stop them, or choose another GPU with CUDA_VISIBLE_DEVICES")
	}
	if len(gone) > 0 {
		out.Warn(codes.GPUShared,
			"another process used the GPU while the engine was loaded or warmed up, and was gone "+
				"before the window ("+strings.Join(gone, "; ")+
				"): it may have changed the idle power with the model loaded, clocks and temperature; run it again on "+
				"an idle GPU")
	}
	if len(beside) > 0 {
		out.Warn(codes.GPUShared, "another process was on the GPU during the window ("+strings.Join(beside, "; ")+
			"): it only held memory and was not seen working; run it again on an idle GPU")
	}
	return out
}

// warnHidden warns if the driver shows no processes.
func (p *Processes) warnHidden(out *note.List, device string) {
	if p.shows(device) {
		return
	}
	why := "not even the engine"
	if p.hidden != nil {
		why = p.hidden.Error()
	}
	out.Warn(codes.GPUProcessesHidden,
		fmt.Sprintf("%s: the driver shows no processes (%s), so other processes on the GPU would go unnoticed; "+
			"in a container, share the host's process ids (docker run --pid=host)", device, why))
}

// foreign returns the processes on a device that do not belong to this run: the names of processes that were
// there before the engine, and processes that came later. If none is known to be the engine, process ids
// belong to another namespace: a process that came with the model and stayed is taken for the engine; if
// there are several, the engine is unknown.
func (p *Processes) foreign(device string, w attribute.Window) (before, later []seen) {
	engine := false
	var candidates []int
	for _, s := range p.on(device) {
		switch {
		case s.own:
			engine = true
		case s.FirstNS <= p.startNS:
			before = append(before, s)
		default:
			later = append(later, s)
			if s.FirstNS <= p.readyNS && s.LastNS >= w.Start {
				candidates = append(candidates, len(later)-1)
			}
		}
	}
	switch {
	case engine:
	case len(candidates) == 1:
		later = slices.Delete(later, candidates[0], candidates[0]+1)
	default:
		for _, i := range candidates {
			later[i].doubtful = true
		}
	}
	return before, later
}

func (s seen) name() string {
	text := fmt.Sprintf("%s: process %d", s.Device, s.PID)
	if s.doubtful {
		text += ", which may be the engine"
	}
	return text
}

// during returns when in the window a process was seen.
func (s seen) during(w attribute.Window) string {
	if s.FirstNS > w.End { // it started between two polls of sampling, or later
		return fmt.Sprintf("first seen %.1f s after its end", float64(s.FirstNS-w.End)/1e9)
	}
	from, to := float64(s.FirstNS-w.Start)/1e9, float64(min(s.LastNS, w.End)-w.Start)/1e9
	if from < 0 {
		return fmt.Sprintf("from before the window to %.1f of its %.1f s", to, w.Duration().Seconds())
	}
	return fmt.Sprintf("from %.1f to %.1f of its %.1f s", from, to, w.Duration().Seconds())
}
