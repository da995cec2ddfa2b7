package core

import (
	"math"
	"testing"

	"github.com/llenergymeasure/llem/backend"
)

// TestSampler: tokens are chosen in the proportions of the softmax within the bounds; equal seeds choose the same,
// others do not.
func TestSampler(t *testing.T) {
	logits := []float32{float32(math.Log(0.1)), float32(math.Log(0.6)), float32(math.Log(0.3))}
	for name, test := range map[string]struct {
		decoding backend.Decoding
		want     [3]float64
	}{
		"greedy":      {backend.Decoding{}, [3]float64{0, 1, 0}},
		"softmax":     {backend.Decoding{Temperature: 1}, [3]float64{0.1, 0.6, 0.3}},
		"temperature": {backend.Decoding{Temperature: 0.5}, [3]float64{0.01 / 0.46, 0.36 / 0.46, 0.09 / 0.46}},
		"top_k":       {backend.Decoding{Temperature: 1, TopK: 2}, [3]float64{0, 0.6 / 0.9, 0.3 / 0.9}},
		"top_p":       {backend.Decoding{Temperature: 1, TopP: 0.5}, [3]float64{0, 1, 0}},
		"top_p wide":  {backend.Decoding{Temperature: 1, TopP: 0.7}, [3]float64{0, 0.6 / 0.9, 0.3 / 0.9}},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 20000
			test.decoding.Seed = 7
			s, again := NewSampler(backend.Spec{Decoding: test.decoding}, 3),
				NewSampler(backend.Spec{Decoding: test.decoding}, 3)
			other := NewSampler(backend.Spec{Decoding: test.decoding}, 4)
			var got [3]float64
			differ := false
			for range n {
				id := s.Choose(logits)
				got[id] += 1.0 / n
				if again.Choose(logits) != id {
					t.Fatal("equal seeds draw differently")
				}
				differ = differ || other.Choose(logits) != id
			}
			for i := range got {
				if math.Abs(got[i]-test.want[i]) > 0.02 {
					t.Errorf("shares %v, want %v", got, test.want)
				}
			}
			if certain := test.want[1] == 1; differ == certain {
				t.Errorf("another request draws the same: %v", !differ)
			}
		})
	}
}
