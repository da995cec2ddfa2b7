package nvml

import (
	"slices"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/unit"
)

// Calls lists the ways to read a GPU, whether or not they work on it; it is empty for an unknown device. The
// calls of a device must not run while a sampler polls the meter: they would delay each other.
func (m *Meter) Calls(device string) []sensor.Call {
	g := m.gpu(device)
	if g == nil {
		return nil
	}
	return []sensor.Call{
		{Name: "nvmlDeviceGetTotalEnergyConsumption", Source: sensor.SourceEnergy, Energy: true, Read: g.energyCall},
		{Name: "nvmlDeviceGetSamples(TOTAL_POWER)", Source: sensor.SourceSamples, Read: g.samplesCall},
		{Name: "nvmlDeviceGetFieldValues(POWER_INSTANT)", Source: sensor.SourceInstant, Read: g.instantCall},
		{Name: "nvmlDeviceGetPowerUsage", Source: sensor.SourceAverage, Read: g.averageCall},
	}
}

// Ring reads the driver's whole ring of power samples, oldest first, and the mapping of its wall clock at
// that time. Like Calls, it must not run while a sampler polls the meter.
func (m *Meter) Ring(device string) ([]sensor.RingSample, clock.Anchor, error) {
	g := m.gpu(device)
	if g == nil {
		return nil, clock.Anchor{}, sensor.NoSensor("nvml "+device, "there is no such device", "")
	}
	raw, err := g.dev.Samples(0)
	now := m.clocks.Anchor()
	if err != nil {
		return nil, now, err
	}
	ring := make([]sensor.RingSample, 0, len(raw))
	for _, s := range raw {
		if s.StampUS != 0 { // an entry that was never filled
			ring = append(ring, sensor.RingSample{StampUS: s.StampUS, Power: unit.Watts(s.Milliwatts / 1000)})
		}
	}
	slices.SortFunc(ring, func(a, b sensor.RingSample) int {
		switch {
		case a.StampUS < b.StampUS:
			return -1
		case a.StampUS > b.StampUS:
			return 1
		}
		return 0
	})
	return ring, now, nil
}

func (m *Meter) gpu(device string) *nvmlGPU {
	for _, g := range m.gpus {
		if g.device.ID == device {
			return g
		}
	}
	return nil
}

func (g *nvmlGPU) energyCall() (float64, uint64, error) {
	mj, err := g.dev.Energy()
	return (unit.Energy(mj) * unit.Joule / 1000).Joules(), 0, err
}

// samplesCall reads the whole ring, which is the cost of the first call; its value is the newest entry.
func (g *nvmlGPU) samplesCall() (float64, uint64, error) {
	raw, err := g.dev.Samples(0)
	if err != nil {
		return 0, 0, err
	}
	var newest nvmlSample
	for _, s := range raw {
		if s.StampUS >= newest.StampUS {
			newest = s
		}
	}
	return newest.Milliwatts / 1000, newest.StampUS, nil
}

func (g *nvmlGPU) instantCall() (float64, uint64, error) {
	s, err := g.dev.Instant()
	return s.Milliwatts / 1000, s.StampUS, err
}

func (g *nvmlGPU) averageCall() (float64, uint64, error) {
	mw, err := g.dev.Average()
	return float64(mw) / 1000, 0, err
}
