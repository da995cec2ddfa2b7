package attribute

import (
	"math"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// TestEdgesOfTheirOwn: each limit of a window has the timing of its own reading.
func TestEdgesOfTheirOwn(t *testing.T) {
	const ms, watts = int64(time.Millisecond), 100.0
	w := Window{Start: 1000 * ms, End: 3000 * ms}
	exact := func(at int64) power.Reading {
		return power.Reading{BeforeNS: at, AfterNS: at + 2, SinceNS: at - 2, Snapped: true,
			Energy: unit.Energy(watts * float64(at) / 1000)}
	}
	late := func(at int64) power.Reading {
		r := exact(at)
		r.Snapped, r.SinceNS, r.AfterNS, r.Refresh = false, 0, at, 100*time.Millisecond
		return r
	}
	want := 0.95 * 0.1 / 2 * watts
	for name, q := range map[string]struct {
		readings []power.Reading
		want     float64
	}{
		"both exact":     {[]power.Reading{exact(w.Start), exact(w.End)}, 0},
		"a late begin":   {[]power.Reading{late(w.Start), exact(w.End)}, want},
		"a late end":     {[]power.Reading{exact(w.Start), late(w.End)}, want},
		"late both ways": {[]power.Reading{late(w.Start), late(w.End)}, twoEdges95(0.05, 0.05) * watts},
	} {
		e, err := Counter(q.readings, nil, w)
		if err != nil || math.Abs(e.Half95-q.want) > 1e-3 || math.Abs(e.Joules-200) > 1e-3 {
			t.Errorf("%s: %+v, %v, want 200 J ± %g", name, e, err, q.want)
		}
	}
}

// TestBeyond: the power around a window is the mean of the samples there, with the standard error of a mean; power
// that scatters much is not known.
func TestBeyond(t *testing.T) {
	const ms = int64(time.Millisecond)
	for name, q := range map[string]struct {
		swing float64
		ok    bool
	}{"steady": {0, true}, "scatters": {10, true}, "scatters much": {16, false}} {
		c := &Curve{spacing: 20 * time.Millisecond}
		for i := range int64(100) {
			c.times = append(c.times, i*20*ms)
			c.watts = append(c.watts, 100+q.swing*float64(1-i%2*2))
		}
		watts, sd, ok := c.beyond(true, 2000*ms)
		n := 0.0
		for _, at := range c.times {
			if at >= 2000*ms-reach && at <= 2000*ms-int64(2*settling) {
				n++
			}
		}
		if math.Abs(watts-100) > q.swing/n+1e-9 || math.Abs(sd-q.swing/math.Sqrt(n-1)) > 0.01*sd+1e-6 || ok != q.ok {
			t.Errorf("%s: %g W ± %g of %g samples, known: %v", name, watts, sd, n, ok)
		}
	}
}
