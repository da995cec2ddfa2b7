package measure

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/study"
)

// work is what the engine is given in the window: requests, once or several times over.
type work struct {
	requests []workload.Request
	// outputTokens are asked of each request, and concurrency is how many are sent at
	// once; 0 is all.
	outputTokens, concurrency int
	// batch is the most requests that are processed together: all of them where the
	// engine decides.
	batch int
}

func newWork(e study.Experiment, requests []workload.Request) work {
	w := work{requests: requests, outputTokens: e.Workload.OutputTokens,
		concurrency: min(e.Workload.Concurrency, len(requests)), batch: len(requests)}
	if n := e.BatchSize(); n > 0 {
		w.batch = min(n, len(requests))
	}
	return w
}

// repeated makes the engine's workload of all requests, several times over. Each time is
// a round of its own, so that no more requests are under way than in one; a closed loop
// does not stop between them, and has no more under way either.
func (w work) repeated(times int) backend.Workload { return w.of(w.requests, times) }

func (w work) of(requests []workload.Request, times int) backend.Workload {
	prompts := make([]backend.Prompt, 0, len(requests)*times)
	for i := range times {
		for _, q := range requests {
			prompts = append(prompts, backend.Prompt{ID: q.ID + i*w.stride(), Tokens: q.Tokens})
		}
	}
	out := backend.Workload{Requests: prompts, OutputTokens: w.outputTokens, Concurrency: w.concurrency}
	if times > 1 && w.concurrency == 0 {
		out.Round = len(requests)
	}
	return out
}

// stride separates the request ids of two repetitions of the workload.
func (w work) stride() int {
	top := 0
	for _, q := range w.requests {
		top = max(top, q.ID)
	}
	return top + 1
}

// tasks maps the ids of repeated requests to the kind of task.
func (w work) tasks(times int) map[int]string {
	out := make(map[int]string, len(w.requests))
	for i := range max(1, times) {
		for _, q := range w.requests {
			out[q.ID+i*w.stride()] = q.Task
		}
	}
	return out
}

// batches is the number of batches of the workload.
func (w work) batches() int { return (len(w.requests) + w.batch - 1) / w.batch }

// outputHash is equal for runs whose engine generated the same tokens for each request, the first time that the
// workload ran. It is empty where the engine does not give all of them.
func (w work) outputHash(log *backend.Log) string {
	if log == nil {
		return ""
	}
	outputs := map[int][]int32{}
	for _, q := range log.Requests {
		outputs[q.ID] = q.Output
	}
	h := sha256.New()
	for _, q := range w.requests {
		if len(outputs[q.ID]) != w.outputTokens {
			return ""
		}
		fmt.Fprintln(h, q.ID, outputs[q.ID])
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
