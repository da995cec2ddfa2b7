package attribute

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// TestSnappedWindowsOnAnH200: on the recording, a window of one second whose limits
// are the counter's own updates is known to a fraction of a percent; the same
// window read anywhere is wrong by several.
func TestSnappedWindowsOnAnH200(t *testing.T) {
	_, readings := recording(t)
	// SinceNS is the row before: the recording polled every 6 ms.
	for i := 1; i < len(readings); i++ {
		readings[i].SinceNS = readings[i-1].BeforeNS
	}
	for name, q := range map[string]struct {
		from, to, length   int64
		snapped, unsnapped float64 // largest and smallest 1σ in percent
	}{
		"idle tail": {4900 * ms, 7850 * ms, 1000 * ms, 0.3, 2},
		// The plateau's power itself scatters by 4 % from one 100 ms to the next.
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
			unsnapped = append(unsnapped, 100*((at(readings, start+length)-at(readings, start))/seconds(length)/watts-1))
		}
		s, u := spread(snapped), spread(unsnapped)
		t.Logf("%s: 1σ snapped %.2f %%, unsnapped %.2f %% (%d windows)", name, s, u, len(snapped))
		if len(snapped) < 200 || s > q.snapped || u < q.unsnapped || u < 2*s {
			t.Errorf("%s: 1σ snapped %.2f %%, want at most %.2f %%; unsnapped %.2f %%, want at least %.2f %%", name, s, q.snapped, u, q.unsnapped)
		}
	}
}

// at is what a reader sees who asks once.
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

// counted reads a counter of constant power every so often.
func counted(watts float64, seconds int, edit func(i int, joules float64) float64) []power.Reading {
	var out []power.Reading
	for i := range seconds * 2 {
		out = append(out, power.Reading{BeforeNS: int64(i) * 500 * ms, AfterNS: int64(i)*500*ms + ms, Refresh: 100 * time.Millisecond,
			Energy: unit.FromJoules(edit(i, watts*0.5*float64(i)))})
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
		"jump up":           {func(i int, j float64) float64 { return j + map[bool]float64{true: 400}[i > 20] }, "jumped"},
		"a step lost":       {func(i int, j float64) float64 { return j - map[bool]float64{true: 145}[i > 20] }, "jumped"},
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
	// Noise that hangs together over some samples: its interval must cover.
	inside, drifted := 0, 0
	const n = 200
	for k := range n {
		rng := rand.New(rand.NewPCG(uint64(k), 9))
		noise := 0.0
		var s []power.Sample
		for i := range int64(300) {
			noise = 0.7*noise + 2*rng.NormFloat64()
			s = append(s, power.Sample{MonoNS: i * 20 * ms, Power: unit.Watts(80 + noise), Window: 20 * time.Millisecond, Source: "test"})
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
	m, err := MeanPower(series(0, 5000*ms, 20*ms, func(t int64) float64 { return 80 + 4*seconds(t) }), Window{500 * ms, 4500 * ms})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "drift", m.Drift, 16, 0.5)
}
