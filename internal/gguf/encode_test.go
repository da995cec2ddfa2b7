package gguf_test

import (
	"math/rand/v2"
	"testing"

	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/gguf/gguftest"
)

func TestBlockEncodersRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var v [32]float32
		var top float32
		for j := range v {
			v[j] = float32(r.NormFloat64() * 0.02)
			top = max(top, abs32(v[j]))
		}
		b8, b4 := make([]byte, 34), make([]byte, 18)
		gguf.Encode(b8, gguf.Q8_0, v[:])
		gguf.Encode(b4, gguf.Q4_0, v[:])
		for j, x := range gguftest.Decode(gguf.Q8_0, b8) {
			if e := abs32(x - v[j]); e > top/127*0.51+top*0.001 {
				t.Fatalf("q8_0: %g became %g", v[j], x)
			}
		}
		for j, x := range gguftest.Decode(gguf.Q4_0, b4) {
			// One step at the clipped end, half a step elsewhere.
			if e := abs32(x - v[j]); e > top/8*1.01 {
				t.Fatalf("q4_0: %g became %g (largest %g)", v[j], x, top)
			}
		}
	}
	var zero [32]float32
	b8, b4 := make([]byte, 34), make([]byte, 18)
	gguf.Encode(b8, gguf.Q8_0, zero[:])
	gguf.Encode(b4, gguf.Q4_0, zero[:])
	for _, x := range append(gguftest.Decode(gguf.Q8_0, b8), gguftest.Decode(gguf.Q4_0, b4)...) {
		if x != 0 {
			t.Fatal("a block of zeros did not stay zero")
		}
	}
}

func abs32(x float32) float32 { return max(x, -x) }
