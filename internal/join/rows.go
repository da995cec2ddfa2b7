package join

import (
	"math"
	"time"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/result"
)

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func fromMilliseconds(ms float64) time.Duration {
	return time.Duration(math.Round(ms * float64(time.Millisecond)))
}

func durationNS(ns int64) time.Duration { return time.Duration(ns) }

// Rows turns the material into the rows of the series files. Everything that was
// sampled is kept: the baselines, the window, and the edges around it.
func Rows(m *Material, shares []attribute.Shares, task map[int]string) result.Series {
	var s result.Series
	for _, p := range m.Trace.Samples {
		s.Power = append(s.Power,
			result.PowerRow{MonoNS: p.MonoNS, UnixNS: p.UnixNS, Device: p.Device, Source: p.Source,
				PowerW: float64(p.Power), WindowMS: milliseconds(p.Window), SinceNS: p.SinceNS})
	}
	for _, t := range m.Trace.Telemetry {
		s.Telemetry = append(s.Telemetry, result.TelemetryRow(t))
	}
	for _, c := range m.Trace.Counters {
		s.Counters = append(s.Counters,
			result.CounterRow{SinceNS: c.SinceNS, RefreshNS: int64(c.Refresh), BeforeNS: c.BeforeNS,
				AfterNS: c.AfterNS, Device: c.Device,
				Source: c.Source, EnergyUJ: int64(c.Energy), Snapped: c.Snapped})
	}
	for i, q := range m.Log.Requests {
		row := result.RequestRow{ID: int64(q.ID), Task: task[q.ID], SubmittedNS: q.SubmittedNS,
			PrefillStartNS: q.PrefillStartNS, FirstTokenNS: q.FirstTokenNS, EndNS: q.EndNS, TokenNS: q.TokenNS,
			PromptTokens: int64(q.PromptTokens), PromptComputed: int64(q.PromptComputed),
			OutputTokens: int64(q.OutputTokens),
			FinishReason: q.FinishReason, OK: q.OK, Failure: q.Failure}
		if shares != nil {
			row.PrefillJ, row.DecodeJ = known(shares[i].Prefill), known(shares[i].Decode)
		}
		s.Requests = append(s.Requests, row)
	}
	for _, t := range m.Log.Steps {
		s.Steps = append(s.Steps,
			result.StepRow{StartNS: t.StartNS, EndNS: t.EndNS, PrefillTokens: int64(t.PrefillTokens),
				DecodeTokens: int64(t.DecodeTokens), Sequences: int64(t.Sequences), ContextTokens: t.ContextTokens})
	}
	return s
}

// known is a pointer to a number, or nil where there is none.
func known(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}
