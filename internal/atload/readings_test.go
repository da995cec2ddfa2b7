package atload

import (
	"math"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// TestPartsOfALoad: the energies of the parts of a load whose power rises are right although readings between two
// changes of the counter are old, and readings at changes lie beyond the limits.
func TestPartsOfALoad(t *testing.T) {
	const s = int64(time.Second)
	const refresh = s / 10
	joules := func(at int64) float64 { // 100 W, and 10 W more each second from 10 to 30 s; then 100 W
		x := min(20, max(0, float64(at-10*s)/float64(s)))
		return 100*float64(at)/float64(s) + 5*x*x
	}
	var readings []power.Reading
	read := func(at int64, snapped bool) {
		r := power.Reading{BeforeNS: at, AfterNS: at, Energy: unit.FromJoules(joules(at / refresh * refresh)),
			Snapped: snapped}
		if snapped {
			r.SinceNS = at - 2e6
		}
		readings = append(readings, r)
	}
	read(10*s, true)
	for i := range int64(20) {
		read((11+i)*s-refresh/2, false)
	}
	read(30*s+refresh, true)
	var samples []power.Sample
	for at := 9 * s; at < 32*s; at += s / 50 {
		samples = append(samples, power.Sample{MonoNS: at, Power: unit.Watts((joules(at) - joules(at-s/50)) * 50),
			Window: 20 * time.Millisecond})
	}
	curve, err := attribute.NewCurve(samples)
	if err != nil {
		t.Fatal(err)
	}
	held := Held(readings)
	w, ok := Snap(held, attribute.Window{Start: 15*s + 1, End: 29*s + s/2})
	if !ok || w.Duration() < 12*time.Second {
		t.Fatalf("window %v", w)
	}
	for _, part := range []attribute.Window{{Start: 10 * s, End: w.Start}, w, {Start: w.End, End: 30 * s}} {
		e, err := attribute.Counter(Within(held, part), curve, part)
		want := joules(part.End) - joules(part.Start)
		if err != nil || math.Abs(e.Joules-want) > 2 || math.Abs(e.Joules-want) > e.Half95 {
			t.Errorf("%v: %.1f ± %.1f J, want %.1f: %v", part, e.Joules, e.Half95, want, err)
		}
	}
}

// TestIdleEnergy: samples that lag behind the power by 30 ms do not raise the energy of the times without a request.
func TestIdleEnergy(t *testing.T) {
	const s = int64(time.Second)
	var idle []attribute.Window
	watts := func(at int64) float64 { // a request of 600 ms each second
		if at%s < s*6/10 {
			return 500
		}
		return 100
	}
	var samples []power.Sample
	for at := int64(0); at < 20*s; at += s / 50 {
		samples = append(samples, power.Sample{MonoNS: at, Power: unit.Watts(watts(max(0, at-3e7))),
			Window: 20 * time.Millisecond})
		if at%s == 0 {
			idle = append(idle, attribute.Window{Start: at + s*6/10, End: at + s})
		}
	}
	curve, err := attribute.NewCurve(samples)
	if err != nil {
		t.Fatal(err)
	}
	w := attribute.Window{Start: s, End: 19 * s}
	e, err := IdleEnergy(curve, idle[1:18], w, 340)
	if want := 17 * 0.4 * 100; err != nil || math.Abs(e.Joules-want) > e.Half95+1 || e.Half95 > 0.05*want {
		t.Errorf("%.1f ± %.1f J, want %.1f: %v", e.Joules, e.Half95, want, err)
	}
	for i := range idle {
		idle[i].Start = idle[i].End - s/50
	}
	if e, err := IdleEnergy(curve, idle[1:18], w, 340); err == nil {
		t.Errorf("times of a sample have %v", e)
	}
}
