package measure

import (
	"os"
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/study"
)

// ContainerOf returns the container that an experiment needs, without GPUs; nil means a process of this
// machine. It returns an error for an engine that cannot run in a container.
func ContainerOf(d engine.Descriptor, e study.Experiment) (*backend.Container, error) {
	switch {
	case e.Runner != terms.RunContainer:
		return nil, nil
	case d.Simulated:
		return nil, note.Failf(codes.ClassConfig, "remove runner, or choose another backend",
			"the %s backend cannot run in a container: it computes nothing", e.Backend)
	}
	image := e.Image(d.Image)
	c := &backend.Container{Image: image, Recipe: about.Recipe(&d, image), Program: e.Program(d.Program)}
	if e.Container.Client != terms.ClientAuto {
		c.Client = e.Container.Client
	}
	return c, nil
}

// container returns the container of the engine.
func (d *desk) container() *backend.Container {
	c, err := ContainerOf(d.Engine, d.Experiment)
	if c == nil || err != nil { // which prepare has refused
		return nil
	}
	c.GPUs = gpusFor(d.Engine, d.Experiment.Section, d.gpuUUIDs(), hasDriver())
	return c
}

// gpuUUIDs returns the UUIDs of the GPUs that are measured.
func (d *desk) gpuUUIDs() []string {
	var out []string
	for _, m := range d.Meters {
		for _, dev := range m.Devices() {
			if dev.Kind == power.GPU && !dev.OverNetwork && strings.HasPrefix(dev.UUID, "GPU-") {
				out = append(out, dev.UUID)
			}
		}
	}
	return out
}

// hasDriver reports whether NVIDIA's driver runs.
func hasDriver() bool {
	_, err := os.Stat("/dev/nvidiactl")
	return err == nil
}

// gpusFor returns the GPUs that an experiment's container may use: the measured GPUs.
func gpusFor(d engine.Descriptor, section engine.JSON, measured []string, driver bool) []string {
	if !about.MayUseGPU(&d, section) {
		return nil
	}
	if len(measured) > 0 {
		return measured
	}
	if driver || about.DemandsGPU(&d, section) {
		return []string{"all"}
	}
	return nil // there is none to be seen
}
