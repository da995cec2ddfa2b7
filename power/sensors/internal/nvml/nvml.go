// Package nvml reads power, energy and state of NVIDIA GPUs through the driver's library, which is loaded on
// first use.
package nvml

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/sensors/internal/poll"
	"github.com/llenergymeasure/llem/unit"
)

// Meter is the meter of NVIDIA GPUs. For each GPU it uses the best power series that works (see
// SourceSamples, SourceInstant, SourceAverage) and the energy counter if there is one; both are tested, never
// inferred from the product name. Devices are called gpu0, gpu1, … by NVML's index. If the driver has sensors
// for the module around a GPU (Grace Hopper), the module is the device gpu0-module. A GPU in MIG mode is
// rejected.
type Meter struct {
	lib      nvmlLibrary
	gpus     []*nvmlGPU
	modules  []*nvmlGPU
	missing  []power.Unavailable
	warnings note.List
	clocks   power.Clocks
	nextNS   int64 // when telemetry is due
	lookNS   int64 // when the next poll of processes is due
	helpers  time.Duration

	closing sync.Once
	closed  error
}

// nvmlGPU is one device of the meter.
type nvmlGPU struct {
	dev     nvmlDevice
	index   int
	device  power.Device
	sensors nvmlSensors // of the scope of the device
	series  powerSeries // nil: no power reading
	counter bool
	dueNS   int64 // when a ring beside polled GPUs is due
	lookNS  int64 // time of the last poll of processes
	// unlisted are processes that worked at the last poll but had no compute context: graphics, or a process
	// that has ended since and will not be found at the next poll.
	unlisted map[int]float64
}

// Options select GPUs.
type Options struct {
	// VisibleDevices is CUDA_VISIBLE_DEVICES; nil if not set.
	VisibleDevices *string
	// DeviceOrder is CUDA_DEVICE_ORDER.
	DeviceOrder string
	// Library is the path of the driver's library; empty means libnvidia-ml.so.1.
	Library string
	// Clocks replaces the system's clocks, for simulated time.
	Clocks *power.Clocks
}

const telemetryInterval = time.Second

// lookInterval is the time between two polls of processes and memory.
const lookInterval = 500 * time.Millisecond

// Open opens the driver's library and the visible GPUs. If nothing can be measured, the error is a
// [power.Unavailable], or [Refusals] with one entry per visible GPU.
func Open(ctx context.Context, opts Options) (*Meter, error) {
	lib, err := loadNVML(opts.Library)
	if err != nil {
		return nil, err
	}
	clocks := power.SystemClocks()
	if opts.Clocks != nil {
		clocks = *opts.Clocks
	}
	return openNVML(ctx, lib, opts, clocks)
}

func openNVML(ctx context.Context, lib nvmlLibrary, opts Options, c power.Clocks) (*Meter, error) {
	if err := lib.Open(); err != nil {
		return nil, nvmlUnavailable(err)
	}
	m := &Meter{lib: lib, clocks: c}
	if err := m.openGPUs(ctx, opts); err != nil {
		// The original error is more useful than an error of closing.
		_ = m.Close()
		return nil, nvmlUnavailable(err)
	}
	return m, nil
}

func (m *Meter) openGPUs(ctx context.Context, opts Options) error {
	devices, err := m.lib.Devices()
	if err != nil {
		return err
	}
	if len(devices) == 0 {
		return sensor.NoSensor("nvml", "the driver is loaded but finds no GPU",
			"check the GPU with lspci and dmesg; in a container, pass the GPUs to it (docker run --gpus all)")
	}
	ids := identify(devices)
	v, err := visibleGPUs(opts.VisibleDevices, ids)
	if err != nil {
		return err
	}
	m.missing = append(m.missing, v.missing...)
	for _, w := range []string{v.doubt, orderWarning(opts.VisibleDevices, opts.DeviceOrder, ids)} {
		if w != "" {
			m.warnings.Warn(codes.Sensor, w)
		}
	}
	for _, i := range v.chosen {
		if err := m.openGPU(ctx, i, devices[i].dev, ids[i]); err != nil {
			return err
		}
	}
	switch {
	case len(m.all()) > 0:
		return nil
	case len(m.missing) == 1:
		return m.missing[0]
	}
	return Refusals(m.missing)
}

