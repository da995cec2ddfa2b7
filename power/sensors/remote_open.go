package sensors

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/prom"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/sensors/internal/poll"
)

// Metrics of dcgm-exporter. Instantaneous power is preferred if the exporter offers it; the default is an
// average.
const (
	dcgmPower   = "DCGM_FI_DEV_POWER_USAGE"
	dcgmInstant = "DCGM_FI_DEV_POWER_USAGE_INSTANT"
	dcgmEnergy  = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
)

// remoteOptions select the pages.
type remoteOptions struct {
	// Targets describe one source: all have the same name.
	Targets []prom.Target
	// Local are the devices read on this machine. If a GPU on the page is one of them, the page only checks
	// its values.
	Local []power.Device
}

// openRemoteHTTP fetches the pages once and finds their devices. If there is none, the error is a
// [power.Unavailable], and the returned meter only serves to list what is missing.
func openRemoteHTTP(ctx context.Context, opts remoteOptions, c power.Clocks) (*remoteMeter, error) {
	fetch, stop := httpFetcher()
	m, err := openRemote(ctx, opts, fetch, stop, c)
	if err != nil {
		stop()
	}
	return m, err
}

func openRemote(ctx context.Context, opts remoteOptions, fetch fetcher, stop func(), c power.Clocks) (*remoteMeter,
	error) {
	if len(opts.Targets) == 0 {
		return nil, sensor.NoSensor("remote", "no metrics page is given", "")
	}
	m := &remoteMeter{name: "remote." + opts.Targets[0].Name, fetch: fetch, stop: stop, clocks: c,
		wanted: make(map[string]bool)}
	for _, t := range opts.Targets {
		if !slices.Contains(m.pages, t.URL) {
			m.pages = append(m.pages, t.URL)
		}
		if t.Metric != "" {
			m.wanted[t.Metric] = true
			continue
		}
		m.wanted[dcgmPower], m.wanted[dcgmInstant], m.wanted[dcgmEnergy] = true, true, true
	}
	pages := m.fetchAll(ctx, openTimeout)
	for _, t := range opts.Targets {
		if err := m.addTarget(t, pages[t.URL], opts.Local); err != nil {
			m.missing = append(m.missing, reason(m.name, err))
		}
	}
	m.dropNamesakes(opts.Local)
	if len(m.devices) == 0 {
		return m, m.missing[0]
	}
	for i := range m.missing { // without the suffix, the name would mean the whole source
		if m.missing[i].Source == m.name {
			m.missing[i].Source += " (in part)"
		}
	}
	// A page that could not be read is not fetched again, because none of its devices is metered.
	m.pages = slices.DeleteFunc(m.pages, func(address string) bool { return pages[address].err != nil })
	m.background(ctx)
	return m, nil
}

// addTarget adds the devices of one target.
func (m *remoteMeter) addTarget(t prom.Target, page fetched, local []power.Device) error {
	switch {
	case page.err != nil:
		return sensor.NoSensor(m.name, fmt.Sprintf("%s cannot be read: %v", t.URL, page.err),
			remoteFix(t.URL, page.err))
	case t.Metric == "":
		return m.addDCGM(t, page.series, local)
	}
	return m.addMetric(t, page.series)
}

// dropNamesakes removes devices with the name of a local device.
func (m *remoteMeter) dropNamesakes(local []power.Device) {
	m.devices = slices.DeleteFunc(m.devices, func(d *remoteDevice) bool {
		taken := slices.ContainsFunc(local, func(l power.Device) bool { return l.ID == d.device.ID })
		if taken {
			m.missing = append(m.missing, sensor.NoSensor(m.name,
				fmt.Sprintf("the name %s is used by a device of this machine", d.device.ID),
				"give the remote source another name"))
		}
		return taken
	})
}

// probe rejects a metric without a usable value.
func (m *remoteMeter) probe(x *remoteMetric, page []prom.Series) error {
	if _, err := x.value(page); err != nil {
		return sensor.NoSensor(m.name, x.page+": "+err.Error(), remoteFix(x.page, err))
	}
	return nil
}

// addMetric adds a metric that the target names.
func (m *remoteMeter) addMetric(t prom.Target, page []prom.Series) error {
	var rows, named []prom.Series
	for _, s := range page {
		if s.Name == t.Metric {
			named = append(named, s)
		}
		if t.Matches(s) {
			rows = append(rows, s)
		}
	}
	absent := func(reason, fix string) error {
		return sensor.NoSensor(m.name, t.URL+": "+reason, fix)
	}
	switch {
	case len(named) == 0:
		return absent("there is no metric "+t.Metric+" on the page",
			"list the metrics: curl -s "+t.URL+" | grep -i -e power -e energy -e watt")
	case len(rows) == 0:
		return absent("no series on the page matches "+t.String(), "the first one is "+named[0].String())
	case len(rows) > 1:
		return absent(fmt.Sprintf("%d series on the page match %s", len(rows), t),
			"add labels; the first one is "+rows[0].String())
	}
	x := &remoteMetric{page: t.URL, unit: t.Unit, what: t.String(), matches: t.Matches}
	if err := m.probe(x, page); err != nil {
		return err
	}
	d := m.device(t.Name)
	if d == nil {
		d = m.add(power.Device{ID: t.Name, Kind: power.Remote, Name: t.String(), OverNetwork: true})
	}
	if t.Unit.Energy() {
		d.energy = x
	} else {
		d.power = x
	}
	return nil
}

