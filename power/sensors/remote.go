package sensors

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/internal/prom"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/sensors/internal/poll"
	"github.com/llenergymeasure/llem/unit"
)

const (
	// remoteInterval is the time between two fetches. Exporters refresh their values every second at best;
	// the default of dcgm-exporter is 30 s.
	remoteInterval = 500 * time.Millisecond
	// remoteRefresh is the assumed refresh period until it is known.
	remoteRefresh = 30 * time.Second
	// remoteMaxWatts exceeds the power of a rack; a larger value has a wrong unit.
	remoteMaxWatts = 1e6
	// remotePatience is the time that a poll waits for its pages. A slower page is left to the next poll, so
	// that a server that hangs does not delay the marks of other meters.
	remotePatience = 250 * time.Millisecond
)

// remoteMeter is the meter of power and energy on a metrics page: of a dcgm-exporter, or any metric that a
// study names. The page does not say when its values were measured, so the meter watches for changes: samples
// have the refresh period as their window, and readings snap to the fetch that first returned them.
//
// Counters returns nothing: a page that is refreshed every 30 s would delay the readings of all other
// counters. Poll appends the readings to the trace instead.
type remoteMeter struct {
	name     string
	fetch    fetcher
	stop     func()
	start    func() <-chan flight
	flight   <-chan flight // nil if no fetch is in progress
	helpers  time.Duration
	clocks   power.Clocks
	pages    []string
	wanted   map[string]bool // metrics
	devices  []*remoteDevice
	missing  []power.Unavailable
	warnings note.List
}

// remoteDevice is one device with a metric of power, energy, or both.
type remoteDevice struct {
	device        power.Device
	power, energy *remoteMetric
	series        *poll.Point
	counter       remoteCounter
}

// remoteMetric finds a value on a page.
type remoteMetric struct {
	page    string
	unit    prom.Unit
	what    string // for messages
	matches func(prom.Series) bool
}

// remoteCounter is the state of an energy counter.
type remoteCounter struct {
	changes poll.Changes
	last    power.Reading
	known   bool // last is valid
	// moved is the reading with the latest change; AfterNS is 0 before the first.
	moved power.Reading
}

// fetched is a page with the time of its fetch.
type fetched struct {
	series        []prom.Series
	before, after int64
	err           error
}

// flight is the result and cost of fetching every page.
type flight struct {
	pages map[string]fetched
	cpu   time.Duration
}

// Name returns "remote." and the name of the source.
func (m *remoteMeter) Name() string { return m.name }

// Devices lists the devices on the pages when the meter was opened.
func (m *remoteMeter) Devices() []power.Device {
	list := make([]power.Device, len(m.devices))
	for i, d := range m.devices {
		list[i] = d.device
	}
	return list
}

// Missing lists devices without usable values when the meter was opened.
func (m *remoteMeter) Missing() []power.Unavailable { return slices.Clone(m.missing) }

// Warnings returns doubts about what a value covers.
func (m *remoteMeter) Warnings() note.List { return slices.Clone(m.warnings) }

// Interval returns half a second.
func (m *remoteMeter) Interval() time.Duration { return remoteInterval }

// Refreshes returns how often the values changed.
func (m *remoteMeter) Refreshes() []sensor.SourceRefresh {
	var list []sensor.SourceRefresh
	for _, d := range m.devices {
		if d.power != nil {
			list = append(list, d.series.Refresh())
			continue
		}
		list = append(list, d.counter.changes.Profile(d.device.ID, m.name))
	}
	return list
}

// Poll fetches the pages and appends samples and readings.
func (m *remoteMeter) Poll(ctx context.Context, t *power.Trace) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.flight == nil {
		m.flight = m.start()
	}
	timer := time.NewTimer(remotePatience)
	defer timer.Stop()
	select {
	case f := <-m.flight:
		m.flight = nil
		m.helpers += f.cpu
		return m.takeAll(f.pages, t)
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// HelperCPU returns the processor time of fetches, which run outside the caller's thread.
func (m *remoteMeter) HelperCPU() time.Duration { return m.helpers }

// takeAll appends the values of the pages.
func (m *remoteMeter) takeAll(pages map[string]fetched, t *power.Trace) error {
	var errs []error
	for _, p := range m.pages {
		if err := pages[p].err; err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p, err))
		}
	}
	for _, d := range m.devices {
		if err := m.take(d, pages, t); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", d.device.ID, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		for _, d := range m.devices {
			d.series.Affirm(t)
		}
		return err
	}
	return nil
}

// Counters returns none; see remoteMeter.
func (m *remoteMeter) Counters(ctx context.Context) ([]power.Reading, error) { return nil, ctx.Err() }

// Close cancels a fetch in progress and closes the connections.
func (m *remoteMeter) Close() error {
	m.stop()
	if m.flight != nil {
		<-m.flight
		m.flight = nil
	}
	return nil
}

