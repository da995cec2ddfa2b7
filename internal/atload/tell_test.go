package atload

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/result"
)

// server answers requests of a Poisson process: at most places at once, each for a second, which end in waves of wave
// seconds as the answers of a batch do.
func server(rng *rand.Rand, rate, places, seconds, wave float64) []backend.Request {
	var out []backend.Request
	free := make([]float64, int(places))
	for t := rng.ExpFloat64() / rate; t < seconds; t += rng.ExpFloat64() / rate {
		slices.Sort(free)
		begin := max(t, free[0])
		end := begin + 1
		if wave > 0 {
			end = wave * float64(int(end/wave)+1)
		}
		free[0] = end
		ns := func(s float64) int64 { return 1 + int64(s*float64(time.Second)) }
		out = append(out, backend.Request{ArrivedNS: ns(t), SubmittedNS: ns(t), EndNS: ns(end), OK: true})
	}
	return out
}

// TestGrowing: a server above its capacity is seen to fall behind, and one below it is not, also if answers end in
// waves.
func TestGrowing(t *testing.T) {
	const seconds, places = 20, 50
	for _, wave := range []float64{0, 1} {
		for _, q := range []struct {
			load      float64 // relative to what the server can do
			low, high int     // of 200 runs that are to be found growing
		}{{0.3, 0, 4}, {0.7, 0, 4}, {0.85, 0, 10}, {1, 0, 12}, {1.3, 190, 200}, {1.6, 196, 200}} {
			capacity := float64(places)
			if wave > 0 {
				capacity /= 2 // an answer ends with the wave after its second
			}
			found := 0
			for seed := range uint64(200) {
				rng := rand.New(rand.NewPCG(seed, 7))
				r := Run{Requests: server(rng, q.load*capacity, places, seconds, wave), End: int64(time.Hour)}
				w := attribute.Window{Start: int64(4 * time.Second), End: int64(seconds * time.Second)}
				f := r.inFlight()
				n := float64(len(Scheduled(r.Requests, w)))
				l := &result.Load{InFlight: f.mean(w), OfferedRPS: n / (seconds - 4), BacklogSlope: f.slope(w)}
				ended := 0
				for _, x := range r.Requests {
					if x.EndNS >= w.Start && x.EndNS < w.End {
						ended++
					}
				}
				l.CompletedRPS = float64(ended) / (seconds - 4)
				l.BacklogSlope = f.walking(l, w)
				if growing(l, seconds-4) {
					found++
				}
			}
			if found < q.low || found > q.high {
				t.Errorf("waves of %v s, %v of the capacity: %d of 200 runs grow, want %d to %d", wave, q.load, found,
					q.low, q.high)
			}
		}
	}
}

// TestSlopeOfAGrowingBacklog: the interval holds the growth of the window, and what the load gives in the long run. The
// scatter around the line alone, as of independent values, would be far too narrow for a random walk.
func TestSlopeOfAGrowingBacklog(t *testing.T) {
	const seconds, places, runs = 20, 50, 200
	for _, over := range []float64{1.3, 1.6} {
		window, longRun, narrow := 0, 0, 0
		for seed := range uint64(runs) {
			rng := rand.New(rand.NewPCG(seed, 8))
			r := Run{Requests: server(rng, over*places, places, seconds, 0), End: int64(time.Hour)}
			w := attribute.Window{Start: int64(4 * time.Second), End: int64(seconds * time.Second)}
			l, f := r.Tell(w), r.inFlight()
			holds := func(ci [2]float64, v float64) int {
				if ci[0] <= v && v <= ci[1] {
					return 1
				}
				return 0
			}
			window += holds(l.BacklogSlope.CI95, l.OfferedRPS-l.CompletedRPS)
			longRun += holds(l.BacklogSlope.CI95, (over-1)*places)
			narrow += holds(f.slope(w).CI95, (over-1)*places)
		}
		if window < 0.95*runs || longRun < 0.92*runs || narrow > 0.9*runs {
			t.Errorf("%v of the capacity: of %d intervals, %d hold the window's growth, %d the long run's; "+
				"without the walk %d", over, runs, window, longRun, narrow)
		}
	}
}

// TestClosedWithoutItsStart: the window of a closed loop begins when the requests that all clients sent at once have
// ended.
func TestClosedWithoutItsStart(t *testing.T) {
	const s = int64(time.Second)
	r := Run{Kind: load.Closed, Concurrency: 4, Start: s, End: 21 * s}
	for client := range int64(4) {
		for at := s; at < 20*s; at += 2 * s {
			r.Requests = append(r.Requests, backend.Request{ArrivedNS: at, SubmittedNS: at,
				FirstTokenNS: at + s/10*(client+1), EndNS: at + 2*s, OK: true})
		}
	}
	if w, how := r.Steady(); w.Start != 3*s || w.End != 21*s {
		t.Errorf("window %v, %s", w, how)
	}
}
