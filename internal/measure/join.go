package measure

import (
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/stats"
)

// join computes the record from the raw material and keeps the material as
// series.
func (r *run) join(m material) {
	seconds := m.window.Duration().Seconds()
	r.record.Window = &result.Window{
		Start: m.anchor.Time(m.window.Start), End: m.anchor.Time(m.window.End),
		StartMonoNS: m.window.Start, EndMonoNS: m.window.End, DurationS: seconds,
	}
	r.record.Timing.WindowS = seconds
	r.record.Backend.StepClock = m.log.StepClock
	tokens := countTokens(m.log.Requests)
	r.record.Tokens = &tokens
	r.record.Latency = latency(m.log.Requests)
	r.record.Throughput = &result.Throughput{
		OutputTokensPerS: float64(tokens.Output) / seconds,
		TotalTokensPerS:  float64(tokens.Prompt+tokens.Output) / seconds,
		RequestsPerS:     float64(tokens.RequestsOK) / seconds,
	}
	r.checkWork(m.log, tokens)
	r.compute(m.log.Requests, seconds)
	r.memory(m.log)
	r.energy(m, tokens)
	r.record.Harness = &result.Harness{
		SamplerCPUPct: 100 * m.trace.Cost.Share(), SamplerPolls: m.trace.Cost.Polls, ClockSlackNS: m.anchor.SlackNS,
	}
	r.telemetryWarnings(m)
	r.series = rows(m, r.idleSamples, r.taskOf())
}

// describeBackend records the engine as it runs.
func (r *run) describeBackend() {
	l := r.loaded
	b := &r.record.Backend
	b.Version, b.Device, b.DType, b.Attention = l.Version, l.Device, l.DType, l.Attention
	b.Threads, b.GPUs, b.Versions = l.Threads, l.DeviceUUIDs, l.Versions
	b.Tier = string(backend.TierExact)
	if !l.SharedClock {
		b.Tier = string(backend.TierClient)
	}
}

// countTokens adds up the requests; output tokens of failed requests do not count.
func countTokens(requests []backend.Request) result.Tokens {
	var t result.Tokens
	for _, q := range requests {
		if !q.OK {
			t.RequestsFailed++
			continue
		}
		t.RequestsOK++
		t.Prompt += int64(q.PromptTokens)
		t.PromptComputed += int64(q.PromptComputed)
		t.Output += int64(q.OutputTokens)
	}
	return t
}

// checkWork compares what the engine did with what it was given.
func (r *run) checkWork(log *backend.Log, tokens result.Tokens) {
	var prompt, output int64
	for _, q := range r.requests {
		prompt += int64(len(q.Tokens))
		output += int64(r.Experiment.Workload.OutputTokens)
	}
	switch {
	case tokens.RequestsFailed > 0:
		r.note("requests_failed", fmt.Sprintf("%d of %d requests failed; their energy is in the total, their tokens are not",
			tokens.RequestsFailed, len(log.Requests)))
	case tokens.Prompt != prompt || tokens.PromptComputed != prompt || tokens.Output != output:
		r.note("unequal_work", fmt.Sprintf("the engine computed %d prompt and %d output tokens, it was given %d and asked for %d",
			tokens.PromptComputed, tokens.Output, prompt, output))
	}
}

const millisecond = float64(time.Millisecond)

// latency summarises the successful requests. TPOT needs two tokens.
func latency(requests []backend.Request) *result.Latency {
	var ttft, itl, tpot, e2e []float64
	for _, q := range requests {
		if !q.OK {
			continue
		}
		first, whole := float64(q.FirstTokenNS-q.SubmittedNS), float64(q.EndNS-q.SubmittedNS)
		ttft = append(ttft, first/millisecond)
		e2e = append(e2e, whole/millisecond)
		if n := q.OutputTokens; n > 1 {
			tpot = append(tpot, (whole-first)/float64(n-1)/millisecond)
		}
		for i := 1; i < len(q.TokenNS); i++ {
			itl = append(itl, float64(q.TokenNS[i]-q.TokenNS[i-1])/millisecond)
		}
	}
	return &result.Latency{TTFT: distribution(ttft), ITL: distribution(itl), TPOT: distribution(tpot), E2E: distribution(e2e)}
}

func distribution(values []float64) *result.Distribution {
	s, ok := stats.Summarize(values)
	if !ok {
		return nil
	}
	d := &result.Distribution{N: s.N, Mean: s.Mean, Min: s.Min, Max: s.Max,
		P50: s.Percentile(50), P90: s.Percentile(90), P95: s.Percentile(95), P99: s.Percentile(99)}
	if !math.IsNaN(s.SD) {
		d.SD = &s.SD
	}
	return d
}

// compute counts parameters and operations from the architecture.
func (r *run) compute(requests []backend.Request, seconds float64) {
	if r.resolved.ConfigErr != nil {
		r.record.Warn("flops_unknown", "parameters and FLOPs are unknown: "+r.resolved.ConfigErr.Error())
		return
	}
	var lengths []model.Length
	for _, q := range requests {
		if q.OK {
			lengths = append(lengths, model.Length{Prompt: q.PromptTokens, Output: q.OutputTokens})
		}
	}
	p, f := r.resolved.Config.Parameters(), r.resolved.Config.FLOPs(lengths)
	r.record.Compute = &result.Compute{
		Parameters: p.Total, NonEmbedding: p.NonEmbedding, Active: p.Active,
		FLOPs: f.Total(), FLOPsPrefill: f.Prefill, FLOPsDecode: f.Decode, FLOPsPerS: f.Total() / seconds,
	}
}

// memory records the engine's peak beside the estimate from the shape.
func (r *run) memory(log *backend.Log) {
	if log.PeakMemoryBytes > 0 {
		r.record.Memory.PeakBytes, r.record.Memory.PeakSource = &log.PeakMemoryBytes, log.MemorySource
	}
	if r.resolved.ConfigErr == nil {
		w := r.Experiment.Workload
		weights, kv := r.resolved.Config.EstimateBytes(r.dtype(), r.Experiment.BatchSize(), w.InputTokens+w.OutputTokens)
		if sum := weights + kv; weights > 0 {
			r.record.Memory.EstimatedBytes = &sum
		}
	}
}

// taskOf maps request ids to the kind of task.
func (r *run) taskOf() map[int]string {
	out := make(map[int]string, len(r.requests))
	for _, q := range r.requests {
		out[q.ID] = q.Task
	}
	return out
}
