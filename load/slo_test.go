package load

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestWilson compares with values of R: prop.test(k, n, correct = FALSE)$conf.int.
func TestWilson(t *testing.T) {
	for _, q := range []struct{ good, n, low, high float64 }{
		{0, 10, 0, 0.2775328}, {10, 10, 0.7224672, 1}, {81, 263, 0.2552854, 0.3661912}, {15, 148, 0.06239, 0.16046},
		{95, 100, 0.8882495, 0.9784562},
	} {
		low, high := Wilson(q.good, q.n, Z95)
		if math.Abs(low-q.low) > 1e-4 || math.Abs(high-q.high) > 1e-4 {
			t.Errorf("%g of %g: %.7f to %.7f, want %.7f to %.7f", q.good, q.n, low, high, q.low, q.high)
		}
	}
	if low, high := Wilson(0, 0, Z95); low != 0 || high != 1 {
		t.Errorf("of none: %g to %g", low, high)
	}
}

// TestWilsonCovers: the interval contains the true fraction about as often as it says.
func TestWilsonCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const draws, n = 4000, 200
	for _, p := range []float64{0.05, 0.5, 0.9, 0.95, 0.99} {
		hit := 0
		for range draws {
			good := 0.0
			for range n {
				if rng.Float64() < p {
					good++
				}
			}
			if low, high := Wilson(good, n, Z95); low <= p && p <= high {
				hit++
			}
		}
		if share := float64(hit) / draws; share < 0.93 || share > 0.985 {
			t.Errorf("p %g: covered %.3f", p, share)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, q := range []struct {
		good, n float64
		want    Verdict
	}{{100, 100, Yes}, {50, 50, Unresolved}, {95, 100, Unresolved}, {980, 1000, Yes}, {80, 100, No}, {0, 1, No},
		{0, 0, Unresolved}} {
		if got := Judge(q.good, q.n, 0.95, Z95); got != q.want {
			t.Errorf("%g of %g: %s, want %s", q.good, q.n, got, q.want)
		}
	}
}

func TestLeastRequests(t *testing.T) {
	for _, attainment := range []float64{0.5, 0.9, 0.95, 0.99, 0.999} {
		n := LeastRequests(attainment, Z95)
		if Judge(float64(n), float64(n), attainment, Z95) != Yes ||
			Judge(float64(n-1), float64(n-1), attainment, Z95) == Yes {
			t.Errorf("%g: %d requests are not the least", attainment, n)
		}
	}
	if n := LeastRequests(0.95, Z95); n != 73 {
		t.Errorf("0.95: %d, want 73", n)
	}
}

func TestGood(t *testing.T) {
	l := Limits{TTFTMS: 500, TPOTMS: 50}
	for _, q := range []struct {
		ttft, tpot, e2e float64
		want            bool
	}{{500, 50, 1e6, true}, {501, 1, 1, false}, {1, 51, 1, false}, {1, 1, 1, true}} {
		if got := l.Good(q.ttft, q.tpot, q.e2e); got != q.want {
			t.Errorf("%+v: %t", q, got)
		}
	}
	if (Limits{E2EMS: 10}).Good(1, 1, 11) {
		t.Error("a late answer is good")
	}
}

func TestClasses(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Classes() {
		if seen[c.Name] || c.Limits.TTFTMS <= c.Limits.TPOTMS || c.Limits.Attainment != 0.99 {
			t.Errorf("class %+v", c)
		}
		seen[c.Name] = true
	}
}