// all lists GPUs, then modules.
func (m *Meter) all() []*nvmlGPU { return slices.Concat(m.gpus, m.modules) }

// openGPU adds a device, or records why it cannot be measured.
func (m *Meter) openGPU(ctx context.Context, index int, dev nvmlDevice, id nvmlIdentity) error {
	name := fmt.Sprintf("gpu%d", index)
	if id.MIG {
		m.missing = append(m.missing, migRefused(name, index))
		return nil
	}
	sensors := sensorsOf(dev, id)
	g := &nvmlGPU{dev: dev, index: index, sensors: sensors,
		device: power.Device{ID: name, Kind: power.GPU, Name: id.Name, UUID: id.UUID, Scope: sensor.ScopeGPU}}
	series, seriesErr := openSeries(ctx, name, sensors, id, m.clocks)
	if err := ctx.Err(); err != nil {
		return err
	}
	_, energyErr := sensors.Energy()
	g.counter = energyErr == nil
	if seriesErr == nil {
		g.series = series
	}
	silent := seriesErr != nil && energyErr != nil
	lost := errors.Join(seriesErr, energyErr)
	switch {
	case silent && unusable(lost):
		m.missing = append(m.missing, refusal(index, lost))
		return nil
	case silent:
		m.missing = append(m.missing,
			sensor.NoSensor("nvml "+name,
				fmt.Sprintf("%s reports neither power nor energy: %v", id.Name, lost), ""))
	case seriesErr != nil:
		m.warnings.Warnf(codes.Sensor, "%s has an energy counter but no power reading: %v", name, seriesErr)
	case !g.counter && id.onModule():
		m.warnings.Warn(codes.Sensor,
			name+" has no energy counter for the GPU alone; the plain counter may cover the whole module and "+
				"is not used")
	}
	if !silent {
		m.gpus = append(m.gpus, g)
	}
	if silent || id.onModule() {
		return m.openModule(ctx, g, sensors, id)
	}
	return nil
}

// Name returns "nvml".
func (m *Meter) Name() string { return "nvml" }

// Devices lists the visible GPUs in CUDA's order, then modules.
func (m *Meter) Devices() []power.Device {
	var list []power.Device
	for _, g := range m.all() {
		list = append(list, g.device)
	}
	return list
}

// Missing lists GPUs that are visible but cannot be measured.
func (m *Meter) Missing() []power.Unavailable { return slices.Clone(m.missing) }

// Warnings returns doubts about the mapping of devices and about their sensors.
func (m *Meter) Warnings() note.List { return slices.Clone(m.warnings) }

// Interval is half a second if every GPU has a ring of samples. Otherwise it is the interval for polling
// single values: 5 ms, or longer while no value is expected to change.
func (m *Meter) Interval() time.Duration {
	d := ringInterval
	var now int64
	for _, list := range [][]*nvmlGPU{m.gpus, m.modules} {
		for _, g := range list {
			p, polled := g.series.(*poll.Point)
			switch {
			case polled:
				if now == 0 {
					now = m.clocks.Mono()
				}
				d = min(d, max(p.Interval(), time.Duration(p.Rest()-now)))
			case g.series != nil && m.polled():
				d = min(d, ringBeside)
			}
		}
	}
	return d
}

// polled reports whether any GPU lacks a ring.
func (m *Meter) polled() bool {
	for _, list := range [][]*nvmlGPU{m.gpus, m.modules} {
		for _, g := range list {
			if _, ok := g.series.(*poll.Point); ok {
				return true
			}
		}
	}
	return false
}

