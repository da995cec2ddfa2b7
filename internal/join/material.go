package join

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/unit"
)

// Material is everything from which the numbers of a run are computed. All of it
// is on disk beside the result: [Read] brings it back.
type Material struct {
	Log   *backend.Log
	Trace power.Trace // of the baselines and of the window
	// Window holds the workload; Bare and Resident are the idle stretches before
	// the engine was started and with the model loaded. Empty ones were not
	// measured.
	Window, Bare, Resident attribute.Window
	Devices                []power.Device
	Missing                []power.Unavailable
	Tier                   backend.Tier
	// GPUs are the UUIDs of the devices that hold the model; OnGPU says that it
	// does not run on the processor.
	GPUs  []string
	OnGPU bool
	// Known holds, by device, a bare idle power that was measured before this run.
	Known map[string]result.Idle
	// Profiles are what a self-test knows, by device and source.
	Profiles map[string]*power.Profile
	// Given and Asked are prompt tokens given and output tokens asked for.
	Given, Asked int64
}

// OnGPU reports whether an engine runs its model on a GPU, whose energy is then booked.
// Everything that needs to know asks here.
func OnGPU(l backend.Loaded) bool {
	return len(l.DeviceUUIDs) > 0 || strings.HasPrefix(l.Device, "cuda") || strings.HasPrefix(l.Device, "rocm")
}

// samples are those of one device.
func (m *Material) samples(device string) []power.Sample {
	var out []power.Sample
	for _, s := range m.Trace.Samples {
		if s.Device == device {
			out = append(out, s)
		}
	}
	return out
}

// readings are those of one device's counter.
func (m *Material) readings(device string) []power.Reading {
	var out []power.Reading
	for _, r := range m.Trace.Counters {
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

// Read reads the material of a run from its folder.
func Read(dir string, rec *result.Record) (*Material, error) {
	if rec.Window == nil {
		return nil, errors.New("the run has no measured window")
	}
	m := &Material{
		Log:      &backend.Log{StepClock: rec.Backend.StepClock, MemorySource: rec.Memory.PeakSource},
		Window:   attribute.Window{Start: rec.Window.StartMonoNS, End: rec.Window.EndMonoNS},
		Bare:     attribute.Window{Start: rec.Timing.BaselineStartMonoNS, End: rec.Timing.BaselineEndMonoNS},
		Resident: attribute.Window{Start: rec.Timing.ResidentStartMonoNS, End: rec.Timing.ResidentEndMonoNS},
		Tier:     backend.Tier(rec.Backend.Tier), GPUs: rec.Backend.GPUs, OnGPU: rec.Energy.Scope == "gpu",
		Known: map[string]result.Idle{}, Profiles: map[string]*power.Profile{},
	}
	if p := rec.Memory.PeakBytes; p != nil {
		m.Log.PeakMemoryBytes = *p
	}
	if t := rec.Tokens; t != nil {
		m.Given, m.Asked = t.Given, t.Asked
	}
	for _, u := range rec.Energy.Missing {
		m.Missing = append(m.Missing, power.Unavailable{Source: u.Source, Reason: u.Reason, Fix: u.Fix})
	}
	for _, d := range rec.Energy.Devices {
		m.Devices = append(m.Devices,
			power.Device{ID: d.Device, Kind: power.Kind(d.Kind), Name: d.Name, UUID: d.UUID, Modelled: d.Modelled,
				Scope: d.Scope, OverNetwork: d.OverNetwork})
		if d.Bare != nil && d.Bare.AgeS > 0 {
			m.Known[d.Device] = *d.Bare
		}
		if d.Profile != nil || d.SwingPct != nil {
			p := &power.Profile{Device: d.Device, SwingPct: d.SwingPct}
			if d.Profile != nil {
				p.Sources = []power.SourceProfile{*d.Profile}
			}
			m.Profiles[d.Device] = p
		}
	}
	if h := rec.Harness; h != nil {
		m.Trace.Errors = h.Errors
		for _, g := range h.Gaps {
			m.Trace.Gaps = append(m.Trace.Gaps, power.Gap(g))
		}
	}
	return m, m.readSeries(dir, rec.Files)
}

// readSeries reads the Parquet files that the record names.
func (m *Material) readSeries(dir string, files map[string]string) error {
	powerRows, err1 := rowsOf[result.PowerRow](dir, files["power"])
	counters, err2 := rowsOf[result.CounterRow](dir, files["counters"])
	telemetry, err3 := rowsOf[result.TelemetryRow](dir, files["telemetry"])
	requests, err4 := rowsOf[result.RequestRow](dir, files["requests"])
	steps, err5 := rowsOf[result.StepRow](dir, files["steps"])
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	for _, p := range powerRows {
		m.Trace.Samples = append(m.Trace.Samples,
			power.Sample{MonoNS: p.MonoNS, UnixNS: p.UnixNS, Device: p.Device, Source: p.Source,
				Power: unit.Watts(p.PowerW), Window: fromMilliseconds(p.WindowMS), SinceNS: p.SinceNS})
	}
	for _, c := range counters {
		m.Trace.Counters = append(m.Trace.Counters,
			power.Reading{Device: c.Device, Source: c.Source, BeforeNS: c.BeforeNS, AfterNS: c.AfterNS,
				Energy: unit.Energy(c.EnergyUJ), Snapped: c.Snapped, Refresh: durationNS(c.RefreshNS),
				SinceNS: c.SinceNS})
	}
	for _, t := range telemetry {
		m.Trace.Telemetry = append(m.Trace.Telemetry, power.Telemetry(t))
	}
	for _, q := range requests {
		m.Log.Requests = append(m.Log.Requests,
			backend.Request{ID: int(q.ID), SubmittedNS: q.SubmittedNS, PrefillStartNS: q.PrefillStartNS,
				FirstTokenNS: q.FirstTokenNS, EndNS: q.EndNS, TokenNS: q.TokenNS, PromptTokens: int(q.PromptTokens),
				PromptComputed: int(q.PromptComputed), OutputTokens: int(q.OutputTokens),
				FinishReason: q.FinishReason, OK: q.OK, Failure: q.Failure})
	}
	for _, s := range steps {
		m.Log.Steps = append(m.Log.Steps,
			backend.Step{StartNS: s.StartNS, EndNS: s.EndNS, PrefillTokens: int(s.PrefillTokens),
				DecodeTokens: int(s.DecodeTokens), Sequences: int(s.Sequences), ContextTokens: s.ContextTokens})
	}
	return nil
}

func rowsOf[T any](dir, file string) ([]T, error) {
	if file == "" {
		return nil, nil
	}
	rows, err := result.ReadRows[T](filepath.Join(dir, file))
	if err != nil {
		return nil, fmt.Errorf("recompute: %w", err)
	}
	return rows, nil
}
