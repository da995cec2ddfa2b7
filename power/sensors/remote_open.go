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

// Metrics of dcgm-exporter. The momentary power is preferred where the exporter
// was told to show it; by default it shows an average.
const (
	dcgmPower   = "DCGM_FI_DEV_POWER_USAGE"
	dcgmInstant = "DCGM_FI_DEV_POWER_USAGE_INSTANT"
	dcgmEnergy  = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
)

// remoteOptions name the pages.
type remoteOptions struct {
	// Targets describe one source: they share a name.
	Targets []prom.Target
	// Local are the devices that are read on this machine. A GPU among them is
	// measured here; its values on the page only check that.
	Local []power.Device
}

// openRemoteHTTP fetches the pages once and finds the devices on them. If there is none
// the error is a [power.Unavailable], and the meter is there for its list of what is
// missing only.
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
		return nil, sensor.NoSensor("remote", "no page is named", "")
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
	for i := range m.missing { // the name alone stands for the whole source
		if m.missing[i].Source == m.name {
			m.missing[i].Source += " (in part)"
		}
	}
	// A page that could not be read is not fetched again: nothing on it is metered.
	m.pages = slices.DeleteFunc(m.pages, func(address string) bool { return pages[address].err != nil })
	m.background(ctx)
	return m, nil
}

// addTarget adds what one target names.
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

// dropNamesakes leaves out devices that are called as one of this machine.
func (m *remoteMeter) dropNamesakes(local []power.Device) {
	m.devices = slices.DeleteFunc(m.devices, func(d *remoteDevice) bool {
		taken := slices.ContainsFunc(local, func(l power.Device) bool { return l.ID == d.device.ID })
		if taken {
			m.missing = append(m.missing, sensor.NoSensor(m.name,
				fmt.Sprintf("the name %s belongs to a device of this machine", d.device.ID),
				"give the remote source another name"))
		}
		return taken
	})
}

// probe refuses a metric without a usable value.
func (m *remoteMeter) probe(x *remoteMetric, page []prom.Series) error {
	if _, err := x.value(page); err != nil {
		return sensor.NoSensor(m.name, x.page+": "+err.Error(), remoteFix(x.page, err))
	}
	return nil
}

// addMetric adds a metric that was named.
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
			"look for it: curl -s "+t.URL+" | grep -i -e power -e energy -e watt")
	case len(rows) == 0:
		return absent("no series of the page is "+t.String(), "the first one is "+named[0].String())
	case len(rows) > 1:
		return absent(fmt.Sprintf("%d series of the page are %s", len(rows), t),
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

// dcgmGPU are the rows of one GPU.
type dcgmGPU struct {
	key, index, uuid, model string
	slices                  int // rows of MIG instances of one metric
	rows                    map[string]int
}

// addDCGM adds the GPUs of a dcgm-exporter.
func (m *remoteMeter) addDCGM(t prom.Target, page []prom.Series, local []power.Device) error {
	gpus := dcgmGPUs(page)
	if len(gpus) == 0 {
		return sensor.NoSensor(m.name,
			fmt.Sprintf("%s: there is neither %s nor %s on the page", t.URL, dcgmPower,
				dcgmEnergy), "enable them in the exporter's file of counters (dcgm-exporter -f); for "+
				"another exporter, name the metric: "+t.Name+"="+t.URL+"#metric:W")
	}
	if len(gpus) > mostGPUs {
		return sensor.NoSensor(m.name,
			fmt.Sprintf("%s: there are %d GPUs on the page, more than %d are not read", t.URL, len(gpus), mostGPUs),
			"give the page of the exporter on the engine's host")
	}
	for _, g := range gpus {
		m.addDCGMGPU(t, g, page, local)
	}
	return nil
}

// mostGPUs bounds those of one page: each is looked for on it twice a second.
const mostGPUs = 256

// dcgmGPUs groups the rows of a page by GPU, in their order.
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

// dcgmKey tells GPUs apart. Without a UUID the index has to do.
func dcgmKey(s prom.Series) string {
	if uuid := s.Label("UUID"); uuid != "" {
		return uuid
	}
	return s.Label("Hostname") + " " + s.Label("gpu")
}

func (m *remoteMeter) addDCGMGPU(t prom.Target, g *dcgmGPU, page []prom.Series, local []power.Device) {
	id := t.Name + "-gpu" + g.index
	if g.index == "" || m.device(id) != nil { // a page that was put together of several hosts
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
				"slices; it is taken once and not counted", id, g.slices)
	}
}

// dcgmKind is Remote for a GPU that is measured on this machine, or that cannot be
// tied to one GPU of an engine.
func dcgmKind(g *dcgmGPU, local []power.Device) power.Kind {
	measuredHere := slices.ContainsFunc(local,
		func(d power.Device) bool { return d.Kind == power.GPU || d.Kind == power.Module })
	if g.uuid == "" || g.slices > 0 || measuredHere {
		return power.Remote
	}
	return power.GPU
}