// Refreshes returns how often the polled values changed.
func (m *Meter) Refreshes() []sensor.SourceRefresh {
	var list []sensor.SourceRefresh
	for _, g := range m.all() {
		if p, ok := g.series.(*poll.Point); ok {
			list = append(list, p.Refresh())
		}
	}
	return list
}

// Poll appends new samples and, once per second, telemetry.
func (m *Meter) Poll(ctx context.Context, t *power.Trace) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var errs []error
	polled, now := m.polled(), m.clocks.Mono()
	for _, list := range [][]*nvmlGPU{m.gpus, m.modules} {
		for _, g := range list {
			if err := g.poll(t, now, polled); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", g.device.ID, err))
			}
		}
	}
	if len(errs) > 0 {
		errs = append(errs, m.affirm(t, now)...)
	}
	// Polls may come a little early, hence a tenth less than the interval.
	if now >= m.nextNS {
		m.nextNS = now + int64(telemetryInterval)*9/10
		for _, g := range m.gpus {
			state := g.dev.Telemetry()
			state.MonoNS, state.Device = m.clocks.Mono(), g.device.ID
			t.Telemetry = append(t.Telemetry, state)
		}
	}
	if now >= m.lookNS {
		m.lookNS = now + int64(lookInterval)*9/10
		for _, g := range m.gpus {
			g.look(t, m.clocks.Anchor())
		}
	}
	return errors.Join(errs...)
}

// look appends the processes on a GPU and their memory. The list costs 10 to 30 µs on an H100. If the driver
// hides it, [Meter.Processes] returns the error.
func (g *nvmlGPU) look(t *power.Trace, anchor clock.Anchor) {
	now := anchor.MonoNS
	busy := g.busy(anchor)
	l := power.MemoryLook{MonoNS: now, Device: g.device.ID}
	if used, err := g.dev.MemoryUsed(); err == nil {
		l.UsedBytes = &used
	}
	list, err := g.dev.Processes()
	if err == nil {
		l.Processes = list
	}
	for _, p := range list {
		seen := power.Presence{Device: g.device.ID, PID: p.PID, FirstNS: now, LastNS: now}
		if busy != nil {
			seen.BusyPct = new(busy[p.PID])
		}
		if busy[p.PID] >= works {
			seen.BusyNS = now
		}
		delete(busy, p.PID)
		t.Saw(seen)
	}
	if len(list) == 0 { // the driver hides the process ids
		busy = nil
	}
	for pid, pct := range busy {
		if pct >= works && g.unlisted[pid] >= works {
			t.Saw(power.Presence{Device: g.device.ID, PID: pid, FirstNS: now, LastNS: now, BusyPct: &pct, BusyNS: now})
		}
	}
	g.unlisted = busy
	t.Looked(l)
}

// works is the percentage of time from which a process counts as working on a GPU.
const works = 5.0

// longestLook bounds the time for which the work of processes is requested, so that work before the first
// poll is ignored.
const longestLook = time.Second

// busy returns the processes that worked since the last poll; nil if the driver does not report them.
func (g *nvmlGPU) busy(now clock.Anchor) map[int]float64 {
	since := max(g.lookNS, now.MonoNS-int64(longestLook))
	g.lookNS = now.MonoNS
	busy, err := g.dev.Busy(uint64(max(0, now.Unix(since)/1000)))
	if err != nil {
		return nil
	}
	return busy
}

// affirm records a value for each polled GPU that works, if another GPU fails.
func (m *Meter) affirm(t *power.Trace, now int64) (errs []error) {
	for _, g := range m.all() {
		p, ok := g.series.(*poll.Point)
		if !ok {
			continue
		}
		if p.Resting(now) {
			if err := p.Poll(t); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", g.device.ID, err))
			}
		}
		p.Affirm(t)
	}
	return errs
}

