package join

import (
	"cmp"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// Material is everything from which the numbers of a run are computed, beside what its
// record brings. All of it is on disk with the result: each field is one of the parts
// that [Read] brings back.
type Material struct {
	// Engine is what ran the model.
	Engine Engine
	// Requests and Steps are the log of the window.
	Requests []backend.Request
	Steps    []backend.Step
	// Tasks has the kind of task of a request by its id.
	Tasks map[int]string
	// Given and Asked are prompt tokens given and output tokens asked for.
	Given, Asked int64
	// OutputHash is equal for runs that generated the same tokens; empty where they are not known.
	OutputHash string
	// Window holds the workload; Bare and Resident are the idle stretches before the
	// engine was started and with the model loaded. Empty ones were not measured.
	Window, Bare, Resident attribute.Window
	// PhasesTakeS is how long a window takes that can be split by phase, as was expected of this one, in seconds: 0
	// where this one was to do, or nothing is known, and less than 0 where no length helps.
	PhasesTakeS float64
	// Devices are metered.
	Devices []Device
	// Missing explains the sensors that could not be read.
	Missing []power.Unavailable
	// Samples, Counters and Telemetry are what the sensors showed in the baselines and in
	// the window, Gaps where series have holes, and Errors what failed meanwhile.
	Samples   []power.Sample
	Counters  []power.Reading
	Telemetry []power.Telemetry
	Gaps      []power.Gap
	Errors    []string
}

// Engine is what is known of the engine.
type Engine struct {
	// Tier is how well its steps were seen.
	Tier backend.Tier
	// Device is where it runs the model, in its own words, and GPUs are the UUIDs of the
	// ones that hold it, where it knows.
	Device string
	GPUs   []string
}

// Device is a metered device, and what was known of it before the run.
type Device struct {
	power.Device
	// Known is a bare idle power that was measured before this run; nil is none.
	Known *result.Idle
	// Profile is what a self-test knows of the sensor behind the series, and SwingPct of
	// the counter, in percent (see [power.Profile]); nil is nothing.
	Profile  *power.SourceProfile
	SwingPct *float64
	// IdleLimitW is more than an idle card of the model draws, in watts; 0 where it is not known.
	IdleLimitW float64
	// Others are processes on the device that are not the run's. WorkHidden reports that the driver
	// does not tell which processes work there.
	Others     []result.Tenant
	WorkHidden bool
}

// OnGPU reports whether an engine runs its model on a GPU, whose energy is then booked,
// and not the processor's. Whatever needs to know asks here.
func (e Engine) OnGPU() bool {
	return len(e.GPUs) > 0 || onGPU(e.Device)
}

// Counts reports whether a device runs the model, so that its energy is the engine's.
func (e Engine) Counts(d power.Device) bool {
	switch {
	case !e.OnGPU():
		return d.Kind == power.CPU || d.Kind == power.DRAM
	case d.Kind != power.GPU:
		return false
	case d.OverNetwork: // it may be another machine's
		return slices.Contains(e.GPUs, d.UUID)
	}
	return d.UUID == "" || len(e.GPUs) == 0 || slices.Contains(e.GPUs, d.UUID)
}

// EngineOf returns what is known of an engine that has loaded its model.
func EngineOf(l backend.Loaded) Engine {
	e := Engine{Tier: cmp.Or(l.Tier, backend.TierExact), Device: l.Device, GPUs: l.DeviceUUIDs}
	if !l.SharedClock {
		e.Tier = backend.TierClient
	}
	return e
}

// SetTrace takes over what was sampled.
func (m *Material) SetTrace(t power.Trace) {
	m.Samples, m.Counters, m.Telemetry, m.Gaps, m.Errors = t.Samples, t.Counters, t.Telemetry, t.Gaps, t.Errors
}

// SetDevices takes over the metered devices, after the window and what was sampled.
// Known has bare idle powers of earlier runs, and profiles what a self-test found, both
// by device.
func (m *Material) SetDevices(all []power.Device, known map[string]result.Idle, profiles map[string]*power.Profile) {
	m.Devices = nil
	for _, dev := range all {
		d := Device{Device: dev}
		if idle, ok := known[dev.ID]; ok {
			d.Known = &idle
		}
		if p := profiles[dev.ID]; p != nil {
			d.SwingPct = p.SwingPct
			if inside := between(m.samples(dev.ID), m.Window); len(inside) > 0 {
				d.Profile = p.Source(inside[0].Source)
			}
		}
		m.Devices = append(m.Devices, d)
	}
}

// samples returns the samples of one device.
func (m *Material) samples(device string) []power.Sample {
	var out []power.Sample
	for _, s := range m.Samples {
		if s.Device == device {
			out = append(out, s)
		}
	}
	return out
}

// readings returns the readings of one device's counter.
func (m *Material) readings(device string) []power.Reading {
	var out []power.Reading
	for _, r := range m.Counters {
		if r.Device == device {
			out = append(out, r)
		}
	}
	return out
}

// stray is how far from a stretch samples and readings still belong to it.
const stray = int64(2e9)

// between keeps the samples of a stretch and a little around it: the series of the
// baseline must not look like a gap in the series of the window.
func between(samples []power.Sample, w attribute.Window) []power.Sample {
	return slices.DeleteFunc(slices.Clone(samples), func(s power.Sample) bool {
		return s.MonoNS < w.Start-stray || s.MonoNS > w.End+stray
	})
}

// around keeps the readings of a stretch and a little around it.
func around(readings []power.Reading, w attribute.Window) []power.Reading {
	return slices.DeleteFunc(slices.Clone(readings), func(r power.Reading) bool {
		return r.AfterNS < w.Start-stray || r.BeforeNS > w.End+stray
	})
}

// Traces adds one trace to another.
func Traces(a, b power.Trace) power.Trace {
	a.Samples = append(a.Samples, b.Samples...)
	a.Counters = append(a.Counters, b.Counters...)
	a.Telemetry = append(a.Telemetry, b.Telemetry...)
	a.Gaps = append(a.Gaps, b.Gaps...)
	a.Memory = append(a.Memory, b.Memory...)
	for _, p := range b.Processes {
		a.Saw(p)
	}
	for _, e := range b.Errors {
		if !slices.Contains(a.Errors, e) {
			a.Errors = append(a.Errors, e)
		}
	}
	a.Cost = b.Cost // that of the window
	return a
}

// onGPU reports whether a device, as an engine names it once it has loaded a model, is a
// GPU: cuda, rocm, vulkan and so on.
func onGPU(device string) bool { return device != "" && !strings.HasPrefix(device, "cpu") }
