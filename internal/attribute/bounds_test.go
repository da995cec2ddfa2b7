package attribute

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
)

// TestNoPhaseIsNegative: for any run, sensor and noise, the energy of a phase lies between its bounds and is
// not negative.
func TestNoPhaseIsNegative(t *testing.T) {
	sensors := []view{ring20, ring20w10, ringRC, instantRC, instant}
	nothing, refused := 0, 0
	for seed := range uint64(samples(120, 12)) {
		rng := rand.New(rand.NewPCG(seed, 11))
		p := h200ish
		p.idleW, p.rippleSD = 5+120*rng.Float64(), 0.1*rng.Float64() // little idle power disappears in the noise
		w := static(p, 1+rng.IntN(16), 50+rng.IntN(2000), 5+rng.IntN(60),
			time.Duration(5+rng.IntN(100))*time.Millisecond, 12*time.Millisecond, 4, rng)
		if seed%3 == 0 {
			w = continuous(p, 2+rng.IntN(16), 512, 4, rng)
		}
		s := sensors[rng.IntN(len(sensors))]
		s.noise = 0.2 * rng.Float64()
		got, err := Phases(Options{Samples: w.see(s, rng), Steps: w.steps, Requests: w.requests, Window: w.window,
			Tier: backend.TierExact})
		if err != nil {
			continue
		}
		for name, q := range map[string]Phase{"prefill": got.Prefill, "decode": got.Decode, "other": got.Other} {
			if q.Refused != "" {
				continue
			}
			if !(0 <= q.Low && q.Low <= q.Joules && q.Joules <= q.High && q.Half95 >= 0 &&
				q.Joules+q.Half95 <= q.High*(1+1e-12)) {
				t.Errorf("seed %d: %s %.4g ± %.3g J, bounds [%.4g, %.4g]", seed, name, q.Joules, q.Half95, q.Low,
					q.High)
			}
		}
		if got.Shared < 0 {
			t.Errorf("seed %d: both phases share %.3g J", seed, got.Shared)
		}
		if got.Other.Duration > 0 && got.Other.Joules == 0 {
			nothing++
		}
		if got.Other.Refused != "" {
			refused++
		}
	}
	t.Logf("idle time was set to zero %d times and refused %d times", nothing, refused)
	if nothing < 5 && !testing.Short() {
		t.Errorf("the fit gave idle time a negative energy only %d times: the test shows nothing", nothing)
	}
}

// TestNegativeIdleTime: a negative energy within its interval becomes zero, otherwise it is refused.
func TestNegativeIdleTime(t *testing.T) {
	for _, q := range []struct {
		joules, half float64
		want         Phase
		refused      bool
	}{
		{joules: 5, half: 8, want: Phase{Joules: 5, Half95: 8, High: 13}},
		{joules: 0, half: 2, want: Phase{Half95: 2, High: 2}},
		{joules: -0.142, half: 0.3, want: Phase{Half95: 0.3 - 0.142, High: 0.3 - 0.142}},
		{joules: -17, half: 3, refused: true},
	} {
		p := Phase{Joules: q.joules, Half95: q.half, Low: max(0, q.joules-q.half), High: q.joules + q.half}
		p.notNegative()
		if (p.Refused != "") != q.refused || q.refused && !strings.Contains(p.Refused, "energy.min_window") {
			t.Errorf("%v ± %v J: refused %q", q.joules, q.half, p.Refused)
		}
		if !q.refused && p != q.want {
			t.Errorf("%v ± %v J became %+v, want %+v", q.joules, q.half, p, q.want)
		}
	}
}
