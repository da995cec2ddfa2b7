package measure

import (
	"os"
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// container is where the engine runs; nil is a process of this machine.
func (r *run) container() *backend.Container {
	e := r.Experiment
	if e.Runner != study.RunContainer {
		return nil
	}
	c := &backend.Container{Image: e.Image(), Program: e.Program(), GPUs: gpusFor(e, r.gpuUUIDs(), hasDriver())}
	if e.Container.Client != study.ClientAuto {
		c.Client = e.Container.Client
	}
	return c
}

// inContainer refuses an engine that cannot run in one.
func (r *run) inContainer() error {
	if r.Experiment.Runner == study.RunContainer && r.Experiment.Backend == study.Fake {
		return backend.Failf(backend.ClassConfig, "leave out runner, or choose another backend", "the fake backend runs in no container: it computes nothing")
	}
	return nil
}

// gpuUUIDs are those of the GPUs that are measured.
func (r *run) gpuUUIDs() []string {
	var out []string
	for _, m := range r.Meters {
		for _, d := range m.Devices() {
			if d.Kind == power.GPU && !d.OverNetwork && strings.HasPrefix(d.UUID, "GPU-") {
				out = append(out, d.UUID)
			}
		}
	}
	return out
}

// hasDriver says whether NVIDIA's driver runs.
func hasDriver() bool {
	_, err := os.Stat("/dev/nvidiactl")
	return err == nil
}

// gpusFor are the GPUs that an experiment's container may use: those that are measured.
func gpusFor(e study.Experiment, measured []string, driver bool) []string {
	if e.Backend == study.Embedded || e.PyTorch != nil && e.PyTorch.Device == "cpu" {
		return nil
	}
	if len(measured) > 0 {
		return measured
	}
	if driver || e.PyTorch != nil && e.PyTorch.Device != "auto" {
		return []string{"all"}
	}
	return nil // there is none to be seen
}

// recordImage records what the engine runs from.
func recordImage(b *result.Backend, image *backend.Image) {
	if image != nil {
		b.Image, b.ImageID, b.ImageDigest = image.Name, image.ID, image.Digest
	}
}
