package join

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// busyIdle is the share of time, in percent, in which kernels run on a GPU that is meant to be
// idle, from which on somebody works there. A desktop that draws its windows stays below.
const busyIdle = 10.0

// wakes is how long after the start of an idle stretch utilisation still tells of the time before
// it: the driver averages over up to a second.
const wakes = int64(1e9)

// foreignWork looks for work on the counted devices that is not the run's: by the processes that
// the driver lists, by how busy the GPU was while it was meant to be idle, and by an idle power
// that no idle card of the model has. It refuses what that makes another quantity: the energy of
// the run where such work may have been in the window, else the net energy. It returns why the
// energy is not the run's; empty if nothing speaks against it.
func (j *join) foreignWork(counted []*deviceEnergy) (why string) {
	var all []string
	for _, d := range counted {
		if d.device.Kind != power.GPU {
			continue
		}
		before := j.workBefore(d)
		within := j.workWithin(d, before == "")
		if within == "" && before != "" && d.device.WorkHidden {
			within = before + ", and the driver does not show whose work it was"
		}
		if within != "" {
			all = append(all, d.device.ID+": "+within)
			continue
		}
		if before != "" {
			j.warn(codes.GPUShared,
				d.device.ID+": "+before+"; whoever it was had gone before the window: the energy of "+
					"the window is the run's, and net energy is null")
			d.bare.Reason = before
		}
	}
	return strings.Join(all, "; ")
}

// inWindow reports whether a process was on its GPU during the window.
func (j *join) inWindow(t result.Tenant) bool {
	return t.ToS >= 0 && t.FromS <= j.Window.Duration().Seconds()
}

// workWithin is what shows that processes of others worked in the window. Of one of which the
// driver does not say whether it works, the idle stretches tell in which it was there, if it was.
func (j *join) workWithin(d *deviceEnergy, idleBefore bool) string {
	var found []string
	for _, t := range d.device.Others {
		who := fmt.Sprintf("process %d", t.PID)
		if t.Doubtful {
			who += " (or this one is the engine)"
		}
		switch {
		case !j.inWindow(t):
		case t.BusyS != nil && *t.BusyS >= 0:
			found = append(found, fmt.Sprintf("%s ran kernels during the window, in up to %.0f %% of the time", who,
				*t.BusyPct))
		case t.BusyPct != nil: // the driver says, and it only holds memory
		case j.there(t, j.idleBefore()) && j.utilisation(d.device.ID, j.idleBefore()) != nil:
			if !idleBefore {
				found = append(found, who+" was there in the window")
			}
		case j.there(t, j.Resident) && j.utilisation(d.device.ID, j.Resident) != nil:
			if busy := *j.utilisation(d.device.ID, j.Resident); busy >= busyIdle {
				found = append(found, fmt.Sprintf("%s was there in the window, and kernels ran in %.0f %% of the time "+
					"while the loaded engine had nothing to do", who, busy))
			}
		default:
			found = append(found,
				who+" was there in the window, and nothing shows that it did not work: the driver does "+
					"not say, and no idle stretch was sampled while it was there")
		}
	}
	if len(found) == 0 && d.device.WorkHidden {
		if busy := j.utilisation(d.device.ID, j.Resident); busy != nil && *busy >= busyIdle {
			return fmt.Sprintf("kernels ran in %.0f %% of the time while the loaded engine had nothing to do, and the "+
				"driver does not show whose", *busy)
		}
	}
	return strings.Join(found, ", ")
}

// workBefore is what shows that somebody worked on a device before the engine was started.
func (j *join) workBefore(d *deviceEnergy) string {
	var found []string
	if busy := j.utilisation(d.device.ID, j.idleBefore()); busy != nil && *busy >= busyIdle {
		found = append(found, fmt.Sprintf("kernels ran in %.0f %% of the time", *busy))
	}
	if limit := d.device.IdleLimitW; limit > 0 && d.bare.Reason == "" && d.bare.W > limit {
		found = append(found, fmt.Sprintf("it drew %s, and an idle %s draws less than %s", digits.SI(d.bare.W, "W"),
			d.device.Name, digits.SI(limit, "W")))
	}
	if len(found) == 0 {
		return ""
	}
	return "before the engine was started, " + strings.Join(found, " and ")
}

// idleBefore is the time before the engine was started: also the short look that confirms a
// remembered idle power. It is empty where the engine of the run before was kept.
func (j *join) idleBefore() attribute.Window {
	if j.Bare.End > j.Bare.Start {
		return j.Bare
	}
	end := j.Window.Start
	if j.Resident.Start > 0 {
		end = j.Resident.Start
	}
	w := attribute.Window{Start: end, End: end - stray}
	for _, t := range j.Telemetry { // the stretches of one run are seconds apart: an engine is loaded between them
		w.Start = min(w.Start, t.MonoNS)
	}
	return w
}

// Worked reports whether somebody worked on a device in a stretch in which it was meant to be idle.
func Worked(trace power.Trace, device string, w attribute.Window) bool {
	j := &join{Material: &Material{Telemetry: trace.Telemetry}}
	busy := j.utilisation(device, w)
	return busy != nil && *busy >= busyIdle
}

// there reports whether a process was on its GPU all through a stretch.
func (j *join) there(t result.Tenant, w attribute.Window) bool {
	from, to := float64(w.Start-j.Window.Start)/1e9, float64(w.End-j.Window.Start)/1e9
	return w.End > w.Start && t.FromS <= from+1 && t.ToS >= to-1
}

// utilisation is the median share of time, in percent, in which kernels ran on a device in a
// stretch; nil where it was not sampled.
func (j *join) utilisation(device string, w attribute.Window) *float64 {
	var all []float64
	for _, t := range j.Telemetry {
		if t.Device == device && t.UtilizationPct != nil && t.MonoNS >= w.Start+wakes && t.MonoNS <= w.End {
			all = append(all, *t.UtilizationPct)
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return new(all[len(all)/2])
}

// refuse leaves of the energy what the sensors read: a total of the boards. Everything that would
// be the run's is null.
func (j *join) refuse(counted []*deviceEnergy, why string) {
	e := &j.record.Energy
	s := addUp(counted)
	j.source(counted, s)
	e.Scope = scopeBoard
	s.method += "; of the board, other work included"
	e.TotalJ, e.MeanW = s.times(1), s.times(1/j.Window.Duration().Seconds())
	e.Reason = "the energy is not the run's alone: " + why +
		". total_j is that of the board; per token, per request, by " +
		"phase and net of idle nothing can be told. Run it again on GPUs that nobody else uses (nvidia-smi; " +
		"CUDA_VISIBLE_DEVICES), or add --allow-shared to have the numbers, marked"
	e.PhasesReason = "the energy is not the run's alone"
	j.warn(codes.GPUForeignWork, e.Reason)
}

// scopeBoard is the scope of a total that other work is part of.
const scopeBoard = "board"