// poll polls the series. A ring beside polled GPUs is read less often, because it would cost too much at
// their interval and loses nothing by waiting.
func (g *nvmlGPU) poll(t *power.Trace, now int64, polled bool) error {
	switch s := g.series.(type) {
	case nil:
		return nil
	case *poll.Point:
		if s.Resting(now) {
			return nil
		}
	default:
		if now < g.dueNS {
			return nil
		}
		if polled {
			g.dueNS = now + int64(ringBeside)
		}
	}
	return g.series.Poll(t)
}

// Counters reads the energy counters concurrently: one read takes milliseconds, so reading eight GPUs in turn
// would skew their times.
func (m *Meter) Counters(ctx context.Context) ([]power.Reading, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var gpus []*nvmlGPU
	for _, g := range m.all() {
		if g.counter {
			gpus = append(gpus, g)
		}
	}
	readings, errs := make([]power.Reading, len(gpus)), make([]error, len(gpus))
	cpu := make([]time.Duration, len(gpus))
	var wg sync.WaitGroup
	for i, g := range gpus[min(1, len(gpus)):] {
		wg.Go(func() {
			cpu[i+1] = tick.OnThread(func() { readings[i+1], errs[i+1] = m.readCounter(g) })
		})
	}
	if len(gpus) > 0 {
		readings[0], errs[0] = m.readCounter(gpus[0])
	}
	wg.Wait()
	for _, d := range cpu {
		m.helpers += d
	}
	kept := readings[:0]
	for i, r := range readings {
		if errs[i] == nil {
			kept = append(kept, r)
		}
	}
	return kept, errors.Join(errs...)
}

func (m *Meter) readCounter(g *nvmlGPU) (power.Reading, error) {
	r := power.Reading{Device: g.device.ID, Source: sensor.SourceEnergy, BeforeNS: m.clocks.Mono()}
	mj, err := g.sensors.Energy()
	r.AfterNS = m.clocks.Mono()
	if err != nil {
		return r, fmt.Errorf("%s: %w", g.device.ID, err)
	}
	r.Energy = unit.Energy(mj) * unit.Joule / 1000
	return r, nil
}

// HelperCPU returns the processor time of reads outside the caller's thread.
func (m *Meter) HelperCPU() time.Duration { return m.helpers }

// Facts describes the GPUs for the environment snapshot, in the order of Devices, without modules. It must
// not run concurrently with Poll or Counters.
func (m *Meter) Facts() []sensor.GPUFacts {
	list := make([]sensor.GPUFacts, len(m.gpus))
	for i, g := range m.gpus {
		list[i] = g.dev.Facts()
		list[i].Index = g.index
	}
	return list
}

// MemoryUsed returns the memory in use on each GPU, by all processes.
func (m *Meter) MemoryUsed(ctx context.Context) (map[string]digits.Bytes, error) {
	return eachGPU(ctx, m, func(d nvmlDevice) (digits.Bytes, error) {
		used, err := d.MemoryUsed()
		return digits.Bytes(used), err
	})
}

// Processes lists the processes with a compute context on each GPU. Their power is part of every reading, so
// a measured GPU should only have the engine's processes. Inside a container, the process ids may be the
// host's.
func (m *Meter) Processes(ctx context.Context) (map[string][]power.GPUProcess, error) {
	return eachGPU(ctx, m, nvmlDevice.Processes)
}

// eachGPU calls ask for every GPU of the meter. GPUs that fail are missing from the result and named in the
// error.
func eachGPU[T any](ctx context.Context, m *Meter, ask func(nvmlDevice) (T, error)) (map[string]T, error) {
	answers := make(map[string]T, len(m.gpus))
	var errs []error
	for _, g := range m.gpus {
		if err := ctx.Err(); err != nil {
			return answers, errors.Join(append(errs, err)...)
		}
		v, err := ask(g.dev)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", g.device.ID, err))
			continue
		}
		answers[g.device.ID] = v
	}
	return answers, errors.Join(errs...)
}

// Close releases the library.
func (m *Meter) Close() error {
	m.closing.Do(func() { m.closed = m.lib.Close() })
	return m.closed
}
