package backendtest

import (
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
)

// CheckLog checks the log of a run against the work, by the rules that result files rely on. before and after are
// the parent's stamps around the run.
func CheckLog(t *testing.T, w backend.Workload, log *backend.Log, before, after int64, slack time.Duration) {
	t.Helper()
	if log.StartNS < before || log.EndNS > after || log.StartNS > log.EndNS {
		t.Errorf("run [%d, %d] lies outside the parent's window [%d, %d]", log.StartNS, log.EndNS, before, after)
	}
	if len(log.Requests) != len(w.Requests) {
		t.Fatalf("%d requests in the log, want %d", len(log.Requests), len(w.Requests))
	}
	prompt, decoded := 0, 0
	earlier := map[int]backend.Request{}
	for i, r := range log.Requests {
		p := w.Requests[i]
		length := len(p.Tokens)
		if p.After != nil {
			before := earlier[*p.After]
			length += before.PromptTokens + before.OutputTokens
		}
		checkRequest(t, p.ID, length, w.Asked(p), r, log)
		if w.Open || p.After != nil {
			checkArrival(t, w, p, r, earlier, log.StartNS)
		}
		earlier[p.ID] = r
		prompt += length
		decoded += w.Asked(p) - 1
	}
	checkSteps(t, log, prompt, decoded, slack)
	checkCover(t, log, slack)
}

// checkArrival checks that a request arrives when it is due, and when its conversation has come so far.
func checkArrival(t *testing.T, w backend.Workload, p backend.Prompt, r backend.Request,
	earlier map[int]backend.Request, start int64) {
	t.Helper()
	want := int64(0)
	if w.Open {
		want = start + p.DueNS
	}
	if p.After != nil {
		want = max(want, earlier[*p.After].EndNS+p.WaitNS)
	}
	if w.Open && r.ArrivedNS != want || r.ArrivedNS < want || r.SubmittedNS < want {
		t.Errorf("request %d arrived %v and was submitted %v after its time", r.ID, time.Duration(r.ArrivedNS-want),
			time.Duration(r.SubmittedNS-want))
	}
}

func checkRequest(t *testing.T, id, length, output int, r backend.Request, log *backend.Log) {
	t.Helper()
	if r.ID != id || !r.OK || r.FinishReason != "length" {
		t.Errorf("request = %+v, want id %d finished by length", r, id)
	}
	if r.PromptTokens != length || r.PromptComputed != length {
		t.Errorf("request %d: prompt %d, computed %d, want %d", r.ID, r.PromptTokens, r.PromptComputed, length)
	}
	if r.OutputTokens != output || len(r.TokenNS) != output || len(r.Output) != output {
		t.Fatalf("request %d: %d output tokens, %d stamps, %d ids, want %d",
			r.ID, r.OutputTokens, len(r.TokenNS), len(r.Output), output)
	}
	if r.FirstTokenNS != r.TokenNS[0] || r.EndNS < r.TokenNS[output-1] {
		t.Errorf("request %d: first token %d and end %d do not fit its stamps %v", r.ID, r.FirstTokenNS, r.EndNS,
			r.TokenNS)
	}
	order := []int64{log.StartNS}
	if r.ArrivedNS != 0 {
		order = append(order, r.ArrivedNS)
	}
	order = append(order, r.SubmittedNS)
	if r.StartedNS != 0 {
		order = append(order, r.StartedNS)
	}
	order = append(append(order, r.FirstTokenNS), r.TokenNS...)
	if r.PrefillStartNS < r.SubmittedNS || r.PrefillStartNS > r.FirstTokenNS {
		t.Errorf("request %d: its prefill began at %d, it was submitted at %d and its first token came at %d", r.ID,
			r.PrefillStartNS, r.SubmittedNS, r.FirstTokenNS)
	}
	order = append(order, r.EndNS, log.EndNS)
	for i := 1; i < len(order); i++ {
		if order[i] < order[i-1] {
			t.Errorf("request %d: stamps out of order at %d: %v", r.ID, i, order)
			return
		}
	}
}

func checkSteps(t *testing.T, log *backend.Log, prompt, decoded int, slack time.Duration) {
	t.Helper()
	var gotPrompt, gotDecoded int
	last := log.StartNS
	for i, s := range log.Steps {
		if s.StartNS < last-int64(slack) || s.EndNS < s.StartNS || s.EndNS > log.EndNS+int64(slack) {
			t.Errorf("step %d [%d, %d] overlaps its neighbour or leaves the run", i, s.StartNS, s.EndNS)
		}
		if s.PrefillTokens+s.DecodeTokens == 0 || s.Sequences == 0 || s.ContextTokens < int64(s.Sequences) {
			t.Errorf("step %d is empty: %+v", i, s)
		}
		gotPrompt += s.PrefillTokens
		gotDecoded += s.DecodeTokens
		last = s.EndNS
	}
	if gotPrompt != prompt || gotDecoded != decoded {
		t.Errorf("steps hold %d prompt and %d decoded tokens, want %d and %d", gotPrompt, gotDecoded, prompt, decoded)
	}
}

// checkCover checks that every token appears within or at the end of a step.
func checkCover(t *testing.T, log *backend.Log, slack time.Duration) {
	t.Helper()
	for _, r := range log.Requests {
		step := 0
		for _, at := range r.TokenNS {
			for step < len(log.Steps) && log.Steps[step].EndNS+int64(slack) < at {
				step++
			}
			if step == len(log.Steps) || log.Steps[step].StartNS-int64(slack) > at {
				t.Errorf("request %d: the token at %d is not in any step", r.ID, at)
				return
			}
		}
	}
}
