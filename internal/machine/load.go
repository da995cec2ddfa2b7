package machine

import (
	"context"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
)

// Loader is a backend whose worker can keep a device busy without a model, in pulses with known edges, for a
// self-test of the sensors.
type Loader interface {
	backend.Backend
	// StartLoad starts the worker and prepares the device: cuda (all visible GPUs), cuda:N or cpu. The caller
	// closes the load.
	StartLoad(ctx context.Context, device string) (*backend.Pulser, error)
}

// Loads of a self-test, in addition to the names of [Loader] engines.
const (
	// LoadAuto is any available load.
	LoadAuto = "auto"
	// LoadCPU is arithmetic on the processor.
	LoadCPU = "cpu"
	// LoadNone means no load.
	LoadNone = "none"
)

// Loads lists the possible loads of a self-test.
func Loads() []string {
	loads := []string{LoadAuto}
	for _, l := range Loaders("") {
		loads = append(loads, l.Name())
	}
	return append(loads, LoadCPU, LoadNone)
}

// Loaders returns the engines that can make a load, with python as the interpreter of Python engines.
func Loaders(python string) []Loader {
	var list []Loader
	for _, d := range engines.All() {
		if l, ok := d.New(engine.Env{Python: python}).(Loader); ok {
			list = append(list, l)
		}
	}
	return list
}
