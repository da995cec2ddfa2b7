package join

import (
	"fmt"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/result"
)

// countTokens sums the tokens of the requests; output tokens of failed requests do not count.
func countTokens(t *result.Tokens, requests []backend.Request) {
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
}

// countSteps sums the tokens of the steps that a metered program marked.
func countSteps(t *result.Tokens, steps []backend.Step) {
	for _, s := range steps {
		t.Prompt += int64(s.PrefillTokens)
		t.PromptComputed += int64(s.PrefillTokens)
		t.Output += int64(s.DecodeTokens)
	}
}

// checkWork compares the engine's work with the workload.
func (j *join) checkWork(tokens result.Tokens) {
	switch {
	case tokens.RequestsFailed > 0:
		j.warn(codes.RequestsFailed,
			fmt.Sprintf("%d of %d requests failed; the total includes their energy but not their tokens, so "+
				"the run is "+
				"not compared with others",
				tokens.RequestsFailed, len(j.Requests)))
	case tokens.Prompt != j.Given || tokens.PromptComputed != j.Given || tokens.Output != j.Asked:
		j.warn(codes.UnequalWork,
			fmt.Sprintf("the engine computed %d prompt and %d output tokens, but was given %d and asked for %d: "+
				"the run is not compared with others",
				tokens.PromptComputed, tokens.Output, j.Given, j.Asked))
	default:
		if n := j.uneven(); n > 0 {
			j.warn(codes.UnequalWork,
				fmt.Sprintf("%d of %d requests got more or fewer tokens than they asked for, although the sums are "+
					"right: the run is not compared with others",
					n, len(j.Requests)))
		}
	}
}

// uneven counts the requests whose work differs from the request. All request the same number of output
// tokens.
func (j *join) uneven() (n int) {
	each := j.Asked / int64(max(1, len(j.Requests)))
	for _, q := range j.Requests {
		if int64(q.OutputTokens) != each || q.PromptComputed != q.PromptTokens {
			n++
		}
	}
	return n
}

// checkLoad compares the engine's work with the workload over all requests of a load: a window has parts of requests.
// Failed requests are a result of a load.
func (j *join) checkLoad() {
	var all result.Tokens
	countTokens(&all, j.Requests)
	switch {
	case all.RequestsFailed > 0:
	case all.Output != j.Asked || all.Prompt != j.Given:
		j.warn(codes.UnequalWork,
			fmt.Sprintf("over the whole load, the engine was given %d prompt and asked for %d output tokens, but took "+
				"%d and returned %d: the run is not compared with others", j.Given, j.Asked, all.Prompt, all.Output))
	}
}
