package measure

import (
	"os"
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// ContainerOf is the container that an experiment asks for, with no GPUs yet; nil is a
// process of this machine. It refuses an engine that cannot run in one.
func ContainerOf(e study.Experiment) (*backend.Container, error) {
	switch {
	case e.Runner != study.RunContainer:
		return nil, nil
	case e.Backend == study.Fake:
		return nil, backend.Failf(backend.ClassConfig, "leave out runner, or choose another backend",
			"the fake backend runs in no container: it computes nothing")
	}
	c := &backend.Container{Image: e.Image(), Program: e.Program()}
	if e.Container.Client != study.ClientAuto {
		c.Client = e.Container.Client
	}
	return c, nil
}

// container is where the engine runs.
func (r *run) container() *backend.Container {
	c, err := ContainerOf(r.Experiment)
	if c == nil || err != nil { // which prepare has refused
		return nil
	}
	c.GPUs = gpusFor(r.Experiment, r.gpuUUIDs(), hasDriver())
	return c
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
