package attribute

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/linear"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// TestSnappedWindowsOnAnH200: on the recording, the energy of a window of one second between two updates of
// the counter is known to a fraction of a percent; between arbitrary readings it is wrong by several percent.
func TestSnappedWindowsOnAnH200(t *testing.T) {
	_, readings := recording(t)
	// SinceNS is the previous row: the recording polled every 6 ms.
	for i := 1; i < len(readings); i++ {
		readings[i].SinceNS = readings[i-1].BeforeNS
	}
	for name, q := range map[string]struct {
		from, to, length   int64
		snapped, unsnapped float64 // largest and smallest 1σ in percent
	}{
		"idle tail": {4900 * ms, 7850 * ms, 1000 * ms, 0.3, 2},
		// The power of the plateau scatters by 4 % between intervals of 100 ms.
		"plateau": {1770 * ms, 4380 * ms, 1000 * ms, 1.5, 2.5},
	} {
		base, energy, err := Snap(readings, Window{q.from, q.to - 200*ms})
		if err != nil {
			t.Fatal(err)
		}
		watts := energy.Joules / base.Duration().Seconds()
		rng := rand.New(rand.NewPCG(1, 2))
		var snapped, unsnapped []float64
		for range 400 {
			length := q.length + int64(rng.Float64()*100e6)
			start := q.from + int64(rng.Float64()*float64(q.to-q.from-length-150*ms))
			w, e, err := Snap(readings, Window{start, start + length})
			if err != nil {
				continue
			}
			snapped = append(snapped, 100*(e.Joules/w.Duration().Seconds()/watts-1))
			unsnapped = append(unsnapped,
				100*((at(readings, start+length)-at(readings, start))/digits.Seconds(length)/watts-1))
		}
		s, u := spread(snapped), spread(unsnapped)
		t.Logf("%s: 1σ snapped %.2f %%, unsnapped %.2f %% (%d windows)", name, s, u, len(snapped))
		if len(snapped) < 200 || s > q.snapped || u < q.unsnapped || u < 2*s {
			t.Errorf("%s: 1σ snapped %.2f %%, want at most %.2f %%; unsnapped %.2f %%, want at least %.2f %%", name,
				s, q.snapped, u, q.unsnapped)
		}
	}
}

// TestCounterOnAnH200: the energy of arbitrary windows of the recording, from the counter's updates around
// them and the series in between. At idle the truth is smooth: a parabola through the counter's updates,
// since the power falls by 1.7 % over the tail. On the plateau the power scatters by 4 % between intervals of
// 100 ms and the truth is not known to that precision, so only the improvement over a single read is checked.
func TestCounterOnAnH200(t *testing.T) {
	samples, readings := recording(t)
	for i := 1; i < len(readings); i++ {
		readings[i].SinceNS = readings[i-1].BeforeNS
	}
	c := curve(t, samples)
	for name, q := range map[string]struct {
		from, to      int64
		sigma, better float64 // largest 1σ in percent, and the improvement over unsnapped readings
		covered       int     // of 400
	}{
		"idle tail": {4900 * ms, 7850 * ms, 0.3, 8, 380},
		"plateau":   {1770 * ms, 4380 * ms, 0.8, 5, 0},
	} {
		smooth := parabola(readings, q.from, q.to)
		rng := rand.New(rand.NewPCG(1, 2))
		var snapped, unsnapped []float64
		covered := 0
		for range 400 {
			length := 1000*ms + int64(rng.Float64()*100e6)
			start := q.from + 100*ms + int64(rng.Float64()*float64(q.to-q.from-length-250*ms))
			w := Window{start, start + length}
			e, err := Counter(marks(readings, w), c, w)
			if err != nil {
				t.Fatal(err)
			}
			truth := smooth(w.End) - smooth(w.Start)
			if math.Abs(e.Joules-truth) <= e.Half95 {
				covered++
			}
			snapped = append(snapped, 100*(e.Joules/truth-1))
			unsnapped = append(unsnapped, 100*((at(readings, w.End)-at(readings, w.Start))/truth-1))
		}
		s, u := spread(snapped), spread(unsnapped)
		t.Logf("%s: 1σ %.2f %%, of single reads %.2f %%; the interval holds %d of 400", name, s, u, covered)
		if s > q.sigma || u < q.better*s || covered < q.covered {
			t.Errorf("%s: 1σ %.2f %%, of single reads %.2f %%, interval holds %d of 400, want at most %.2f %%, "+
				"%.0f times as much, at least %d",
				name, s, u, covered, q.sigma, q.better, q.covered)
		}
	}
}

