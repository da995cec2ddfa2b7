package power

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/unit"
)

// SourceRAPL is the series and the counter of CPU packages and their memory.
const SourceRAPL = "rapl"

const (
	// raplInterval is a compromise: the counter moves every millisecond, so a
	// difference over 50 ms is good to about 2 %, and twenty reads a second of a
	// few zones cost less than a thousandth of a core.
	raplInterval = 50 * time.Millisecond
	// raplRefresh is the update period of the counter (Intel SDM vol. 3, 16.10).
	raplRefresh = time.Millisecond
	// raplMaxWatts is more than any package draws. A counter difference beyond it
	// is not energy but a reset, whatever wrap-around would make of it.
	raplMaxWatts = unit.Watts(4000)
	// raplSlack lets a difference over a very short time include a few refreshes.
	raplSlack = 10 * time.Millisecond
)

// RAPL is the meter of CPU packages and of their DRAM, over the powercap files
// of Linux (Intel, and AMD under the same names). Zones nest: psys contains the
// packages, a package contains core and uncore. Only packages (package-0, …) and
// DRAM (dram-0, …), which lies beside the package, are devices, so that their
// sum counts nothing twice.
type RAPL struct {
	zones   []*raplZone
	missing []Unavailable
	clocks  Clocks
	gaps    []Gap // found while reading counters, for the next poll
}

// RAPLOptions say where the files are.
type RAPLOptions struct {
	SysfsRoot string // "" means /sys
	ProcRoot  string // "" means /proc
}

// OpenRAPL finds the readable zones. If there is none the error is an
// [Unavailable].
func OpenRAPL(opts RAPLOptions) (*RAPL, error) { return openRAPL(opts, systemClocks()) }

func openRAPL(opts RAPLOptions, c Clocks) (*RAPL, error) {
	found, err := findZones(opts)
	if err != nil {
		return nil, err
	}
	m := &RAPL{clocks: c}
	for _, f := range found {
		z := &raplZone{device: f.device, path: f.dir + "/energy_uj", wrap: f.wrap}
		if _, err := z.energy(); err != nil {
			m.missing = append(m.missing, zoneUnreadable(f, err))
			continue
		}
		m.zones = append(m.zones, z)
	}
	if len(m.zones) == 0 {
		u := m.missing[0]
		u.Source = "rapl"
		return nil, u
	}
	return m, nil
}

// Name is "rapl".
func (m *RAPL) Name() string { return "rapl" }

// Devices lists packages and DRAM in the order of sockets.
func (m *RAPL) Devices() []Device {
	list := make([]Device, len(m.zones))
	for i, z := range m.zones {
		list[i] = z.device
	}
	return list
}

// Missing lists zones that exist but cannot be read.
func (m *RAPL) Missing() []Unavailable { return slices.Clone(m.missing) }

// Interval is 50 ms.
func (m *RAPL) Interval() time.Duration { return raplInterval }

// Poll appends the mean power of every zone since the poll before.
func (m *RAPL) Poll(ctx context.Context, t *Trace) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := m.clocks.Anchor()
	var errs []error
	for _, z := range m.zones {
		if _, err := m.read(z); err != nil {
			errs = append(errs, err)
		}
		if power, window, ok := z.mean(); ok {
			t.Samples = append(t.Samples, Sample{
				MonoNS: z.lastNS, UnixNS: now.Unix(z.lastNS), Device: z.device.ID, Source: SourceRAPL,
				Power: power, Window: window,
			})
		}
	}
	t.Gaps = append(t.Gaps, m.gaps...)
	m.gaps = m.gaps[:0]
	return errors.Join(errs...)
}

// Counters reads every zone once. Readings go on across wrap-arounds.
func (m *RAPL) Counters(ctx context.Context) ([]Reading, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	readings := make([]Reading, 0, len(m.zones))
	var errs []error
	for _, z := range m.zones {
		r, err := m.read(z)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		readings = append(readings, r)
	}
	return readings, errors.Join(errs...)
}

// read takes one reading of a zone. After an implausible one the energy between
// it and the one before is unknown: that is an error and a gap, never zero energy.
func (m *RAPL) read(z *raplZone) (Reading, error) {
	before := m.clocks.Mono()
	raw, err := z.energy()
	after := m.clocks.Mono()
	if err != nil {
		return Reading{}, fmt.Errorf("%s: %w", z.device.ID, err)
	}
	r := Reading{Device: z.device.ID, Source: SourceRAPL, BeforeNS: before, AfterNS: after, Refresh: raplRefresh}
	previous := z.lastNS
	if err := z.advance(raw, r.At()); err != nil {
		m.gaps = append(m.gaps, Gap{Device: z.device.ID, Source: SourceRAPL, StartNS: previous, EndNS: after, Reason: err.Error()})
		return Reading{}, fmt.Errorf("%s: %w", z.device.ID, err)
	}
	r.Energy = z.total
	return r, nil
}

// Close does nothing: no file stays open between readings.
func (m *RAPL) Close() error { return nil }

// raplZone is one counter.
type raplZone struct {
	device Device
	path   string
	wrap   uint64 // the counter's largest value in µJ; 0 when it is not known
	buf    [32]byte

	lastNS  int64 // 0 before the first reading
	lastRaw uint64
	total   unit.Energy // across wrap-arounds

	seriesNS    int64 // the end of the sample before; 0 when there is none
	seriesTotal unit.Energy
}

// energy reads the counter in µJ. It opens the file each time, which keeps
// working when the module is reloaded.
func (z *raplZone) energy() (uint64, error) {
	fd, err := unix.Open(z.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", z.path, err)
	}
	n, err := unix.Read(fd, z.buf[:])
	// A file that was only read has nothing to lose on close.
	_ = unix.Close(fd)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", z.path, err)
	}
	v, err := strconv.ParseUint(strings.TrimSpace(string(z.buf[:max(n, 0)])), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s does not hold a number", z.path)
	}
	return v, nil
}

// Reasons for which a counter difference is refused.
var (
	errBackwards   = errors.New("the energy counter went backwards: it was reset, or it wrapped and its range is not known")
	errImplausible = errors.New("the energy counter jumped by more than any package draws")
	errManyWraps   = errors.New("the energy counter was not read for so long that it may have wrapped more than once")
)

// advance adds what the counter gained since the reading before. If that cannot
// be known it starts anew from this reading and says why.
func (z *raplZone) advance(raw uint64, at int64) error {
	lastRaw, elapsed := z.lastRaw, time.Duration(at-z.lastNS)
	first := z.lastNS == 0
	z.lastRaw, z.lastNS = raw, at
	if first {
		z.total = unit.Energy(raw)
		return nil
	}
	most := raplMaxWatts.For(elapsed + raplSlack)
	gained, err := unit.Energy(raw)-unit.Energy(lastRaw), error(nil)
	switch {
	case z.wrap > 0 && most >= unit.Energy(z.wrap):
		err = errManyWraps
	case raw < lastRaw && z.wrap < lastRaw: // also when the range is not known
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

// mean is the power since the sample before.
func (z *raplZone) mean() (unit.Watts, time.Duration, bool) {
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
