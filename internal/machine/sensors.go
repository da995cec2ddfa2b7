package machine

import (
	"context"
	"os"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/sim"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/sensors"
)

// Sources of [Sensors] that are not families of sensors.
const (
	// SourcesAuto reads every readable sensor.
	SourcesAuto = "auto"
	// SourcesSimulated reads a GPU that does not exist.
	SourcesSimulated = "simulated"
)

// Families lists what [Sensors.Sources] may name.
func Families() []string {
	return []string{SourcesAuto, "nvml", "hwmon", "rapl", "perf", SourcesSimulated}
}

// Sensors chooses sensors of this machine.
type Sensors struct {
	// GPUs selects GPUs as CUDA_VISIBLE_DEVICES does, which it replaces; nil leaves it to that variable.
	GPUs *string
	// Sources are families of sensors, see [Families]; empty means auto.
	Sources []string
	// Estimate allows estimating CPU power if no CPU sensor can be read.
	Estimate bool
}

// Open opens the sensors. The caller closes the machine.
func (c Sensors) Open(ctx context.Context) (*Machine, error) {
	if slices.Contains(c.Sources, SourcesSimulated) {
		return c.simulated(ctx)
	}
	o := optionsOf(c.Estimate)
	if c.GPUs != nil {
		o.VisibleDevices = c.GPUs
	}
	if len(c.Sources) > 0 && !slices.Contains(c.Sources, SourcesAuto) {
		o.Only = append(slices.Clone(c.Sources), "model")
		if slices.Contains(c.Sources, "perf") && !slices.Contains(c.Sources, "rapl") {
			o.Only = append(o.Only, "rapl") // which is read through perf where its files cannot be read
		}
	}
	m := &Machine{end: func() {}}
	m.own, m.Missing = sensors.Open(ctx, o)
	m.Meters = m.own
	return m, nil
}

// simulated opens the simulated GPU, of the file $LLEM_SIM or a new one, which idles.
func (c Sensors) simulated(ctx context.Context) (*Machine, error) {
	if len(c.Sources) > 1 {
		return nil, note.Failf(codes.ClassConfig, "name it alone", "the simulated GPU is not read beside real sensors")
	}
	path := os.Getenv(sim.Env)
	if path == "" || os.Getenv(nvmlLibrary) != "" {
		return Open(ctx, Options{Needs: Needs{Simulated: true}})
	}
	f, err := sim.Open(path)
	if err != nil {
		return nil, err
	}
	meters := []power.Meter{sim.NewMeter(f)}
	return &Machine{own: meters, Meters: meters, end: func() {}}, nil
}