// marks returns a measurement's readings of a window: the first update after a mark before its start, and the
// first after its end.
func marks(readings []power.Reading, w Window) []power.Reading {
	var before power.Reading
	for _, r := range readings {
		switch {
		case !r.Snapped:
		case r.At() <= w.Start:
			before = r
		case r.At() >= w.End:
			return []power.Reading{before, r}
		}
	}
	return nil
}

// parabola returns the energy up to an instant from a least-squares fit to the updates.
func parabola(readings []power.Reading, from, to int64) func(int64) float64 {
	gram, xy := linear.NewMatrix(3), make([]float64, 3)
	base := readings[0].Energy
	row := func(t int64) []float64 { x := digits.Seconds(t - from); return []float64{1, x, x * x} }
	for _, r := range readings {
		if !r.Snapped || r.At() < from || r.At() > to {
			continue
		}
		x := row(r.At())
		gram.AddOuter(x, 1)
		for i := range x {
			xy[i] += x[i] * (r.Energy - base).Joules()
		}
	}
	inv, _ := gram.Inverse()
	beta := inv.Times(xy)
	return func(t int64) float64 { x := row(t); return beta[0] + beta[1]*x[1] + beta[2]*x[2] }
}

// at returns the value that a single read returns.
func at(readings []power.Reading, t int64) float64 {
	v := readings[0]
	for _, r := range readings {
		if r.AfterNS > t {
			break
		}
		v = r
	}
	return v.Energy.Joules()
}

func spread(v []float64) float64 {
	var sum, square float64
	for _, x := range v {
		sum += x
		square += x * x
	}
	n := float64(len(v))
	return math.Sqrt(square/n - sum/n*sum/n)
}

// counted returns periodic readings of a counter of constant power.
func counted(watts float64, seconds int, edit func(i int, joules float64) float64) []power.Reading {
	var out []power.Reading
	for i := range seconds * 2 {
		out = append(out, power.Reading{BeforeNS: int64(i) * 500 * ms, AfterNS: int64(i)*500*ms + ms,
			Refresh: 100 * time.Millisecond,
			Energy:  unit.FromJoules(edit(i, watts*0.5*float64(i)))})
	}
	return out
}

func TestCounterThatCannotBeRight(t *testing.T) {
	steady := curve(t, series(0, 20_000*ms, 20*ms, func(int64) float64 { return 300 }))
	w := Window{2000 * ms, 17_000 * ms}
	for name, q := range map[string]struct {
		edit func(i int, j float64) float64
		want string
	}{
		"good":  {func(_ int, j float64) float64 { return j }, ""},
		"reset": {func(i int, j float64) float64 { return j - map[bool]float64{true: 2000}[i > 20] }, "backwards"},
		"reset and grown beyond": {func(i int, j float64) float64 {
			if i == 20 {
				return 0
			}
			return j
		}, "backwards"},
		"frozen for a while": {func(i int, j float64) float64 {
			if i > 20 && i < 30 {
				return 300 * 0.5 * 20
			}
			return j
		}, "frozen"},
		"frozen throughout": {func(int, float64) float64 { return 5 }, "frozen"},
		"jump up": {func(i int, j float64) float64 { return j + map[bool]float64{true: 400}[i > 20] },
			"jumped"},
		"a step lost": {func(i int, j float64) float64 { return j - map[bool]float64{true: 145}[i > 20] }, "jumped"},
	} {
		readings := counted(300, 20, q.edit)
		e, err := Counter(readings, steady, w)
		if err == nil {
			err = Jump(readings, steady)
		}
		switch {
		case q.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case q.want != "" && (err == nil || !strings.Contains(err.Error(), q.want)):
			t.Errorf("%s: %.1f J, %v, want an error about %q", name, e.Joules, err, q.want)
		}
	}
}

