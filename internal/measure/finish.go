package measure

import (
	"fmt"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// finish joins what a run has collected.
func (r *run) finish(w *measured) {
	r.record.Window = &result.Window{Start: w.anchor.Time(w.window.Start), End: w.anchor.Time(w.window.End),
		Repeats: r.repeats, Round: r.round}
	r.record.Timing.WindowS = w.window.Duration().Seconds()
	r.record.Backend.StepClock = w.log.StepClock
	r.compute(w.log.Requests)
	r.checkStreams(w.log)
	r.harness(w)
	r.series = join.Compute(r.material(w), r.record, r.show)
	r.memory(w.log, w.window)
}

// describeBackend records the engine as it runs.
func (r *run) describeBackend() {
	l := r.loaded
	b := &r.record.Backend
	b.Version, b.Device, b.DType, b.Attention = l.Version, l.Device, l.DType, l.Attention
	b.Threads, b.GPUs, b.Versions, b.EngineRun = l.Threads, l.DeviceUUIDs, l.Versions, r.engine.runs
	b.Settings = l.Settings
	b.Tier = string(join.EngineOf(l).Tier)
}

// checkStreams says what a server's streams do not tell.
func (r *run) checkStreams(log *backend.Log) {
	if n := log.Reconnects; n > 0 {
		r.warn(note.Reconnects, fmt.Sprintf("%d connections to the server had to be made within the window: the time "+
			"for them is in TTFT", n))
	}
	if n := log.SharedStamps; n > 0 {
		r.warn(note.SharedStamps,
			fmt.Sprintf("%d tokens arrived together with the token before them: ITL is that of arrivals, and its "+
				"small percentiles are too low", n))
	}
}

// compute counts parameters and operations from the architecture.
func (r *run) compute(requests []backend.Request) {
	if r.resolved.ConfigErr != nil {
		r.record.Warn(note.FLOPsUnknown, "parameters and FLOPs are unknown: "+r.resolved.ConfigErr.Error())
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
