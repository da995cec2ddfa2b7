package measure

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/backend"
)

// TestCheckCounts: a request whose count is not what came is a failed one, with both numbers.
func TestCheckCounts(t *testing.T) {
	times := make([]int64, 8)
	for name, q := range map[string]struct {
		request backend.Request
		says    string
	}{
		"right": {backend.Request{OutputTokens: 8, PromptTokens: 4, PromptComputed: 2}, ""},
		"more": {backend.Request{OutputTokens: 16, PromptTokens: 4},
			"counts 16 output tokens, but returned the times of 8"},
		"fewer": {backend.Request{OutputTokens: 4, PromptTokens: 4},
			"counts 4 output tokens, but returned the times of 8"},
		"below none": {backend.Request{OutputTokens: -1, PromptTokens: 4}, "counts -1 output tokens"},
		"computed more": {backend.Request{OutputTokens: 8, PromptTokens: 4, PromptComputed: 5},
			"4 prompt tokens, but computed 5"},
		"computed below": {backend.Request{OutputTokens: 8, PromptTokens: 4, PromptComputed: -5},
			"but computed -5"},
	} {
		t.Run(name, func(t *testing.T) {
			q.request.OK, q.request.TokenNS = true, times
			log := &backend.Log{Requests: []backend.Request{q.request, {Failure: "before"}}}
			if err := checkCounts(log, 2); err != nil {
				t.Fatal(err)
			}
			got := log.Requests[0]
			if got.OK != (q.says == "") || !strings.Contains(got.Failure, q.says) ||
				log.Requests[1].Failure != "before" {
				t.Errorf("%+v, want %q", log.Requests, q.says)
			}
			if err := checkCounts(log, 1); err == nil || !strings.Contains(err.Error(), "answered 2 requests") {
				t.Errorf("%v, want that it answered more than it was given", err)
			}
		})
	}
}
