package nvml

import (
	"context"
	"fmt"
	"regexp"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// nvmlScope is NVML's number for the scope of a power or energy field (nvml.h, NVML_POWER_SCOPE_*).
type nvmlScope uint32

const (
	nvmlScopeGPU    nvmlScope = 0
	nvmlScopeModule nvmlScope = 1
)

// modulePart matches products whose GPU shares a module with a Grace CPU: GH200, GB200, GB300, GB10. The name
// only indicates that the module's sensors should be tried; the driver's answer decides.
var modulePart = regexp.MustCompile(`\bG[BH]\d+`)

func (id nvmlIdentity) onModule() bool { return modulePart.MatchString(id.Name) }

// sensorsOf returns the calls that cover only the GPU. On a module, the plain energy counter may include the
// CPU and its memory, so the GPU's scope is requested explicitly.
func sensorsOf(dev nvmlDevice, id nvmlIdentity) nvmlSensors {
	if id.onModule() {
		return dev.Scoped(nvmlScopeGPU)
	}
	return dev
}

// openModule adds the module around a GPU if the driver has sensors for it. gpu are the sensors of the GPU
// alone.
func (m *Meter) openModule(ctx context.Context, g *nvmlGPU, gpu nvmlSensors, id nvmlIdentity) error {
	module := g.dev.Scoped(nvmlScopeModule)
	joules, counterErr := module.Energy()
	if inner, err := gpu.Energy(); err == nil && (counterErr != nil || joules <= inner) {
		// A driver that ignores the scope returns the GPU's values.
		return nil
	}
	x := &nvmlGPU{dev: g.dev, index: g.index, sensors: module, counter: counterErr == nil, device: g.device}
	x.device.ID, x.device.Kind, x.device.Scope = g.device.ID+"-module", power.Module, sensor.ScopeModule
	x.device.Name = "module of " + id.Name
	// The UUID identifies the GPU: no engine runs on a module.
	x.device.UUID = ""
	series, err := openSeries(ctx, x.device.ID, module, id, m.clocks)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err == nil {
		x.series = series
	} else if !x.counter {
		return nil
	}
	m.modules = append(m.modules, x)
	return nil
}

// migRefused explains why a GPU in MIG mode is rejected.
func migRefused(name string, index int) power.Unavailable {
	return sensor.NoSensor("nvml "+name,
		"it is in MIG mode, but power is measured for the whole GPU only: the other slices' energy would be "+
			"counted too", fmt.Sprintf(
			"turn MIG mode off (sudo nvidia-smi -i %d -mig 0) and run nothing else on this GPU",
			index))
}
