// Package machine finds what a study needs on this machine: engines, power sensors, the results of
// self-tests, and the description of the machine for the results. If all runs are on a simulated GPU, it
// creates that GPU.
package machine

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/scratch"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/sensors"
	"github.com/llenergymeasure/llem/study"
)

// Options are the options of a machine.
type Options struct {
	// Needs are the needs of the study.
	Needs Needs
	// Python is the interpreter for Python engines; if empty, one is looked for.
	Python string
	// Estimate allows estimating CPU power if no CPU sensor can be read.
	Estimate bool
	// Backends replace or add to the engines of Needs.Known, by name.
	Backends []backend.Backend
	// Meters are read in addition to the sensors of the machine. The caller closes them.
	Meters []power.Meter
}

// Machine has the resources for a study.
type Machine struct {
	// Backends are the engines by name.
	Backends map[string]backend.Backend
	// Meters are the readable sensors, and Missing the others.
	Meters  []power.Meter
	Missing []power.Unavailable

	own []power.Meter // to be closed
	end func()        // ends the simulation
}

// Open finds engines and sensors, and removes what killed processes of this program left in $TMPDIR. Nothing
// stays open after an error.
func Open(ctx context.Context, o Options) (*Machine, error) {
	scratch.Sweep()
	env := engine.Env{Python: o.Python, Getenv: os.Getenv}
	m := &Machine{end: func() {}}
	switch {
	case o.Needs.Simulated:
		gpu, end, err := simulate(ctx)
		if err != nil {
			return nil, err
		}
		m.own, m.Missing, m.end = gpu.meters, gpu.missing, end
		env.Simulation = gpu.path
	case o.Needs.Power:
		m.own, m.Missing = Meters(ctx, o.Estimate, o.Needs.Remotes...)
	}
	if err := o.Needs.pages(m.Missing); err != nil {
		m.Close()
		return nil, err
	}
	m.Backends = backends(o.Needs.Known, env)
	for _, b := range o.Backends {
		m.Backends[b.Name()] = b
	}
	m.Meters = slices.Concat(m.own, o.Meters)
	if err := distinct(m.Meters); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// distinct rejects two devices with the same name, which a result could not distinguish.
func distinct(meters []power.Meter) error {
	seen := map[string]bool{}
	for _, m := range meters {
		for _, d := range m.Devices() {
			if seen[d.ID] {
				return fmt.Errorf("two meters have a device named %q", d.ID)
			}
			seen[d.ID] = true
		}
	}
	return nil
}

// Close closes the sensors.
func (m *Machine) Close() {
	Close(m.own)
	m.end()
}

// Close closes meters.
func Close(meters []power.Meter) {
	for _, m := range meters {
		m.Close()
	}
}

// Available returns an error if the study names engines that neither this program nor its caller has.
func (n Needs) Available(backends map[string]backend.Backend, own ...backend.Backend) error {
	for _, b := range own {
		backends[b.Name()] = b
	}
	var errs study.Errors
	for _, name := range n.Engines {
		if _, ok := backends[name]; !ok {
			errs = append(errs,
				&study.Error{Source: "backend", Note: note.Note{Code: codes.Mistake,
					Message: fmt.Sprintf("this build cannot run the backend %s", name),
					Next:    "it has " + strings.Join(slices.Sorted(maps.Keys(backends)), ", ")}})
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs
}

// Backends returns the engines by name. Engines that cannot share a Python environment use the interpreter in
// their own variable, such as LLEM_PYTHON_VLLM; others use python. A nil list means all engines of this
// program.
func Backends(list engine.Descriptors, python string) map[string]backend.Backend {
	return backends(list, engine.Env{Python: python, Getenv: os.Getenv})
}

func backends(list engine.Descriptors, env engine.Env) map[string]backend.Backend {
	out := map[string]backend.Backend{}
	if list == nil {
		list = engines.All()
	}
	for _, d := range list {
		if d.New != nil { // otherwise the caller must provide a backend
			out[d.Name] = d.New(env)
		}
	}
	return out
}

// nvmlLibrary names a replacement for the system's libnvidia-ml.so.1, for tests.
const nvmlLibrary = "LLEM_NVML_LIBRARY"

// Meters opens every readable power sensor of this machine and the metrics pages in remotes, and returns why
// the others cannot be read. The caller closes the meters.
func Meters(ctx context.Context, estimate bool, remotes ...string) ([]power.Meter, []power.Unavailable) {
	o := optionsOf(estimate)
	o.Remote = remotes
	return sensors.Open(ctx, o)
}

// optionsOf returns the options of this process's environment.
func optionsOf(estimate bool) sensors.Options {
	o := sensors.Options{Estimate: estimate, DeviceOrder: os.Getenv("CUDA_DEVICE_ORDER"),
		Library: os.Getenv(nvmlLibrary)}
	if v, ok := os.LookupEnv("CUDA_VISIBLE_DEVICES"); ok {
		o.VisibleDevices = &v
	}
	return o
}

// Snapshot describes this machine, with the GPUs of the meters, and with room for the versions of the
// engines' packages; nil means all engines of this program.
func Snapshot(ctx context.Context, meters []power.Meter, known engine.Descriptors) (*host.Snapshot, error) {
	if known == nil {
		known = engines.All()
	}
	var packages []string
	for _, d := range known {
		packages = append(packages, d.Packages...)
	}
	gpus := []host.GPU{}
	for _, m := range meters {
		if nvml, ok := m.(interface{ Facts() []sensor.GPUFacts }); ok {
			for _, f := range nvml.Facts() {
				gpus = append(gpus, gpuOf(f))
			}
		}
	}
	s, err := host.Collect(ctx, host.Options{GPUs: gpus, Env: os.Getenv, Packages: packages})
	if err != nil {
		return nil, fmt.Errorf("describe this machine: %w", err)
	}
	return s, nil
}
