package measure

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/study"
)

// work is the workload of the window: requests, in one or several rounds.
type work struct {
	requests []workload.Request
	// outputTokens is the number of output tokens per request without one of its own, and concurrency the number of
	// requests in flight; 0 means all.
	outputTokens, concurrency int
	// batch is the maximum number of requests per step: all of them if the engine decides.
	batch int
	// turns is the number of turns of a conversation; 1 for single requests.
	turns int
	// recorded reports that the requests are from a trace.
	recorded bool
	// few bounds the outputs that requests have of their own; 0 sets none.
	few int
}

func newWork(e study.Experiment, requests []workload.Request) work {
	w := work{requests: requests, outputTokens: e.Workload.OutputTokens,
		concurrency: min(e.Workload.Concurrency, len(requests)), batch: len(requests),
		turns: max(1, e.Workload.Load.Turns), recorded: e.Workload.Load.Kind == load.Trace}
	if n := e.BatchSize(); n > 0 {
		w.batch = min(n, len(requests))
	}
	return w
}

// repeated returns the engine's workload of all requests in several rounds. Rounds are separate, so that no
// more requests are in flight than in one; a closed loop does not stop between them and also has no more in
// flight.
func (w work) repeated(times int) backend.Workload { return w.of(w.requests, times) }

func (w work) of(requests []workload.Request, times int) backend.Workload {
	prompts := make([]backend.Prompt, 0, len(requests)*times)
	stride := w.stride()
	for i := range times {
		for _, q := range requests {
			prompts = append(prompts, w.prompt(q, i*stride))
		}
	}
	out := backend.Workload{Requests: prompts, OutputTokens: w.outputTokens, Concurrency: w.concurrency}
	if times > 1 && w.concurrency == 0 {
		out.Round = len(requests)
	}
	return out
}

// prompt returns the engine's request with an offset of its ID.
func (w work) prompt(q workload.Request, offset int) backend.Prompt {
	p := backend.Prompt{ID: q.ID + offset, Tokens: q.Tokens, Output: q.Output, WaitNS: q.WaitNS}
	if w.few > 0 {
		p.Output = min(p.Output, w.few)
	}
	if q.After != nil {
		p.After = new(*q.After + offset)
	}
	return p
}

// asked returns the number of output tokens of a request.
func (w work) asked(q workload.Request) int { return cmp.Or(q.Output, w.outputTokens) }

// lengths returns the lengths of all prompts, with the turns before them and their answers.
func (w work) lengths() []int {
	out, index := make([]int, len(w.requests)), map[int]int{}
	for i, q := range w.requests {
		out[i] = len(q.Tokens)
		if q.After != nil {
			before := index[*q.After]
			out[i] += out[before] + w.asked(w.requests[before])
		}
		index[q.ID] = i
	}
	return out
}

// stride separates the request ids of two rounds.
func (w work) stride() int {
	top := 0
	for _, q := range w.requests {
		top = max(top, q.ID)
	}
	return top + 1
}

// tasks maps the ids of repeated requests to their kind of task.
func (w work) tasks(times int) map[int]string {
	out := make(map[int]string, len(w.requests))
	for i := range max(1, times) {
		for _, q := range w.requests {
			out[q.ID+i*w.stride()] = q.Task
		}
	}
	return out
}

// batches returns the number of batches of the workload.
func (w work) batches() int { return (len(w.requests) + w.batch - 1) / w.batch }

// outputHash is equal for runs whose engine generated the same tokens for each request in the first round. It
// is empty if the engine does not return all tokens.
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
		if len(outputs[q.ID]) != w.asked(q) {
			return ""
		}
		fmt.Fprintln(h, q.ID, outputs[q.ID])
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