// background runs fetches until the meter is closed.
func (m *remoteMeter) background(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	closeIdle := m.stop
	m.stop = func() { cancel(); closeIdle() }
	m.start = func() <-chan flight {
		done := make(chan flight, 1)
		go func() {
			var f flight
			f.cpu = tick.OnThread(func() { f.pages = m.fetchAll(ctx, pageTimeout) })
			done <- f
		}()
		return done
	}
}

// fetchAll fetches every page once.
func (m *remoteMeter) fetchAll(ctx context.Context, limit time.Duration) map[string]fetched {
	pages := make(map[string]fetched, len(m.pages))
	for _, address := range m.pages {
		var f fetched
		limited, cancel := context.WithTimeout(ctx, limit)
		f.before = m.clocks.Mono()
		text, err := m.fetch(limited, address)
		f.after = m.clocks.Mono()
		cancel()
		if err == nil {
			f.series, err = prom.Parse(text, func(metric string) bool { return m.wanted[metric] })
		}
		f.err = err
		pages[address] = f
	}
	return pages
}

// take reads the values of a device. A failed page has already been reported.
func (m *remoteMeter) take(d *remoteDevice, pages map[string]fetched, t *power.Trace) error {
	var errs []error
	d.series.Failed()
	if d.power != nil && pages[d.power.page].err == nil {
		page := pages[d.power.page]
		watts, err := d.power.value(page.series)
		if err == nil && watts > remoteMaxWatts {
			err = fmt.Errorf("%s is %g W: check its unit", d.power.what, watts)
		}
		if err == nil {
			d.series.Window = d.series.Refresh().Period
			err = d.series.Take(t, unit.Watts(watts), page.before, page.after)
		}
		errs = append(errs, err)
	}
	if d.energy != nil && pages[d.energy.page].err == nil {
		page := pages[d.energy.page]
		joules, err := d.energy.value(page.series)
		if err == nil && joules > float64(math.MaxInt64)/2/float64(unit.Joule) {
			err = fmt.Errorf("%s is %g J: check its unit", d.energy.what, joules)
		}
		if err == nil {
			err = m.count(d, unit.FromJoules(joules), page, t)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// count appends a reading. A counter that went backwards was reset with its exporter or driver, so the energy
// in between is unknown.
func (m *remoteMeter) count(d *remoteDevice, energy unit.Energy, page fetched, t *power.Trace) error {
	c := &d.counter
	seen := c.changes.Poll(float64(energy), page.before, page.after)
	source := m.name
	if d.power != nil { // the counter may confirm this separate series
		source += ".energy"
	}
	r := power.Reading{Device: d.device.ID, Source: source, BeforeNS: page.before, AfterNS: page.after, Energy: energy,
		Refresh: c.changes.Refresh()}
	if r.Refresh == 0 {
		r.Refresh = remoteRefresh
	}
	if seen.SinceNS != 0 {
		r.Snapped, r.SinceNS = true, seen.SinceNS
	}
	previous, known := c.last, c.known
	c.last, c.known = r, true
	t.Counters = append(t.Counters, r)
	if known && energy < previous.Energy {
		c.moved = power.Reading{}
		reason := "the energy counter went backwards: it was reset"
		t.Gaps = append(t.Gaps,
			power.Gap{Device: r.Device, Source: source, StartNS: previous.BeforeNS, EndNS: r.AfterNS, Reason: reason})
		return errors.New(reason)
	}
	if !r.Snapped {
		if seen.Changed { // the time of the change is unknown
			c.moved = power.Reading{}
		}
		return nil
	}
	if d.power == nil && c.moved.AfterNS != 0 {
		m.mean(d, c.moved, r, t)
	}
	c.moved = r
	return nil
}

// mean appends the power between two changes of a counter.
func (m *remoteMeter) mean(d *remoteDevice, from, to power.Reading, t *power.Trace) {
	window := time.Duration(to.At() - from.At())
	t.Samples = append(t.Samples, power.Sample{
		MonoNS: to.AfterNS, UnixNS: m.clocks.Anchor().Unix(to.AfterNS), Device: d.device.ID, Source: m.name,
		Power: unit.Watts((to.Energy - from.Energy).Joules() / window.Seconds()), Window: window, SinceNS: to.SinceNS,
	})
}

// value returns the metric's value in watts or joules. Rows that repeat a value (a GPU listed for several
// containers or MIG slices) count once.
func (x *remoteMetric) value(page []prom.Series) (float64, error) {
	for _, s := range page {
		if !x.matches(s) {
			continue
		}
		v := x.unit.Base(s.Value)
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
			return 0, fmt.Errorf("%s has no usable value: %g", x.what, s.Value)
		}
		return v, nil
	}
	return 0, fmt.Errorf("%s is no longer on the page", x.what)
}