func TestMeanPower(t *testing.T) {
	// The confidence interval must cover the mean for correlated noise.
	inside, drifted := 0, 0
	const n = 200
	for k := range n {
		rng := rand.New(rand.NewPCG(uint64(k), 9))
		noise := 0.0
		var s []power.Sample
		for i := range int64(300) {
			noise = 0.7*noise + 2*rng.NormFloat64()
			s = append(s, power.Sample{MonoNS: i * 20 * ms, Power: unit.Watts(80 + noise),
				Window: 20 * time.Millisecond, Source: "test"})
		}
		m, err := MeanPower(s, Window{100 * ms, 5900 * ms})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(m.Watts-80) <= m.Half95 {
			inside++
		}
		if math.Abs(m.Drift) > m.DriftHalf95 {
			drifted++
		}
	}
	if inside < 175 {
		t.Errorf("the interval holds the mean in %d of %d cases, want about 95 %%", inside, n)
	}
	if drifted > 34 {
		t.Errorf("drift was found in %d of %d cases without any", drifted, n)
	}
	m, err := MeanPower(series(0, 5000*ms, 20*ms, func(t int64) float64 { return 80 + 4*digits.Seconds(t) }),
		Window{500 * ms, 4500 * ms})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "drift", m.Drift, 16, 0.5)
}

// TestSmallJump: one step of eight that differs from the series by less than the two totals may.
func TestSmallJump(t *testing.T) {
	steady := curve(t, series(0, 40_000*ms, 20*ms, func(int64) float64 { return 400 }))
	for name, q := range map[string]struct {
		gain, jump float64
		late       time.Duration // of one reading
		want       bool
	}{
		"none":                           {0, 0, 0, false},
		"310 J":                          {0, 310, 0, true},
		"310 J lost":                     {0, -310, 0, true},
		"310 J beside 4 % of gain":       {0.04, 310, 0, true},
		"310 J beside -3 % of gain":      {-0.03, 310, 0, true},
		"an even difference of 4 %":      {0.04, 0, 0, false},
		"an even difference of -8 %":     {-0.08, 0, 0, false},
		"a reading late by half second":  {0, 0, 500 * time.Millisecond, false},
		"310 J, and a late reading":      {0, 310, 100 * time.Millisecond, true},
		"within the timing of a reading": {0, 40, 0, false},
	} {
		var readings []power.Reading
		for i := range 9 {
			at := int64(i) * 5000 * ms
			joules := 400 * (1 + q.gain) * digits.Seconds(at)
			if i == 3 {
				joules -= 400 * q.late.Seconds()
			}
			if i >= 5 {
				joules += q.jump
			}
			readings = append(readings,
				power.Reading{BeforeNS: at, AfterNS: at + ms, Refresh: 100 * time.Millisecond,
					Energy: unit.FromJoules(joules)})
		}
		if err := Jump(readings, steady); (err != nil) != q.want {
			t.Errorf("%s: %v, want a jump: %v", name, err, q.want)
		}
	}
}

// TestCounterAlone: without a series, a step is an error if no device draws as much; otherwise it is compared
// with the other steps.
func TestCounterAlone(t *testing.T) {
	long, short := Window{2000 * ms, 17_000 * ms}, Window{2000 * ms, 3000 * ms}
	after := func(joules float64) func(int, float64) float64 {
		return func(i int, j float64) float64 {
			if i > 20 {
				return j + joules
			}
			return j
		}
	}
	for name, q := range map[string]struct {
		w         Window
		edit      func(i int, j float64) float64
		doubt, no string
	}{
		"steady":            {long, after(0), "", ""},
		"too few steps":     {short, after(0), "with 3 of its steps", ""},
		"impossible":        {long, after(5000), "", "more than any device draws"},
		"possible, but odd": {long, after(500), "either the load changed", ""},
		"lost":              {long, after(-140), "either the load changed", ""},
		"beyond the window": {short, after(5000), "with 3 of its steps", ""},
		"as large as the load": {long, func(i int, j float64) float64 { return j + 60*math.Sin(1.9*float64(i)) },
			"would not show", ""},
	} {
		doubt, err := Alone(counted(300, 20, q.edit), q.w)
		if (err == nil) != (q.no == "") || err != nil && !strings.Contains(err.Error(), q.no) {
			t.Errorf("%s: refused with %v, want %q", name, err, q.no)
		}
		if (doubt == "") != (q.doubt == "") || !strings.Contains(doubt, q.doubt) {
			t.Errorf("%s: doubt %q, want %q", name, doubt, q.doubt)
		}
	}
}
