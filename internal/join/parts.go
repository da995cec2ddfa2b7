package join

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/latencies"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/unit"
)

// part is a part of the material: how it is stored in the record and in the rows of the series files, and how
// it is loaded.
type part struct {
	store, load func(*Material, *result.Record, *series.All)
}

// parts covers all of the material. A missing field would be lost on disk and recomputed numbers would
// differ: TestEveryFieldIsCarried finds it.
var parts = []part{
	{storeWindow, loadWindow},
	{StoreIdle, loadIdle},
	{storeEngine, loadEngine},
	{storeTokens, loadTokens},
	{storeDevices, loadDevices},
	{storeMissing, loadMissing},
	{storeTroubles, loadTroubles},
	listOf(func(m *Material) *[]power.Sample { return &m.Samples },
		func(s *series.All) *[]series.Power { return &s.Power }, packSample, unpackSample),
	listOf(func(m *Material) *[]power.Reading { return &m.Counters },
		func(s *series.All) *[]series.Counter { return &s.Counters }, packReading, unpackReading),
	listOf(func(m *Material) *[]power.Telemetry { return &m.Telemetry },
		func(s *series.All) *[]series.Telemetry { return &s.Telemetry },
		func(t power.Telemetry) series.Telemetry { return series.Telemetry(t) },
		func(t series.Telemetry) power.Telemetry { return power.Telemetry(t) }),
	listOf(func(m *Material) *[]backend.Step { return &m.Steps },
		func(s *series.All) *[]series.Step { return &s.Steps }, packStep, unpackStep),
	listOf(func(m *Material) *[]backend.Request { return &m.Requests },
		func(s *series.All) *[]series.Request { return &s.Requests }, packRequest, latencies.Unpack),
	{storeTasks, loadTasks}, // after the requests
	{storeLoad, loadLoad},   // after the tasks
}

// store writes the material to a record and returns the rows of its series.
func (m *Material) store(rec *result.Record) series.All {
	var s series.All
	for _, p := range parts {
		p.store(m, rec, &s)
	}
	return s
}

// Rows returns only the rows of the series files, for a run without numbers. It keeps all samples: the
// baselines, the window, and the edges around it.
func Rows(m *Material) series.All { return m.store(&result.Record{}) }

// Read reads the material of a run from its folder, and the recorded rows.
func Read(dir string, rec *result.Record) (*Material, series.All, error) {
	if rec.Window == nil {
		return nil, series.All{}, errors.New("the run has no measured window")
	}
	s, err := series.Read(dir, rec.Files)
	if err != nil {
		return nil, s, fmt.Errorf("recompute: %w", err)
	}
	return restore(rec, s), s, nil
}

func restore(rec *result.Record, s series.All) *Material {
	m := &Material{}
	for _, p := range parts {
		p.load(m, rec, &s)
	}
	return m
}

// listOf returns the part that is a list in one file.
func listOf[T, R any](of func(*Material) *[]T, rows func(*series.All) *[]R, pack func(T) R,
	unpack func(R) T) part {
	return part{
		store: func(m *Material, _ *result.Record, s *series.All) { *rows(s) = each(*of(m), pack) },
		load:  func(m *Material, _ *result.Record, s *series.All) { *of(m) = each(*rows(s), unpack) },
	}
}

// each converts a list; an empty list becomes nil.
func each[T, R any](list []T, convert func(T) R) []R {
	var out []R
	for _, v := range list {
		out = append(out, convert(v))
	}
	return out
}

func storeWindow(m *Material, rec *result.Record, _ *series.All) {
	if rec.Window == nil {
		rec.Window = &result.Window{Repeats: 1}
	}
	rec.Window.StartMonoNS, rec.Window.EndMonoNS = m.Window.Start, m.Window.End
	rec.Window.PhasesTakeS = m.PhasesTakeS
}

func loadWindow(m *Material, rec *result.Record, _ *series.All) {
	m.Window = attribute.Window{Start: rec.Window.StartMonoNS, End: rec.Window.EndMonoNS}
	m.PhasesTakeS = rec.Window.PhasesTakeS
}

