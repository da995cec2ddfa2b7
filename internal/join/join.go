// Package join computes the numbers of a run's record from the raw material, and recomputes them from the
// files beside the record.
//
//	request log, step log ─┐
//	power series, counters ┼─ Material ── Compute ──▶ result.Record + series.All
//	baselines, devices ────┘      ▲                              │
//	                              └────────── Read ──────────────┘
//
// The computation is a pure function of the material: it uses no process, sensor or clock, and writes
// nothing. [Recompute] reads a run from its folder, recomputes its numbers and compares them with the record.
package join

import (
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/atload"
	"github.com/llenergymeasure/llem/internal/latencies"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// Compute fills in everything of a record that follows from the material, and returns the rows of the series
// files. The record already has the rest: the configuration, the operations of the model, the processor time
// of the program. show, if not nil, also receives the warnings that a user should see at once.
func Compute(m *Material, rec *result.Record, show func(code note.Code, message string)) series.All {
	latencies.Stamp(m.Requests, rec, m.Engine.Tier == backend.TierExact)
	loads := m.loads(rec)
	s := m.store(rec)
	j := &join{Material: m, record: rec, show: show, loads: loads}
	j.compute()
	shareOut(s.Requests, j.shares)
	j.mark(s.Requests)
	return s
}

// compute fills in everything that follows from the material.
func (j *join) compute() {
	seconds := j.Window.Duration().Seconds()
	j.record.Window.DurationS = seconds
	if j.Load != nil {
		j.tellLoad()
	} else {
		countTokens(j.record.Tokens, j.Requests)
	}
	if j.metered() {
		countSteps(j.record.Tokens, j.Steps)
	}
	tokens := *j.record.Tokens
	j.record.Latency = j.latencyOf(j.steady())
	j.record.Latency.Excluded = j.firstUsed
	if l := j.record.Load; l != nil && l.Saturated {
		j.record.Latency = &result.Latency{Reason: atload.SaturatedReason}
	}
	if j.metered() {
		j.record.Latency.Reason = "a metered window has no requests"
	}
	if !j.metered() || tokens.Prompt+tokens.Output > 0 {
		j.record.Throughput = &result.Throughput{
			OutputTokensPerS: float64(tokens.Output) / seconds,
			TotalTokensPerS:  float64(tokens.Prompt+tokens.Output) / seconds,
			RequestsPerS:     float64(tokens.RequestsOK) / seconds,
		}
	}
	if j.Load != nil {
		atload.Each(j.record, j.gpus())
		atload.Doubts(j.record.Load, j.medianTTFT(), j.warn)
		j.loads[len(j.loads)-1].Stalled(j.warn)
		j.checkLoad()
	} else {
		j.checkWork(tokens)
	}
	if c := j.record.Compute; c != nil {
		c.FLOPsPerS = c.FLOPs / seconds
	}
	j.energy(tokens)
	if j.Load != nil {
		j.loadEnergy()
	}
	j.telemetryWarnings()
	j.state()
	j.hostWork()
}
