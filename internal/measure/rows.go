package measure

import (
	"slices"

	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// rows turns the raw material into the rows of the series files. Everything that
// was sampled is kept: the baseline, the window, and the edges around it.
func rows(m material, idle []power.Sample, task map[int]string) result.Series {
	var s result.Series
	for _, p := range slices.Concat(idle, m.trace.Samples) {
		s.Power = append(s.Power, result.PowerRow{MonoNS: p.MonoNS, UnixNS: p.UnixNS, Device: p.Device, Source: p.Source,
			PowerW: float64(p.Power), WindowMS: milliseconds(p.Window)})
	}
	for _, t := range m.trace.Telemetry {
		s.Telemetry = append(s.Telemetry, result.TelemetryRow{MonoNS: t.MonoNS, Device: t.Device, TemperatureC: t.TemperatureC,
			SMClockMHz: t.SMClockMHz, MemClockMHz: t.MemClockMHz, UtilizationPct: t.UtilizationPct,
			MemoryUsedBytes: t.MemoryUsedBytes, Throttle: t.Throttle})
	}
	for _, c := range m.trace.Counters {
		s.Counters = append(s.Counters, result.CounterRow{SinceNS: c.SinceNS, RefreshNS: int64(c.Refresh), BeforeNS: c.BeforeNS, AfterNS: c.AfterNS, Device: c.Device,
			Source: c.Source, EnergyUJ: int64(c.Energy), Snapped: c.Snapped})
	}
	for _, q := range m.log.Requests {
		s.Requests = append(s.Requests, result.RequestRow{ID: int64(q.ID), Task: task[q.ID], SubmittedNS: q.SubmittedNS,
			PrefillStartNS: q.PrefillStartNS, FirstTokenNS: q.FirstTokenNS, EndNS: q.EndNS, TokenNS: q.TokenNS,
			PromptTokens: int64(q.PromptTokens), PromptComputed: int64(q.PromptComputed), OutputTokens: int64(q.OutputTokens),
			FinishReason: q.FinishReason, OK: q.OK, Failure: q.Failure})
	}
	for _, t := range m.log.Steps {
		s.Steps = append(s.Steps, result.StepRow{StartNS: t.StartNS, EndNS: t.EndNS, PrefillTokens: int64(t.PrefillTokens),
			DecodeTokens: int64(t.DecodeTokens), Sequences: int64(t.Sequences), ContextTokens: t.ContextTokens})
	}
	return s
}