// StoreIdle writes the idle intervals to a record, also for a run that fails later. The series is not used.
func StoreIdle(m *Material, rec *result.Record, _ *series.All) {
	t := &rec.Timing
	t.BaselineStartMonoNS, t.BaselineEndMonoNS = m.Bare.Start, m.Bare.End
	t.ResidentStartMonoNS, t.ResidentEndMonoNS = m.Resident.Start, m.Resident.End
}

func loadIdle(m *Material, rec *result.Record, _ *series.All) {
	t := rec.Timing
	m.Bare = attribute.Window{Start: t.BaselineStartMonoNS, End: t.BaselineEndMonoNS}
	m.Resident = attribute.Window{Start: t.ResidentStartMonoNS, End: t.ResidentEndMonoNS}
}

func storeEngine(m *Material, rec *result.Record, _ *series.All) {
	rec.Backend.Tier, rec.Backend.Device, rec.Backend.GPUs = string(m.Engine.Tier), m.Engine.Device, m.Engine.GPUs
}

func loadEngine(m *Material, rec *result.Record, _ *series.All) {
	m.Engine = Engine{Tier: backend.Tier(rec.Backend.Tier), Device: rec.Backend.Device, GPUs: rec.Backend.GPUs}
}

func storeTokens(m *Material, rec *result.Record, _ *series.All) {
	rec.Tokens = &result.Tokens{Given: m.Given, Asked: m.Asked, OutputHash: m.OutputHash}
}

func loadTokens(m *Material, rec *result.Record, _ *series.All) {
	if t := rec.Tokens; t != nil {
		m.Given, m.Asked, m.OutputHash = t.Given, t.Asked, t.OutputHash
	}
}

func storeDevices(m *Material, rec *result.Record, _ *series.All) {
	rec.Energy.Devices = []result.Device{}
	for _, d := range m.Devices {
		rec.Energy.Devices = append(rec.Energy.Devices, result.Device{Device: d.ID, Kind: string(d.Kind), Name: d.Name,
			UUID: d.UUID, Modelled: d.Modelled, Scope: d.Scope, OverNetwork: d.OverNetwork, Bare: d.Known,
			Profile: d.Profile, SwingPct: d.SwingPct, IdleLimitW: d.IdleLimitW, Others: d.Others,
			WorkHidden: d.WorkHidden})
	}
}

func loadDevices(m *Material, rec *result.Record, _ *series.All) {
	for _, r := range rec.Energy.Devices {
		d := Device{Device: power.Device{ID: r.Device, Kind: power.Kind(r.Kind), Name: r.Name, UUID: r.UUID,
			Modelled: r.Modelled, Scope: r.Scope, OverNetwork: r.OverNetwork}, Profile: r.Profile,
			SwingPct: r.SwingPct, IdleLimitW: r.IdleLimitW,
			Others: r.Others, WorkHidden: r.WorkHidden}
		if r.Bare != nil && r.Bare.AgeS > 0 { // otherwise it was measured in this run
			d.Known = r.Bare
		}
		m.Devices = append(m.Devices, d)
	}
}

func storeMissing(m *Material, rec *result.Record, _ *series.All) {
	rec.Energy.Missing = slices.Clone(m.Missing)
}

func loadMissing(m *Material, rec *result.Record, _ *series.All) {
	m.Missing = slices.Clone(rec.Energy.Missing)
}

// storeTroubles writes the errors of sampling.
func storeTroubles(m *Material, rec *result.Record, _ *series.All) {
	if rec.Harness == nil {
		if len(m.Errors)+len(m.Gaps) == 0 {
			return
		}
		rec.Harness = &result.Harness{}
	}
	h := rec.Harness
	h.Errors = append([]string{}, m.Errors...)
	h.Gaps = append([]result.Gap{}, each(m.Gaps, func(g power.Gap) result.Gap { return result.Gap(g) })...)
}

func loadTroubles(m *Material, rec *result.Record, _ *series.All) {
	if h := rec.Harness; h != nil {
		m.Errors = h.Errors
		m.Gaps = each(h.Gaps, func(g result.Gap) power.Gap { return power.Gap(g) })
	}
}

