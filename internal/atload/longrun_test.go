package atload

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/result"
)

// poisson is a load of requests of one second and ten tokens each on a machine that draws 100 W, and 20 W more for each
// request in flight.
func poisson(seed uint64, rate, seconds float64) (r Run, w attribute.Window) {
	rng := rand.New(rand.NewPCG(seed, 9))
	r = Run{Kind: load.Poisson, Requests: server(rng, rate, 1000, seconds, 0), End: int64(time.Hour)}
	for i := range r.Requests {
		q := &r.Requests[i]
		q.OutputTokens, q.FirstTokenNS = 10, q.ArrivedNS+int64(50*time.Millisecond)
	}
	f := r.inFlight()
	r.Power = func(from, to int64) float64 { return 100 + 20*f.mean(attribute.Window{Start: from, End: to}) }
	return r, attribute.Window{Start: int64(3 * time.Second), End: int64(seconds * float64(time.Second))}
}

// TestLongRun: the interval of a window holds the energy per token of the load, which the sensors' own does not.
func TestLongRun(t *testing.T) {
	const runs = 200
	for _, rate := range []float64{2, 8, 30} {
		truth := (100 + 20*rate) / (10 * rate)
		held, own, refused := 0, 0, 0
		for seed := range uint64(runs) {
			r, w := poisson(seed, rate, 43)
			joules := r.Power(w.Start, w.End) * w.Duration().Seconds()
			v := joules / float64(r.Produced(w).Output)
			l := &result.Load{}
			q := &result.Quantity{Value: v, CI95: [2]float64{0.997 * v, 1.003 * v}}
			l.PerGoodTokenJ = q
			r.LongRun(l, w, q)
			if l.LongRunOutputTokenJ == nil && strings.HasPrefix(l.LongRunReason, "the window is too short") {
				refused++
				continue
			}
			if l.LongRunOutputTokenJ == nil || l.LongRunGoodTokenJ.Budget[0] != l.LongRunOutputTokenJ.Budget[0] {
				t.Fatalf("%v: %+v: %s", rate, l.LongRunGoodTokenJ, l.LongRunReason)
			}
			if ci := l.LongRunOutputTokenJ.CI95; ci[0] <= truth && truth <= ci[1] {
				held++
			}
			if q.CI95[0] <= truth && truth <= q.CI95[1] {
				own++
			}
		}
		if held < 0.93*runs || held > 0.99*runs || own > 0.6*runs || refused > 0.02*runs {
			t.Errorf("%v requests/s: the intervals of %d of %d windows hold the truth, %d of the sensors' own; "+
				"%d refused", rate, held, runs, own, refused)
		}
	}
}

// TestNoLongRun: where there is no other window of the same load, or its scatter is unknown, there is a reason instead.
func TestNoLongRun(t *testing.T) {
	q := &result.Quantity{Value: 1, CI95: [2]float64{0.9, 1.1}}
	for why, edit := range map[string]func(*Run, *result.Load){
		"the rate changes":                func(r *Run, _ *result.Load) { r.Kind = load.Ramp },
		"the backlog grew":                func(_ *Run, l *result.Load) { l.Saturated = true },
		"the halves of the window differ": func(_ *Run, l *result.Load) { l.Halves = &result.Halves{} },
		"there is no power series":        func(r *Run, _ *result.Load) { r.Power = nil },
		"the power series does not cover": func(r *Run, _ *result.Load) {
			r.Power = func(int64, int64) float64 { return math.NaN() }
		},
		"there are no tokens":                   func(r *Run, _ *result.Load) { r.Requests = nil },
		"the window is too short for an energy": func(r *Run, _ *result.Load) { r.Requests = r.Requests[:30] },
		"there is no energy per output token":   nil,
	} {
		r, w := poisson(1, 8, 43)
		l := &result.Load{LongRunOutputTokenJ: q, LongRunGoodTokenJ: q, PerGoodTokenJ: q}
		per := q
		if edit == nil {
			per = nil
		} else {
			edit(&r, l)
		}
		r.LongRun(l, w, per)
		if l.LongRunOutputTokenJ != nil || l.LongRunGoodTokenJ != nil || !strings.HasPrefix(l.LongRunReason, why) {
			t.Errorf("%s: %+v, %q", why, l.LongRunOutputTokenJ, l.LongRunReason)
		}
	}
}
