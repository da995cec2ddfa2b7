package join

import (
	"cmp"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/load/trace"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// Material is the input from which the numbers of a run are computed, in addition to the record. All of it is
// stored with the result: [Read] restores each field.
type Material struct {
	// Engine describes the engine.
	Engine Engine
	// Requests and Steps are the log of the window.
	Requests []backend.Request
	Steps    []backend.Step
	// Tasks maps a request's id to its kind of task.
	Tasks map[int]string
	// Given is the number of prompt tokens, Asked the number of requested output tokens.
	Given, Asked int64
	// OutputHash is equal for runs that generated the same tokens; empty if they are unknown.
	OutputHash string
	// Window contains the workload; Bare and Resident are the idle intervals before the engine was started
	// and with the model loaded. An empty interval was not measured.
	Window, Bare, Resident attribute.Window
	// Load describes the arrivals; nil for a workload without them, and without an objective. [Compute] then sets
	// Window to the steady part of the load.
	Load *LoadRun
	// PhasesTakeS is how long a window takes that can be split by phase, as was expected of this one, in seconds: 0
	// where this one was to do, or nothing is known, and less than 0 where no length helps.
	PhasesTakeS float64
	// Devices are the metered devices.
	Devices []Device
	// Missing lists the sensors that could not be read.
	Missing []power.Unavailable
	// Samples, Counters and Telemetry are from the baselines and the window; Gaps has the gaps of the series,
	// and Errors the errors of sampling.
	Samples   []power.Sample
	Counters  []power.Reading
	Telemetry []power.Telemetry
	Gaps      []power.Gap
	Errors    []string
}

// LoadRun is what is known about a load beside the requests of the material. The kind of arrivals, the
// concurrency and the objective are in the experiment.
type LoadRun struct {
	// StartNS and EndNS enclose the load, in nanoseconds of CLOCK_MONOTONIC: from before the first arrival until the
	// last answer had come, or was given up.
	StartNS, EndNS int64
	// HorizonNS is when the last request was scheduled, or the arrivals ended; 0 takes the last scheduled request.
	HorizonNS int64
	// Search is the search that found the load; nil without one.
	Search *SearchRun
	// Trace is what the load takes from a trace; nil for others.
	Trace *trace.Summary
}

// SearchRun is what is known about a search for the highest load within the objective.
type SearchRun struct {
	// Over, Load, Lower, Upper, Resolved and Reason are as in [result.Search].
	Over         string
	Load         float64
	Lower, Upper *float64
	Resolved     bool
	Reason       string
	// Probes are the loads that were tried, in order, without the run's own.
	Probes []ProbeRun
}

// ProbeRun is one load of a search.
type ProbeRun struct {
	// Role and Load are as in [result.Probe].
	Role string
	Load float64
	// StartNS, EndNS and HorizonNS are as in [LoadRun].
	StartNS, EndNS, HorizonNS int64
	// Requests of the probe.
	Requests []backend.Request
}

// Engine is what the computation needs to know about the engine.
type Engine struct {
	// Tier is how well its steps are known.
	Tier backend.Tier
	// Device is the device that runs the model, as the engine names it, and GPUs are the UUIDs of the GPUs
	// that hold it, if known.
	Device string
	GPUs   []string
}

// Device is a metered device, with what was known about it before the run.
type Device struct {
	power.Device
	// Known is a bare idle power from before this run; nil if there is none.
	Known *result.Idle
	// Profile is the self-test's profile of the series' sensor, and SwingPct of the counter, in percent (see
	// [power.Profile]); nil if there is none.
	Profile  *power.SourceProfile
	SwingPct *float64
	// IdleLimitW exceeds the power of any idle card of the model, in watts; 0 if unknown.
	IdleLimitW float64
	// Others are processes on the device that do not belong to the run. WorkHidden reports whether the driver
	// hides which processes work there.
	Others     []result.Tenant
	WorkHidden bool
}

// OnGPU reports whether the engine runs its model on a GPU. The energy of GPUs is then counted, instead of
// the processor's. All code that needs to know calls this method.
func (e Engine) OnGPU() bool {
	return len(e.GPUs) > 0 || onGPU(e.Device)
}

// Counts reports whether a device runs the model, so that its energy is counted.
func (e Engine) Counts(d power.Device) bool {
	switch {
	case !e.OnGPU():
		return d.Kind == power.CPU || d.Kind == power.DRAM
	case d.Kind != power.GPU:
		return false
	case d.OverNetwork: // it may belong to another machine
		return slices.Contains(e.GPUs, d.UUID)
	}
	return d.UUID == "" || len(e.GPUs) == 0 || slices.Contains(e.GPUs, d.UUID)
}

// EngineOf describes an engine that has loaded its model.
func EngineOf(l backend.Loaded) Engine {
	e := Engine{Tier: cmp.Or(l.Tier, backend.TierExact), Device: l.Device, GPUs: l.DeviceUUIDs}
	if !l.SharedClock {
		e.Tier = backend.TierClient
	}
	return e
}

// SetTrace sets the sampled data.
func (m *Material) SetTrace(t power.Trace) {
	m.Samples, m.Counters, m.Telemetry, m.Gaps, m.Errors = t.Samples, t.Counters, t.Telemetry, t.Gaps, t.Errors
}

// SetDevices sets the metered devices; call it after the window and the trace are set. known has bare idle
// powers of earlier runs, and profiles the results of a self-test, both by device.
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

// stray is the distance from an interval, in nanoseconds, up to which samples and readings belong to it.
const stray = int64(2e9)

// between returns the samples of an interval and a little around it, so that the baseline's series does not
// look like a gap in the window's series.
func between(samples []power.Sample, w attribute.Window) []power.Sample {
	return slices.DeleteFunc(slices.Clone(samples), func(s power.Sample) bool {
		return s.MonoNS < w.Start-stray || s.MonoNS > w.End+stray
	})
}

// around returns the readings of an interval and a little around it.
func around(readings []power.Reading, w attribute.Window) []power.Reading {
	return slices.DeleteFunc(slices.Clone(readings), func(r power.Reading) bool {
		return r.AfterNS < w.Start-stray || r.BeforeNS > w.End+stray
	})
}

// Traces returns b appended to a.
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
	a.Cost = b.Cost // the cost of the window
	return a
}

// onGPU reports whether a device, as named by an engine with a loaded model, is a GPU: cuda, rocm, vulkan and
// so on.
func onGPU(device string) bool { return device != "" && !strings.HasPrefix(device, "cpu") }