func storeTasks(m *Material, _ *result.Record, s *series.All) {
	for i := range s.Requests {
		s.Requests[i].Task = m.Tasks[m.Requests[i].ID]
	}
}

func loadTasks(m *Material, _ *result.Record, s *series.All) {
	m.Tasks = map[int]string{}
	for _, q := range series.Own(s.Requests) {
		m.Tasks[int(q.ID)] = q.Task
	}
}

func packSample(p power.Sample) series.Power {
	return series.Power{MonoNS: p.MonoNS, UnixNS: p.UnixNS, Device: p.Device, Source: p.Source,
		PowerW: float64(p.Power), WindowMS: milliseconds(p.Window), SinceNS: p.SinceNS}
}

func unpackSample(p series.Power) power.Sample {
	return power.Sample{MonoNS: p.MonoNS, UnixNS: p.UnixNS, Device: p.Device, Source: p.Source,
		Power: unit.Watts(p.PowerW), Window: fromMilliseconds(p.WindowMS), SinceNS: p.SinceNS}
}

func packReading(c power.Reading) series.Counter {
	return series.Counter{SinceNS: c.SinceNS, RefreshNS: int64(c.Refresh), BeforeNS: c.BeforeNS,
		AfterNS: c.AfterNS, Device: c.Device, Source: c.Source, EnergyUJ: int64(c.Energy), Snapped: c.Snapped}
}

func unpackReading(c series.Counter) power.Reading {
	return power.Reading{Device: c.Device, Source: c.Source, BeforeNS: c.BeforeNS, AfterNS: c.AfterNS,
		Energy: unit.Energy(c.EnergyUJ), Snapped: c.Snapped, Refresh: time.Duration(c.RefreshNS), SinceNS: c.SinceNS}
}

func packStep(t backend.Step) series.Step {
	return series.Step{StartNS: t.StartNS, EndNS: t.EndNS, PrefillTokens: int64(t.PrefillTokens),
		DecodeTokens: int64(t.DecodeTokens), Sequences: int64(t.Sequences), ContextTokens: t.ContextTokens}
}

func unpackStep(s series.Step) backend.Step {
	return backend.Step{StartNS: s.StartNS, EndNS: s.EndNS, PrefillTokens: int(s.PrefillTokens),
		DecodeTokens: int(s.DecodeTokens), Sequences: int(s.Sequences), ContextTokens: s.ContextTokens}
}

func packRequest(q backend.Request) series.Request {
	return series.Request{ID: int64(q.ID), ArrivedNS: knownStamp(q.ArrivedNS), StartedNS: knownStamp(q.StartedNS),
		SubmittedNS: q.SubmittedNS, PrefillStartNS: q.PrefillStartNS,
		FirstTokenNS: q.FirstTokenNS, EndNS: q.EndNS, TokenNS: q.TokenNS, PromptTokens: int64(q.PromptTokens),
		PromptComputed: int64(q.PromptComputed), OutputTokens: int64(q.OutputTokens),
		FinishReason: q.FinishReason, OK: q.OK, Failure: q.Failure, WrittenNS: knownStamp(q.WrittenNS),
		FirstByteNS: knownStamp(q.FirstByteNS), DoneNS: knownStamp(q.DoneNS), Capped: q.Capped, Cut: q.Cut}
}

// knownStamp returns a stamp of a request, or nil if there is none.
func knownStamp(ns int64) *int64 {
	if ns == 0 {
		return nil
	}
	return &ns
}

// shareOut writes the requests' shares of the phases to their rows.
func shareOut(rows []series.Request, shares []attribute.Shares) {
	for i := range min(len(rows), len(shares)) {
		rows[i].PrefillJ, rows[i].DecodeJ = known(shares[i].Prefill), known(shares[i].Decode)
	}
}

// known returns a pointer to a number, or nil if there is none.
func known(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func fromMilliseconds(ms float64) time.Duration {
	return time.Duration(math.Round(ms * float64(time.Millisecond)))
}
