package shapes

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChoose(t *testing.T) {
	few := []Shape{Of([]int{20}), Of([]int{200}), Of([]int{20}), Of([]int{64, 3})}
	want := Chosen{Places: []int{1, 3, 0}, Distinct: 3, Buckets: Exact}
	if diff := cmp.Diff(want, Choose(few)); diff != "" {
		t.Errorf("few (-want +got):\n%s", diff)
	}
	if got := Choose(nil); len(got.Places) != 0 || got.Distinct != 0 {
		t.Errorf("of no shapes: %+v", got)
	}
	for _, c := range []struct {
		top     int
		buckets string
		most    int
	}{{Most, Exact, Most}, {1000, Of64, 17}, {100_000, Powers, 18}} {
		var all []Shape
		for n := 1; n <= c.top; n += max(1, c.top/5000) {
			all = append(all, Of([]int{n}))
		}
		got := Choose(all)
		if got.Buckets != c.buckets || len(got.Places) > c.most || got.Distinct != len(all) {
			t.Errorf("%d lengths: %d of %d by %s, want at most %d by %s", c.top, len(got.Places), got.Distinct,
				got.Buckets, c.most, c.buckets)
		}
		last := got.Places[len(got.Places)-1]
		if all[got.Places[0]].Longest != all[len(all)-1].Longest || all[last].Longest != 1 {
			t.Errorf("%d lengths: from %v to %v, want the shortest and the longest", c.top, all[last],
				all[got.Places[0]])
		}
	}
}

// TestChooseStands: for any lengths, each shape is in the bucket of a chosen shape that is at least as long
// and has the same number of sequences.
func TestChooseStands(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		all := make([]Shape, 1+r.IntN(500))
		for i := range all {
			all[i] = Of(slices.Repeat([]int{1 + r.IntN(1+r.IntN(5000))}, 1+r.IntN(2)))
		}
		got := Choose(all)
		for _, s := range all {
			stands := func(at int) bool {
				c := all[at]
				return c.Sequences == s.Sequences && c.Longest >= s.Longest &&
					(c.Longest-s.Longest < bucketTokens || got.Buckets == Powers && c.Longest < 2*s.Longest)
			}
			if !slices.ContainsFunc(got.Places, stands) {
				t.Fatalf("seed %d: nothing stands for %+v by %s", seed, s, got.Buckets)
			}
		}
		if got.Buckets == Powers && len(got.Places) > 2*(13+2) {
			t.Fatalf("seed %d: %d chosen", seed, len(got.Places))
		}
	}
}

func TestSizes(t *testing.T) {
	for most, want := range map[int][]int{0: nil, 1: nil, 2: {1}, 8: {1, 2, 4}, 9: {1, 2, 4, 8}} {
		if got := Sizes(most); !slices.Equal(got, want) {
			t.Errorf("Sizes(%d) = %v, want %v", most, got, want)
		}
	}
}

func TestSteady(t *testing.T) {
	for name, c := range map[string]struct {
		before, now []float64
		want        bool
	}{
		"first round":      {nil, []float64{0.1}, false},
		"nothing":          {nil, nil, false},
		"the same":         {[]float64{0.1, 0.2}, []float64{0.1, 0.2}, true},
		"noise":            {[]float64{0.1, 0.2}, []float64{0.13, 0.19}, true},
		"a first use":      {[]float64{0.45, 0.2}, []float64{0.1, 0.2}, false},
		"a later use":      {[]float64{0.1, 0.2}, []float64{0.45, 0.2}, false},
		"all a bit slower": {[]float64{0.13, 0.26}, []float64{0.1, 0.2}, false},
		"short steps":      {[]float64{0.001}, []float64{0.005}, true},
	} {
		if got := Steady(c.before, c.now); got != c.want {
			t.Errorf("%s: steady = %v, want %v", name, got, c.want)
		}
	}
}