func (m *remoteMeter) device(id string) *remoteDevice {
	for _, d := range m.devices {
		if d.device.ID == id {
			return d
		}
	}
	return nil
}

func (m *remoteMeter) add(device power.Device) *remoteDevice {
	d := &remoteDevice{device: device, series: poll.New(device.ID, m.name, 0, remoteInterval, m.clocks, nil)}
	d.counter.changes.Interval = remoteInterval
	m.devices = append(m.devices, d)
	return d
}

// dcgmGPU has the rows of one GPU.
type dcgmGPU struct {
	key, index, uuid, model string
	slices                  int // number of rows of MIG instances of one metric
	rows                    map[string]int
}

// addDCGM adds the GPUs of a dcgm-exporter.
func (m *remoteMeter) addDCGM(t prom.Target, page []prom.Series, local []power.Device) error {
	gpus := dcgmGPUs(page)
	if len(gpus) == 0 {
		return sensor.NoSensor(m.name,
			fmt.Sprintf("%s: the page has neither %s nor %s", t.URL, dcgmPower,
				dcgmEnergy), "enable them in the exporter's counters file (dcgm-exporter -f); for "+
				"another exporter, name the metric: "+t.Name+"="+t.URL+"#metric:W")
	}
	if len(gpus) > mostGPUs {
		return sensor.NoSensor(m.name,
			fmt.Sprintf("%s: the page has %d GPUs; at most %d are supported", t.URL, len(gpus), mostGPUs),
			"use the page of the exporter on the engine's host")
	}
	for _, g := range gpus {
		m.addDCGMGPU(t, g, page, local)
	}
	return nil
}

// mostGPUs bounds the GPUs of a page: each is looked up twice a second.
const mostGPUs = 256

// dcgmGPUs groups the rows of a page by GPU, in order.
func dcgmGPUs(page []prom.Series) []*dcgmGPU {
	var gpus []*dcgmGPU
	byKey := make(map[string]*dcgmGPU)
	for _, s := range page {
		if s.Name != dcgmPower && s.Name != dcgmInstant && s.Name != dcgmEnergy {
			continue
		}
		key := dcgmKey(s)
		g := byKey[key]
		if g == nil {
			g = &dcgmGPU{key: key, index: s.Label("gpu"), uuid: s.Label("UUID"), model: s.Label("modelName"),
				rows: make(map[string]int)}
			byKey[key] = g
			gpus = append(gpus, g)
		}
		g.rows[s.Name]++
		if s.Label("GPU_I_ID") != "" {
			g.slices = max(g.slices, g.rows[s.Name])
		}
	}
	return gpus
}

// dcgmKey identifies a GPU by its UUID or, without one, its index.
func dcgmKey(s prom.Series) string {
	if uuid := s.Label("UUID"); uuid != "" {
		return uuid
	}
	return s.Label("Hostname") + " " + s.Label("gpu")
}

func (m *remoteMeter) addDCGMGPU(t prom.Target, g *dcgmGPU, page []prom.Series, local []power.Device) {
	id := t.Name + "-gpu" + g.index
	if g.index == "" || m.device(id) != nil { // the page combines several hosts
		id = fmt.Sprintf("%s-%d", t.Name, len(m.devices))
	}
	d := &remoteDevice{}
	var problems []string
	for _, c := range []struct {
		metric string
		unit   prom.Unit
		at     **remoteMetric
	}{{dcgmInstant, "W", &d.power}, {dcgmPower, "W", &d.power}, {dcgmEnergy, "mJ", &d.energy}} {
		if *c.at != nil || g.rows[c.metric] == 0 {
			continue
		}
		x := &remoteMetric{page: t.URL, unit: c.unit, what: fmt.Sprintf("%s of GPU %s", c.metric, g.index),
			matches: func(s prom.Series) bool {
				return s.Name == c.metric && dcgmKey(s) == g.key
			}}
		if _, err := x.value(page); err != nil {
			problems = append(problems, err.Error())
			continue
		}
		*c.at = x
	}
	if d.power == nil && d.energy == nil {
		m.missing = append(m.missing,
			sensor.NoSensor(m.name+" "+id, strings.Join(problems, "; "),
				"look at the page: curl -s "+t.URL+" | grep DCGM_FI_DEV_POWER"))
		return
	}
	kind := dcgmKind(g, local)
	added := m.add(power.Device{ID: id, Kind: kind, Name: g.model, UUID: g.uuid, Scope: sensor.ScopeGPU,
		OverNetwork: true})
	if added.device.Name == "" {
		added.device.Name = "GPU " + g.index + " of " + t.Name
	}
	added.power, added.energy = d.power, d.energy
	if g.slices > 0 {
		m.warnings.Warnf(codes.Sensor,
			"%s is in MIG mode: the page repeats the value of the whole GPU for each of its %d "+
				"slices; the value is read once and not counted", id, g.slices)
	}
}

// dcgmKind returns Remote for a GPU that is measured on this machine, or that cannot be matched to one GPU of
// an engine.
func dcgmKind(g *dcgmGPU, local []power.Device) power.Kind {
	measuredHere := slices.ContainsFunc(local,
		func(d power.Device) bool { return d.Kind == power.GPU || d.Kind == power.Module })
	if g.uuid == "" || g.slices > 0 || measuredHere {
		return power.Remote
	}
	return power.GPU
}
