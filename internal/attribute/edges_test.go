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
