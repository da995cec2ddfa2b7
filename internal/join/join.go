package measure

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/stats"
)

// join turns material into the numbers of a record. It reads nothing else, so that
// the same numbers come out of the files later.
type join struct {
	*Material
	record *result.Record
	// say, if set, also receives warnings at once.
	say func(code, message string)
	// shares are the requests' parts of the phases; nil without a split.
	shares []attribute.Shares
}

// note is a warning of the record that the user also sees at once.
func (j *join) note(code, message string) {
	j.record.Warn(code, message)
	if j.say != nil {
		j.say(code, message)
	}
}

// compute fills everything that follows from the material.
func (j *join) compute() {
	seconds := j.Window.Duration().Seconds()
	j.record.Window.DurationS = seconds
	tokens := countTokens(j.Log.Requests)
	tokens.Given, tokens.Asked = j.Given, j.Asked
	j.record.Tokens = &tokens
	j.record.Latency = latency(j.Log.Requests)
	j.record.Throughput = &result.Throughput{
		OutputTokensPerS: float64(tokens.Output) / seconds,
		TotalTokensPerS:  float64(tokens.Prompt+tokens.Output) / seconds,
		RequestsPerS:     float64(tokens.RequestsOK) / seconds,
	}
	j.checkWork(tokens)
	if c := j.record.Compute; c != nil {
		c.FLOPsPerS = c.FLOPs / seconds
	}
	j.energy(tokens)
	j.telemetryWarnings()
}

// finish joins what a run has collected.
func (r *run) finish(m *Material, anchor clock.Anchor) {
	r.record.Window = &result.Window{
		Start: anchor.Time(m.Window.Start), End: anchor.Time(m.Window.End),
		StartMonoNS: m.Window.Start, EndMonoNS: m.Window.End, Repeats: r.repeats, Round: r.round,
	}
	r.record.Timing.WindowS = m.Window.Duration().Seconds()
	r.record.Backend.StepClock = m.Log.StepClock
	r.compute(m.Log.Requests)
	r.checkStreams(m.Log)
	r.harness(m, anchor)
	j := &join{Material: m, record: r.record, say: r.tell}
	j.compute()
	r.memory(m.Log, m.Window)
	r.series = rows(m, j.shares, r.taskOf())
}

// describeBackend records the engine as it runs.
func (r *run) describeBackend() {
	l := r.loaded
	b := &r.record.Backend
	b.Version, b.Device, b.DType, b.Attention = l.Version, l.Device, l.DType, l.Attention
	b.Threads, b.GPUs, b.Versions, b.EngineRun = l.Threads, l.DeviceUUIDs, l.Versions, r.engine.runs
	b.Settings = l.Settings
	b.Tier = string(cmp.Or(l.Tier, backend.TierExact))
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
func (j *join) checkWork(tokens result.Tokens) {
	switch {
	case tokens.RequestsFailed > 0:
		j.note(result.WarnRequestsFailed,
			fmt.Sprintf("%d of %d requests failed; their energy is in the total, their tokens are not: the run is "+
				"not compared with others",
				tokens.RequestsFailed, len(j.Log.Requests)))
	case tokens.Prompt != j.Given || tokens.PromptComputed != j.Given || tokens.Output != j.Asked:
		j.note(result.WarnUnequalWork,
			fmt.Sprintf("the engine computed %d prompt and %d output tokens, it was given %d and asked for %d: "+
				"the run is not compared with others",
				tokens.PromptComputed, tokens.Output, j.Given, j.Asked))
	default:
		if n := j.uneven(); n > 0 {
			j.note(result.WarnUnequalWork,
				fmt.Sprintf("%d of %d requests got more or fewer tokens than they asked for, though the sums are "+
					"right: the run is not compared with others",
					n, len(j.Log.Requests)))
		}
	}
}

// uneven counts requests whose work is not what was asked for. All ask for the same
// number of output tokens.
func (j *join) uneven() (n int) {
	each := j.Asked / int64(max(1, len(j.Log.Requests)))
	for _, q := range j.Log.Requests {
		if int64(q.OutputTokens) != each || q.PromptComputed != q.PromptTokens {
			n++
		}
	}
	return n
}

// checkStreams says what a server's streams do not tell.
func (r *run) checkStreams(log *backend.Log) {
	if n := log.Reconnects; n > 0 {
		r.note("reconnects", fmt.Sprintf("%d connections to the server had to be made within the window: the time "+
			"for them is in TTFT", n))
	}
	if n := log.SharedStamps; n > 0 {
		r.note("shared_stamps",
			fmt.Sprintf("%d tokens arrived together with the token before them: ITL is that of arrivals, and its "+
				"small percentiles are too low", n))
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
	return &result.Latency{TTFT: distribution(ttft), ITL: distribution(itl), TPOT: distribution(tpot),
		E2E: distribution(e2e)}
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
func (r *run) compute(requests []backend.Request) {
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
		FLOPs: f.Total(), FLOPsPrefill: f.Prefill, FLOPsDecode: f.Decode,
	}
}

// taskOf maps request ids to the kind of task.
func (r *run) taskOf() map[int]string {
	out := make(map[int]string, len(r.requests))
	for i := range max(1, r.repeats) {
		for _, q := range r.requests {
			out[q.ID+i*r.stride()] = q.Task
		}
	}
	return out
}
