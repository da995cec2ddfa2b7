package plan

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/gpulock"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/measure"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/study"
)

// preflight returns everything that prevents the study, all at once. In a plan for another machine, what this one
// lacks is only a warning.
func (o CheckOptions) preflight(ctx context.Context, s *study.Study, needs *Estimator) ([]Problem, error) {
	out, err := o.engines(ctx, s)
	if err != nil {
		return nil, err
	}
	out = append(out, needs.Objections(s.Experiments)...)
	models, err := Models(ctx, s, needs)
	if err != nil {
		return nil, err
	}
	out = append(append(append(out, models...), Datasets(s)...), Contexts(s, needs)...)
	out = append(out, contexts(s, needs)...)
	if err := writable(o.Results); err != nil {
		out = append(out, Problem{Finding: Finding{Error: o.GPU == "", Short: "folder",
			Note: note.Note{Code: codes.FolderUnwritable, Message: err.Error(),
				Next: "choose another folder with --output or LLEM_RESULTS"}},
			Concerns: func(study.Experiment) bool { return true }})
	}
	return out, nil
}

// engines reports which engines of the study cannot run here.
func (o CheckOptions) engines(ctx context.Context, s *study.Study) ([]Problem, error) {
	all, err := missingEngines(ctx, s, o.Backends)
	var out []Problem
	for _, m := range all {
		text := m.text()
		if o.GPU != "" && m.failure != nil && m.failure.Class != codes.ClassImage { // it names the machine already
			text = "on this machine, " + text
		}
		n := note.Note{Code: codes.EngineMissing, Message: text}
		if m.failure != nil {
			n.Next = m.failure.Next
		}
		out = append(out, Problem{Finding: Finding{Error: o.GPU == "" || m.failure == nil, Short: "engine", Note: n},
			Concerns: m.concerns})
	}
	return out, err
}

// place is where an engine is searched for, once for all experiments that share it.
type place struct{ backend, runner, client, image string }

func placeOf(s *study.Study, e study.Experiment) place {
	if e.Runner != terms.RunContainer {
		return place{backend: e.Backend}
	}
	return place{e.Backend, e.Runner, e.Container.Client, e.Image(s.Engine(e.Backend).Image)}
}

// lookFor searches for an experiment's engine. In a container it is the image's engine, whatever this machine has.
func lookFor(ctx context.Context, b backend.Backend, d engine.Descriptor, e study.Experiment) error {
	box, err := measure.ContainerOf(d, e)
	switch {
	case err != nil:
		return err
	case box != nil:
		_, _, err = box.Find()
	default:
		_, err = b.Probe(ctx)
	}
	return err
}

// unmetered reports whether energy can be measured. In a plan for another machine it names this one.
func (o CheckOptions) unmetered() []Problem {
	out := unmetered(o.Meters, o.Missing)
	for i := range out {
		if o.GPU != "" {
			out[i].Message = "on this machine, " + out[i].Message
		}
	}
	return out
}

// unmetered reports whether energy can be measured.
func unmetered(meters []power.Meter, missing []power.Unavailable) []Problem {
	if machine.Metered(meters, func(_ power.Meter, d power.Device) bool { return !d.Modelled }) {
		return missingGPUs(meters, missing)
	}
	if machine.Metered(meters, func(_ power.Meter, d power.Device) bool { return d.Modelled }) {
		return []Problem{{Finding: Finding{Note: note.Note{Code: codes.NoSensor,
			Message: "no power sensor can be read: the CPU's power is modelled, and marked so (--estimate)"}}}}
	}
	next := "--estimate models the CPU's power; llem doctor tells why each sensor is missing"
	for _, m := range missing {
		if strings.HasPrefix(m.Source, "nvml") && m.Next != "" && nvidiaCard(pciDevices) {
			next = m.Next
			break
		}
	}
	return []Problem{{Finding: Finding{Note: note.Note{Code: codes.NoSensor,
		Message: "no power sensor can be read: energy will be null", Next: next}}}}
}

// pciDevices is the folder with a folder for each device on the PCI bus.
const pciDevices = "/sys/bus/pci/devices"

