package sensors

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// perfMeter is the meter of CPU packages and their DRAM over performance events. Sensor and device names are
// the same as in [raplMeter]. Performance events need a different permission, and the kernel handles
// wrap-arounds.
type perfMeter struct {
	zones   zones
	missing []power.Unavailable
	files   []perfCounter
}

// perfCounter is one opened event.
type perfCounter interface {
	// Value returns the count since the event was opened, in units of its scale.
	Value() (uint64, error)
	Close() error
}

// perfOpener opens an event for a whole CPU.
type perfOpener func(kind uint32, config uint64, cpu int) (perfCounter, error)

// openPerf opens the energy events of each package. If none can be opened, the error is a
// [power.Unavailable].
func openPerf(opts roots, open perfOpener, c power.Clocks) (*perfMeter, error) {
	found, err := findPerf(opts)
	if err != nil {
		return nil, err
	}
	m := &perfMeter{zones: zones{clocks: c}}
	for _, f := range found {
		counter, err := open(f.kind, f.config, f.cpu)
		if err == nil {
			if _, err = counter.Value(); err != nil {
				err = errors.Join(err, counter.Close())
			}
		}
		if err != nil {
			m.missing = append(m.missing, perfUnreadable(opts, f, err))
			continue
		}
		m.files = append(m.files, counter)
		m.zones.list = append(m.zones.list, &zone{device: f.device, source: sensor.SourcePerf, refresh: raplRefresh,
			read: func() (uint64, error) { return microjoules(counter, f.scale) }})
	}
	if len(m.zones.list) == 0 {
		u := m.missing[0]
		u.Source = "perf"
		return nil, u
	}
	return m, nil
}

// microjoules reads a counter. At the usual scale of 2^-32 J, a float64 is exact to 1 µJ for centuries.
func microjoules(c perfCounter, scale float64) (uint64, error) {
	v, err := c.Value()
	if err != nil {
		return 0, err
	}
	e := float64(v) * scale * float64(unit.Joule)
	if e > math.MaxInt64/2 {
		return 0, fmt.Errorf("the count %d is out of range", v)
	}
	return uint64(e), nil
}

// Name returns "perf".
func (m *perfMeter) Name() string { return "perf" }

// Devices lists packages, then DRAM.
func (m *perfMeter) Devices() []power.Device { return m.zones.devices() }

// Missing lists events that exist but cannot be opened.
func (m *perfMeter) Missing() []power.Unavailable { return slices.Clone(m.missing) }

// Interval returns 50 ms.
func (m *perfMeter) Interval() time.Duration { return raplInterval }

// Poll appends the mean power of each counter since the previous poll.
func (m *perfMeter) Poll(ctx context.Context, t *power.Trace) error { return m.zones.poll(ctx, t) }

// Counters reads each counter once.
func (m *perfMeter) Counters(ctx context.Context) ([]power.Reading, error) {
	return m.zones.counters(ctx)
}

// Calls lists the ways to read a device.
func (m *perfMeter) Calls(device string) []sensor.Call { return m.zones.calls(device) }

// Close closes the events.
func (m *perfMeter) Close() error {
	var errs []error
	for _, f := range m.files {
		errs = append(errs, f.Close())
	}
	m.files = nil
	return errors.Join(errs...)
}

// kernelPerf opens an event with perf_event_open(2) for all processes on the CPU, the only mode of energy
// events.
func kernelPerf(kind uint32, config uint64, cpu int) (perfCounter, error) {
	attr := unix.PerfEventAttr{Type: kind, Config: config, Size: unix.PERF_ATTR_SIZE_VER0}
	fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("perf_event_open: %w", err)
	}
	return &kernelCounter{fd: fd}, nil
}

// kernelCounter is the file descriptor of an event.
type kernelCounter struct {
	fd  int
	buf [8]byte
}

func (k *kernelCounter) Value() (uint64, error) {
	n, err := unix.Read(k.fd, k.buf[:])
	switch {
	case err != nil:
		return 0, fmt.Errorf("read the performance event: %w", err)
	case n != len(k.buf): // end of file: the event is in an error state
		return 0, fmt.Errorf("the performance event returned %d bytes, not 8", n)
	}
	return binary.NativeEndian.Uint64(k.buf[:]), nil
}

func (k *kernelCounter) Close() error { return unix.Close(k.fd) }
