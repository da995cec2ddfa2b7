package sensors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

const (
	// zoneMaxWatts exceeds the power of any package or card. A counter difference above it is a reset, even
	// if a wrap-around could explain it.
	zoneMaxWatts = unit.Watts(4000)
	// zoneSlack allows a few refreshes in a difference over a very short time.
	zoneSlack = 10 * time.Millisecond
	// zoneStill is the time after which an unchanged counter is taken as stopped. A device that is switched
	// on always draws power.
	zoneStill = 2 * time.Second
)

// zone is one energy counter whose differences form a power series.
type zone struct {
	device  power.Device
	source  string
	read    func() (uint64, error) // in µJ
	wrap    uint64                 // the counter's maximum in µJ; 0 if unknown
	refresh time.Duration          // update period of the counter

	lastNS  int64 // 0 before the first reading
	lastRaw uint64
	total   unit.Energy // across wrap-arounds

	seriesNS    int64 // the end of the previous sample; 0 if there is none
	seriesTotal unit.Energy
}

// zones are the counters of one meter.
type zones struct {
	list   []*zone
	clocks power.Clocks
	gaps   []power.Gap // found while reading counters, reported by the next poll
}

func (m *zones) devices() []power.Device {
	list := make([]power.Device, len(m.list))
	for i, z := range m.list {
		list[i] = z.device
	}
	return list
}

// poll appends the mean power of each zone since the previous poll.
func (m *zones) poll(ctx context.Context, t *power.Trace) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := m.clocks.Anchor()
	var errs []error
	for _, z := range m.list {
		if _, err := m.readZone(z); err != nil {
			errs = append(errs, err)
		}
		if still := z.still(); still > 0 { // a slow or frozen counter, never 0 W
			if still >= zoneStill {
				errs = append(errs,
					fmt.Errorf("%s: the energy counter has not changed for more than %v", z.device.ID, zoneStill))
			}
			continue
		}
		if watts, window, ok := z.mean(); ok {
			t.Samples = append(t.Samples, power.Sample{
				MonoNS: z.lastNS, UnixNS: now.Unix(z.lastNS), Device: z.device.ID, Source: z.source,
				Power: watts, Window: window,
			})
		}
	}
	t.Gaps = append(t.Gaps, m.gaps...)
	m.gaps = m.gaps[:0]
	return errors.Join(errs...)
}

// counters reads each zone once. Readings continue across wrap-arounds.
func (m *zones) counters(ctx context.Context) ([]power.Reading, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	readings := make([]power.Reading, 0, len(m.list))
	var errs []error
	for _, z := range m.list {
		r, err := m.readZone(z)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		readings = append(readings, r)
	}
	return readings, errors.Join(errs...)
}

// calls lists the ways to read a device; see [sensor.Call].
func (m *zones) calls(device string) []sensor.Call {
	var out []sensor.Call
	for _, z := range m.list {
		if z.device.ID == device {
			out = append(out, sensor.Call{Name: z.source + " energy counter", Source: z.source, Energy: true,
				Read: func() (float64, uint64, error) {
					uj, err := z.read()
					return unit.Energy(uj).Joules(), 0, err
				}})
		}
	}
	return out
}

// readZone takes one reading of a zone. If it is implausible, the energy since the previous reading is
// unknown: that is an error and a gap, never zero energy.
func (m *zones) readZone(z *zone) (power.Reading, error) {
	before := m.clocks.Mono()
	raw, err := z.read()
	after := m.clocks.Mono()
	if err != nil {
		return power.Reading{}, fmt.Errorf("%s: %w", z.device.ID, err)
	}
	r := power.Reading{Device: z.device.ID, Source: z.source, BeforeNS: before, AfterNS: after, Refresh: z.refresh}
	previous := z.lastNS
	if err := z.advance(raw, r.At()); err != nil {
		m.gaps = append(m.gaps,
			power.Gap{Device: z.device.ID, Source: z.source, StartNS: previous, EndNS: after, Reason: err.Error()})
		return power.Reading{}, fmt.Errorf("%s: %w", z.device.ID, err)
	}
	r.Energy = z.total
	return r, nil
}

// Reasons to reject a counter difference.
var (
	errBackwards = errors.New(
		"the energy counter went backwards: it was reset, or it wrapped and its range is unknown")
	errImplausible = errors.New("the energy counter jumped by more than any package draws")
	errManyWraps   = errors.New("the energy counter was not read for so long that it may have wrapped more than once")
)

// advance adds the energy since the previous reading. If it is unknown, counting starts again from this
// reading, and advance returns the reason.
func (z *zone) advance(raw uint64, at int64) error {
	lastRaw, elapsed := z.lastRaw, time.Duration(at-z.lastNS)
	first := z.lastNS == 0
	z.lastRaw, z.lastNS = raw, at
	if first {
		z.total = unit.Energy(raw)
		return nil
	}
	most := zoneMaxWatts.For(elapsed + zoneSlack)
	gained, err := unit.Energy(raw)-unit.Energy(lastRaw), error(nil)
	switch {
	case z.wrap > 0 && most >= unit.Energy(z.wrap):
		err = errManyWraps
	case raw < lastRaw && z.wrap < lastRaw: // includes an unknown range
		err = errBackwards
	case raw < lastRaw:
		if gained = unit.Energy(z.wrap - lastRaw + raw); gained > most {
			err = errBackwards
		}
	case gained > most:
		err = errImplausible
	}
	if err != nil {
		z.seriesNS = 0
		return err
	}
	z.total += gained
	return nil
}

// still returns for how long the counter has not changed since the previous sample.
func (z *zone) still() time.Duration {
	if z.seriesNS == 0 || z.total != z.seriesTotal {
		return 0
	}
	return time.Duration(z.lastNS - z.seriesNS)
}

// mean returns the power since the previous sample.
func (z *zone) mean() (unit.Watts, time.Duration, bool) {
	startNS, start := z.seriesNS, z.seriesTotal
	if z.lastNS == 0 || z.lastNS == startNS {
		return 0, 0, false
	}
	z.seriesNS, z.seriesTotal = z.lastNS, z.total
	if startNS == 0 {
		return 0, 0, false
	}
	window := time.Duration(z.lastNS - startNS)
	return unit.Watts((z.total - start).Joules() / window.Seconds()), window, true
}

// numberFile is a file of sysfs that contains one integer.
type numberFile struct {
	path string
	buf  [32]byte
}

// read opens the file each time, so that it keeps working after a module is reloaded.
func (f *numberFile) read() (uint64, error) {
	fd, err := unix.Open(f.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: f.path, Err: err}
	}
	n, err := unix.Read(fd, f.buf[:])
	// A file opened for reading loses nothing if closing fails.
	_ = unix.Close(fd)
	if err != nil {
		return 0, &fs.PathError{Op: "read", Path: f.path, Err: err}
	}
	v, err := strconv.ParseUint(strings.TrimSpace(string(f.buf[:max(n, 0)])), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s does not contain a number", f.path)
	}
	return v, nil
}
