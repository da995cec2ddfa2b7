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
		"min_p":       {backend.Decoding{Temperature: 1, MinP: 0.4}, [3]float64{0, 0.6 / 0.9, 0.3 / 0.9}},
		"min_p, hot": {backend.Decoding{Temperature: 2, MinP: 0.4},
			share(math.Sqrt(0.1), math.Sqrt(0.6), math.Sqrt(0.3))},
		"min_p and top_p": {backend.Decoding{Temperature: 1, MinP: 0.6, TopP: 0.95},
			[3]float64{0, 1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 20000
			test.decoding.Seed = 7
			s, again := NewSampler(backend.Spec{Decoding: test.decoding}, backend.Prompt{ID: 3}),
				NewSampler(backend.Spec{Decoding: test.decoding}, backend.Prompt{ID: 3})
			other := NewSampler(backend.Spec{Decoding: test.decoding}, backend.Prompt{ID: 4})
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

// share are weights as shares of their sum.
func share(a, b, c float64) [3]float64 {
	return [3]float64{a / (a + b + c), b / (a + b + c), c / (a + b + c)}
}

// TestRepetitionPenalty: tokens of the prompt and chosen tokens get another logit, others do not; greedy, too.
func TestRepetitionPenalty(t *testing.T) {
	spec := backend.Spec{Decoding: backend.Decoding{RepetitionPenalty: 2}}
	s := NewSampler(spec, backend.Prompt{Tokens: []int32{1, 9}})
	fresh := func() []float32 { return []float32{1.5, 2, 1.2, -1, -1.5} }
	for i, want := range []int32{0, 2, 1, 1} { // 1 counts as 1 from the start, then 0 as 0.75, then 2 as 0.6
		if got := s.Choose(fresh()); got != want {
			t.Fatalf("choice %d is %d, want %d", i, got, want)
		}
	}
	s = NewSampler(spec, backend.Prompt{Tokens: []int32{0, 1}})
	logits := []float32{-1, 2, 0.5}
	s.Choose(logits)
	if logits[0] != -2 || logits[1] != 1 || logits[2] != 0.5 {
		t.Errorf("logits %v, want -2, 1 and 0.5", logits)
	}
}
