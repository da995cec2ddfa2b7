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

// busyIdle is the utilisation, in percent, above which other work runs on a GPU that should be idle. A
// desktop that draws its windows stays below.
const busyIdle = 10.0

// wakes is the time in nanoseconds at the start of an idle interval in which utilisation still includes the
// time before it: the driver averages over up to a second.
const wakes = int64(1e9)

// foreignWork looks for other work on the counted devices: in the driver's process list, in the utilisation
// of the GPU while it should be idle, and in an idle power above any idle card of the model. It refuses the
// affected numbers: the energy of the run if such work may have been in the window, otherwise the net energy.
// It returns why the energy is not the run's; empty if there is no evidence.
func (j *join) foreignWork(counted []*deviceEnergy) (why string) {
	var all []string
	for _, d := range counted {
		if d.device.Kind != power.GPU {
			continue
		}
		before := j.workBefore(d)
		within := j.workWithin(d, before == "")
		if within == "" && before != "" && d.device.WorkHidden {
			within = before + ", and the driver does not show which process"
		}
		if within != "" {
			all = append(all, d.device.ID+": "+within)
			continue
		}
		if before != "" {
			j.warn(codes.GPUShared,
				d.device.ID+": "+before+"; that work had ended before the window: the energy of "+
					"the window is the run's alone, but net energy is null")
			d.bare.Reason = before
		}
	}
	return strings.Join(all, "; ")
}

// inWindow reports whether a process was on its GPU during the window.
func (j *join) inWindow(t result.Tenant) bool {
	return t.ToS >= 0 && t.FromS <= j.whole().Duration().Seconds()
}

// workWithin returns the evidence that other processes worked in the window. If the driver does not report
// whether a process works, the idle intervals during its presence decide.
func (j *join) workWithin(d *deviceEnergy, idleBefore bool) string {
	var found []string
	for _, t := range d.device.Others {
		who := fmt.Sprintf("process %d", t.PID)
		if t.Doubtful {
			who += " (which may be the engine)"
		}
		switch {
		case !j.inWindow(t):
		case t.BusyS != nil && *t.BusyS >= 0:
			found = append(found, fmt.Sprintf("%s ran kernels during the window, in up to %.0f %% of the time", who,
				*t.BusyPct))
		case t.BusyPct != nil: // known to hold memory only
		case j.there(t, j.idleBefore()) && j.utilisation(d.device.ID, j.idleBefore()) != nil:
			if !idleBefore {
				found = append(found, who+" was on the GPU in the window")
			}
		case j.there(t, j.Resident) && j.utilisation(d.device.ID, j.Resident) != nil:
			if busy := *j.utilisation(d.device.ID, j.Resident); busy >= busyIdle {
				found = append(found,
					fmt.Sprintf("%s was on the GPU in the window, and kernels ran in %.0f %% of the time "+
						"while the loaded engine was idle", who, busy))
			}
		default:
			found = append(found,
				who+" was on the GPU in the window and may have worked: the driver does "+
					"not report it, and no idle interval was sampled while it was present")
		}
	}
	if len(found) == 0 && d.device.WorkHidden {
		if busy := j.utilisation(d.device.ID, j.Resident); busy != nil && *busy >= busyIdle {
			return fmt.Sprintf("kernels ran in %.0f %% of the time while the loaded engine was idle, and the "+
				"driver does not show which process", *busy)
		}
	}
	return strings.Join(found, ", ")
}

// workBefore returns the evidence of work on a device before the engine was started.
func (j *join) workBefore(d *deviceEnergy) string {
	var found []string
	if busy := j.utilisation(d.device.ID, j.idleBefore()); busy != nil && *busy >= busyIdle {
		found = append(found, fmt.Sprintf("kernels ran in %.0f %% of the time", *busy))
	}
	if limit := d.device.IdleLimitW; limit > 0 && d.bare.Reason == "" && d.bare.W > limit {
		found = append(found, fmt.Sprintf("it drew %s, while an idle %s draws less than %s", digits.SI(d.bare.W, "W"),
			d.device.Name, digits.SI(limit, "W")))
	}
	if len(found) == 0 {
		return ""
	}
	return j.beforehand() + ", " + strings.Join(found, " and ")
}

// idleBefore returns the time before the engine was started, including the short check of a remembered idle
// power. It is empty if the engine of the previous run was kept.
func (j *join) idleBefore() attribute.Window {
	if j.Bare.End > j.Bare.Start {
		return j.Bare
	}
	end := j.whole().Start
	if len(j.loads) > 0 {
		end = min(end, j.loads[0].Start) // the first probe of a search
	}
	if j.Resident.Start > 0 {
		end = j.Resident.Start
	}
	w := attribute.Window{Start: end, End: end - stray}
	// the intervals of a run are seconds apart, because an engine is loaded between them
	for _, t := range j.Telemetry {
		w.Start = min(w.Start, t.MonoNS)
	}
	return w
}

// Worked reports whether there was work on a device during an interval in which it should be idle.
func Worked(trace power.Trace, device string, w attribute.Window) bool {
	j := &join{Material: &Material{Telemetry: trace.Telemetry}}
	busy := j.utilisation(device, w)
	return busy != nil && *busy >= busyIdle
}

// there reports whether a process was on its GPU during a whole interval.
func (j *join) there(t result.Tenant, w attribute.Window) bool {
	start := j.whole().Start
	from, to := float64(w.Start-start)/1e9, float64(w.End-start)/1e9
	return w.End > w.Start && t.FromS <= from+1 && t.ToS >= to-1
}

// utilisation returns the median percentage of time during which kernels ran on a device in an interval; nil
// if it was not sampled.
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

// refuse keeps only the measured energy of the boards. Every number that would be the run's becomes null.
func (j *join) refuse(counted []*deviceEnergy, why string) {
	e := &j.record.Energy
	s := addUp(counted)
	j.source(counted, s)
	e.Scope = scopeBoard
	s.method += "; of the board, other work included"
	e.TotalJ, e.MeanW = s.times(1), s.times(1/j.Window.Duration().Seconds())
	e.Reason = "the energy is not the run's alone: " + why +
		". total_j is the energy of the board; per token, per request, by " +
		"phase and net of idle there are no numbers. Run it again on GPUs that nobody else uses (nvidia-smi; " +
		"CUDA_VISIBLE_DEVICES), or add --allow-shared to get marked numbers"
	e.PhasesReason = "the energy is not the run's alone"
	j.warn(codes.GPUForeignWork, e.Reason)
}

// scopeBoard is the scope of a total that includes other work.
const scopeBoard = "board"
