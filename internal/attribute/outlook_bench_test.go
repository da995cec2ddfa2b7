package attribute

import (
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkTurns is what a run pays to know how long its window must be: short steps, for which many turns are
// tried.
func BenchmarkTurns(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 7))
	p := h200ish
	p.rippleSD = 0.05
	o := outlookOf(static(p, 1, 256, 32, 15*time.Millisecond, 6*time.Millisecond, 0.01, rng), ring20)
	for b.Loop() {
		o.Turns(200)
	}
}
