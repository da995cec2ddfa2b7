package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// Sources of a [Meter]. Both measure the same true power independently: the series through its window and
// with its noise, the counter at its own updates.
const (
	SourceMeterSamples = "simulated.samples"
	SourceMeterEnergy  = "simulated.energy"
)

// Meter reads the ring and the counter of simulated GPUs without a library, for demonstrations. Its devices
// are marked as modelled. It has no faults.
type Meter struct {
	file *File
	next []int64 // number of each ring's next entry
}

// NewMeter reads the GPUs of a file from now on. Closing the meter closes the file.
func NewMeter(f *File) *Meter {
	m := &Meter{file: f}
	now := clock.Mono()
	for i := range f.GPUs() {
		m.next = append(m.next, f.Sensors(i).ringGrid(f.Epoch()).latest(now)+1)
	}
	return m
}

var _ power.Meter = (*Meter)(nil)

// Name implements power.Meter.
func (*Meter) Name() string { return "simulated" }

// Devices implements power.Meter.
func (m *Meter) Devices() []power.Device {
	list := make([]power.Device, len(m.next))
	for i := range list {
		list[i] = power.Device{ID: deviceID(i), Kind: power.GPU, Name: "simulated GPU", UUID: m.file.UUID(i),
			Modelled: true}
	}
	return list
}

func deviceID(gpu int) string { return fmt.Sprintf("gpu%d", gpu) }

// Interval implements power.Meter.
func (*Meter) Interval() time.Duration { return 200 * time.Millisecond }

// Poll implements power.Meter.
func (m *Meter) Poll(ctx context.Context, t *power.Trace) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := clock.Now()
	for i := range m.next {
		s, curve := m.file.Sensors(i), m.file.segments(i)
		if s.Ring.Spacing == 0 {
			continue
		}
		grid := s.ringGrid(m.file.Epoch())
		for last := grid.latest(now.MonoNS); m.next[i] <= last; m.next[i]++ {
			at := grid.at(m.next[i])
			t.Samples = append(t.Samples, power.Sample{
				MonoNS: at, UnixNS: now.Unix(at), Device: deviceID(i), Source: SourceMeterSamples,
				Power: unit.Watts(s.ringWatts(curve, m.file.Epoch(), m.next[i])), Window: s.Ring.Window,
			})
		}
	}
	return nil
}

// Counters implements power.Meter.
func (m *Meter) Counters(ctx context.Context) ([]power.Reading, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var out []power.Reading
	for i := range m.next {
		s := m.file.Sensors(i)
		if s.Counter.Refresh == 0 {
			continue
		}
		r := power.Reading{Device: deviceID(i), Source: SourceMeterEnergy, BeforeNS: clock.Mono(),
			Refresh: s.Counter.Refresh}
		k := s.counterGrid(m.file.Epoch()).latest(r.BeforeNS)
		r.Energy = unit.FromJoules(s.counted(m.file.segments(i), m.file.Epoch(), k))
		r.AfterNS = clock.Mono()
		out = append(out, r)
	}
	return out, nil
}

// Close implements power.Meter: the file is closed, but stays on disk.
func (m *Meter) Close() error { return m.file.Close() }
