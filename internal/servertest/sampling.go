package servertest

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/backend"
)

// Sampling checks that the study's decoding settings are in the body of an engine's request. The keys are the same
// for all engines but for more, of a choice that is bounded by min_p and repetition_penalty.
func Sampling(t *testing.T, request func(s backend.Spec, p backend.Prompt, output int) []byte, more ...string) {
	t.Helper()
	prompt := backend.Prompt{ID: 1, Tokens: []int32{65}}
	s := backend.Spec{Seed: 1}
	if greedy := string(request(s, prompt, 3)); !strings.Contains(greedy, `"temperature":0`) {
		t.Errorf("greedy: %s", greedy)
	}
	s.Decoding = backend.Decoding{Temperature: 0.7, TopP: 0.9, TopK: 40, Seed: 11}
	got := string(request(s, prompt, 3))
	for _, want := range []string{`"temperature":0.7`, `"top_p":0.9`, `"top_k":40`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
	s.Decoding = backend.Decoding{Temperature: 0.7, Seed: 11, MinP: 0.05, RepetitionPenalty: 1.1}
	for _, want := range more {
		if got := string(request(s, prompt, 3)); !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
}
