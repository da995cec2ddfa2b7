package measure

import (
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/workload"
)

// TestOutputHash: equal tokens of the first repeat give one hash in any order, others another one, and tokens that
// are not known none.
func TestOutputHash(t *testing.T) {
	w := work{requests: []workload.Request{{ID: 1}, {ID: 2}}, outputTokens: 2}
	log := func(a, b, c int32) *backend.Log {
		return &backend.Log{Requests: []backend.Request{{ID: 2, Output: []int32{a, b}}, {ID: 1, Output: []int32{c, 4}},
			{ID: 3, Output: []int32{a + c, 9}}}}
	}
	same := &backend.Log{Requests: []backend.Request{{ID: 1, Output: []int32{3, 4}}, {ID: 2, Output: []int32{1, 2}}}}
	got := w.outputHash(log(1, 2, 3))
	if got == "" || got != w.outputHash(same) || got == w.outputHash(log(1, 5, 3)) {
		t.Errorf("hash %q, of the same %q, of another %q", got, w.outputHash(same), w.outputHash(log(1, 5, 3)))
	}
	if got := w.outputHash(&backend.Log{Requests: same.Requests[:1]}); got != "" {
		t.Errorf("hash %q of tokens that are not known", got)
	}
}
