package servertest

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
)

// Faults of a stub's prefix cache.
const (
	Remembers    Fault = "remembers"     // computes only the last token of a prompt that it has seen, until it forgets
	ForgetsLate  Fault = "forgets-late"  // the same, and is busy when it is told to forget at first
	NeverForgets Fault = "never-forgets" // the same, and has no way to forget
)

// remembers reports that the stub has a prefix cache.
func (s *Stub) remembers() bool {
	return s.o.Fault == Remembers || s.o.Fault == ForgetsLate || s.o.Fault == NeverForgets
}

// reused is how many tokens of a prompt the cache has. It keeps the prompt.
func (s *Stub) reused(prompt []int32) int {
	if !s.remembers() {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fmt.Sprint(prompt)
	if s.kept[key] {
		return len(prompt) - 1
	}
	if s.kept == nil {
		s.kept = map[string]bool{}
	}
	s.kept[key] = true
	return 0
}

// lateBy is how often a busy stub refuses to forget.
const lateBy = 2

// forget is the page that empties the cache. busy answers while it does not.
func (s *Stub) forget(done string, busy http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case r.Method != http.MethodPost:
			http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		case s.o.Fault == NeverForgets:
			http.NotFound(w, r)
		case s.o.Fault == ForgetsLate && s.refusals < lateBy:
			s.refusals++
			busy(w, r)
		default:
			s.kept, s.refusals = nil, 0
			fmt.Fprint(w, done)
		}
	}
}

// forgets checks that a run begins with an empty prefix cache where a study enables one, and is refused otherwise.
func (s Suite) forgets(t *testing.T, dialect string) {
	if s.Caching == "" {
		t.Skip("this backend has no prefix cache")
	}
	for _, fault := range []Fault{Remembers, ForgetsLate, NeverForgets} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			spec := s.spec(t)
			spec.Options = []byte(s.Caching)
			session, err := s.Backend(Stubbed{Command: Command(t, dialect, fault), Start: 20 * time.Second,
				Stall: time.Second}).Start(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			for range 2 {
				log, err := session.Run(t.Context(), work())
				if fault == NeverForgets {
					check(t, err, expected{codes.ClassVersion, "did not empty its prefix cache",
						"out, or use another version"})
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, q := range log.Requests {
					if q.PromptComputed != q.PromptTokens {
						t.Errorf("%d of %d prompt tokens were computed: the run before left the others",
							q.PromptComputed, q.PromptTokens)
					}
				}
			}
		})
	}
}