// nvidiaCard reports whether a device of NVIDIA is on the PCI bus, with or without a driver.
func nvidiaCard(devices string) bool {
	found, _ := filepath.Glob(filepath.Join(devices, "*", "vendor")) // fails only for a bad pattern
	return slices.ContainsFunc(found, func(path string) bool {
		text, err := disk.ReadFile(path, disk.MaxSmall)
		return err == nil && strings.TrimSpace(string(text)) == "0x10de"
	})
}

// unreadable reports metrics pages that the study names and that cannot be used.
func (o CheckOptions) unreadable(asked machine.Needs) []Problem {
	var out []Problem
	for _, u := range asked.Unreadable(o.Missing) {
		out = append(out, Problem{Finding: Finding{Error: o.GPU == "", Short: "energy.remote",
			Note: note.Note{Code: codes.NoSensor, Message: "energy.remote: " + u.Message, Next: machine.RemoteFix(u)}},
			Concerns: func(e study.Experiment) bool { return e.Energy.Remote != "" }})
	}
	return out
}

// missingGPUs reports visible GPUs that cannot be measured while others can.
func missingGPUs(meters []power.Meter, missing []power.Unavailable) []Problem {
	if !machine.Metered(meters, func(_ power.Meter, d power.Device) bool { return d.Kind == power.GPU }) {
		return nil
	}
	var out []Problem
	for _, m := range missing {
		if strings.HasPrefix(m.Source, "nvml") {
			out = append(out, Problem{Finding: Finding{Note: note.Note{Code: codes.NoSensor,
				Message: m.Source + ": " + m.Message + "; a run that uses this GPU has no energy", Next: m.Next}}})
		}
	}
	return out
}

// muchMemory exceeds what a driver uses of a GPU on which nothing runs.
const muchMemory = 2 << 30

// occupied reports which GPUs other processes use; shares is whether the study allows that.
// Nothing is locked: another study may start in the meantime.
func occupied(meters []power.Meter, shares bool, facts map[string]sensor.GPUFacts) []Problem {
	var out []Problem
	warn := func(code note.Code, message, next string) {
		out = append(out, Problem{Finding: Finding{Note: note.Note{Code: code, Message: message, Next: next}}})
	}
	err := gpulock.Peek(gpulock.Dir(), meters, gpulock.Holder{Shares: shares})
	if busy, ok := errors.AsType[*gpulock.BusyError](err); ok {
		warn(codes.GPUBusy, busy.Error(), busy.NextStep())
	}
	for _, id := range slices.Sorted(maps.Keys(facts)) {
		f := facts[id]
		used := ""
		if f.MemoryUsedBytes != nil {
			used = fmt.Sprintf(", %v of its memory in use", digits.Bytes(*f.MemoryUsedBytes))
		}
		var pids []string
		for _, p := range f.Processes {
			pids = append(pids, strconv.Itoa(p.PID))
		}
		const next = "wait until they have ended, or choose another GPU with CUDA_VISIBLE_DEVICES: their energy " +
			"would be counted"
		switch {
		case len(pids) > 0:
			warn(codes.GPUShared,
				fmt.Sprintf("%s is used by other processes (%s%s)", id, strings.Join(pids, ", "), used), next)
		case f.MemoryUsedBytes != nil && *f.MemoryUsedBytes > muchMemory:
			warn(codes.GPUProcessesHidden, id+" may be used by others, whose processes are not visible"+used, next)
		}
	}
	return out
}

// writable checks that a folder for results can be created, by examining the nearest one that exists.
func writable(dir string) error {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			if at == filepath.Dir(at) {
				return fmt.Errorf("results cannot be written to %s: %w", dir, err)
			}
			continue
		}
		if !info.IsDir() {
			return fmt.Errorf("results cannot be written to %s: %s is a file", dir, at)
		}
		probe, err := os.CreateTemp(at, ".llem-*")
		if err != nil {
			return fmt.Errorf("results cannot be written to %s: %w", dir, err)
		}
		return errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
}
