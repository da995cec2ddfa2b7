package campaign

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/claim"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/gpulock"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// SharesGPUs reports whether every run of a study may use a GPU on which others work, with marked numbers.
func SharesGPUs(s *study.Study) bool {
	return !slices.ContainsFunc(s.Experiments, func(e study.Experiment) bool { return !e.Energy.AllowShared })
}

// takeGPUs claims the GPUs of a worker among the workers of its study: the lock of a GPU on its machine does not reach
// into containers and into jobs with a /tmp of their own. If the study allows sharing, a GPU that another one has is a
// doubt about each run.
func (f *folder) takeGPUs(o *Options) error {
	w := f.worker
	w.gpus, w.beside = nil, nil
	for uuid, id := range gpulock.Own(o.Meters) {
		c, err := w.Take("gpu-" + disk.SafeName(uuid, "unknown"))
		if held, ok := errors.AsType[*claim.HeldError](err); ok {
			if !SharesGPUs(o.Study) {
				return &gpulock.BusyError{Device: id, Holder: "the worker " + held.By.Worker + " of this study",
					Worker: true}
			}
			w.beside.Warn(codes.GPUSharedAllowed, fmt.Sprintf("the worker %s measures on %s too, which "+
				"energy.allow_shared permits: the energy of both includes the other's work", held.By.Worker, id))
			continue
		}
		if err != nil {
			return err
		}
		w.gpus = append(w.gpus, c)
	}
	for _, n := range w.beside {
		o.emit(event.Note(n))
	}
	return nil
}

// keepGPUs claims the GPUs again if this worker was taken for dead.
func (f *folder) keepGPUs(o *Options) error {
	lost := func(c *claim.Claim) bool { return errors.Is(c.Check(), claim.ErrLost) }
	if !slices.ContainsFunc(f.worker.gpus, lost) {
		return nil
	}
	return f.takeGPUs(o)
}

// neighbours warns of other workers on this machine before the first run: the sensors of its
// processors and memory count
// the work of all. Simulated runs have none.
func (f *folder) neighbours(o *Options) error {
	var parts []string
	for _, m := range o.Meters {
		for _, d := range m.Devices() {
			if !d.OverNetwork && (d.Kind == power.CPU || d.Kind == power.DRAM || d.Kind == power.Module) {
				parts = append(parts, d.ID)
			}
		}
	}
	metered := slices.ContainsFunc(o.Study.Experiments, func(e study.Experiment) bool {
		return result.Measured.Of(e.Backend) != result.Simulated && e.Energy.Sources != "none"
	})
	if len(parts) == 0 || !metered {
		return nil
	}
	all, err := f.worker.Members()
	if err != nil {
		return err
	}
	var names []string
	for _, other := range all {
		if other.Worker != f.worker.Name() && f.worker.Beside(other) {
			names = append(names, other.Worker)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	n := note.Note{Code: codes.HostShared, Message: fmt.Sprintf("also on this machine: worker %s; the energy of %s "+
		"includes the work of all; runs that notice others' work are marked; better one worker on each machine",
		strings.Join(names, ", "), strings.Join(parts, ", "))}
	o.emit(event.Note(n))
	return nil
}
