package measure

import (
	"fmt"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// checkCounts compares the engine's counts with its input and output: a request whose numbers differ has
// failed, whatever the engine reports, because energy is divided by the counts.
func checkCounts(log *backend.Log, asked int) error {
	if len(log.Requests) > asked {
		return note.Failf(codes.ClassProtocol, "this is a bug in the engine's worker; see engine.log",
			"the engine answered %d requests, but was given %d", len(log.Requests), asked)
	}
	for i := range log.Requests {
		q := &log.Requests[i]
		if !q.OK {
			continue
		}
		switch {
		case q.OutputTokens != len(q.TokenNS):
			q.Failure = fmt.Sprintf("the engine counts %d output tokens, but returned the times of %d", q.OutputTokens,
				len(q.TokenNS))
		case q.PromptTokens < 0 || q.PromptComputed < 0 || q.PromptComputed > q.PromptTokens:
			q.Failure = fmt.Sprintf("the engine counts %d prompt tokens, but computed %d", q.PromptTokens,
				q.PromptComputed)
		}
		q.OK = q.Failure == ""
	}
	return nil
}
