package attribute

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

const ms = int64(time.Millisecond)

// series samples watts(t) every spacing as the mean over the spacing before.
func series(from, to, spacing int64, watts func(t int64) float64) []power.Sample {
	var out []power.Sample
	for t := from + spacing; t <= to; t += spacing {
		sum := 0.0
		for k := range int64(100) {
			sum += watts(t - spacing + k*spacing/100)
		}
		out = append(out, power.Sample{MonoNS: t, Device: "d", Source: "test", Power: unit.Watts(sum / 100),
			Window: time.Duration(spacing)})
	}
	return out
}

func curve(t *testing.T, s []power.Sample) *Curve {
	t.Helper()
	c, err := NewCurve(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s = %v, want %v ± %v", what, got, want, tolerance)
	}
}

func TestIntegralOfAStep(t *testing.T) {
	// 100 W, then 300 W from 500 ms on.
	c := curve(t, series(0, 1000*ms, 20*ms, func(t int64) float64 {
		if t < 500*ms {
			return 100
		}
		return 300
	}))
	got, err := c.Integral(Window{100 * ms, 900 * ms})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "integral", got.Joules, 0.4*100+0.4*300, 1e-9)
	near(t, "half width", got.Half95, 0.020*(1-math.Sqrt(0.05))*200, 1e-9)
}

func TestForwardHoldOfInstantaneousSamples(t *testing.T) {
	var s []power.Sample
	for i := range int64(11) {
		w := unit.Watts(100)
		if i >= 5 {
			w = 200
		}
		s = append(s, power.Sample{MonoNS: i * 100 * ms, Power: w})
	}
	near(t, "integral", curve(t, s).Joules(0, 1000*ms), 0.5*100+0.5*200, 1e-9)
}

// TestOrderAndDuplicatesDoNotMatter: a series is a set of samples.
func TestOrderAndDuplicatesDoNotMatter(t *testing.T) {
	s := series(0, 1000*ms, 20*ms, func(t int64) float64 { return 50 + float64(t%(7*ms))/1e6 })
	want := curve(t, s).Joules(0, 1000*ms)
	mixed := append(append([]power.Sample{}, s...), s[:20]...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	near(t, "integral", curve(t, mixed).Joules(0, 1000*ms), want, 1e-9)
}

func TestAGapIsRefused(t *testing.T) {
	s := series(0, 2000*ms, 20*ms, func(int64) float64 { return 100 })
	holed := append(append([]power.Sample{}, s[:40]...), s[70:]...) // 600 ms missing
	c := curve(t, holed)
	w := Window{100 * ms, 1900 * ms}
	if _, err := c.Integral(w); err == nil || !strings.Contains(err.Error(), "covers only") {
		t.Errorf("integral over a gap: %v, want an error", err)
	}
	if q := c.Quality(w); q.Gaps != 1 || q.LargestGap != 620*time.Millisecond {
		t.Errorf("quality = %+v, want one gap of 620 ms", q)
	}
}

func TestImpossibleSamples(t *testing.T) {
	for _, w := range []float64{math.NaN(), math.Inf(1), -5} {
		if _, err := NewCurve([]power.Sample{{MonoNS: 1, Power: 1}, {MonoNS: 2, Power: unit.Watts(w)}}); err == nil {
			t.Errorf("a sample of %v W was accepted", w)
		}
	}
	if _, err := NewCurve(nil); err == nil {
		t.Error("an empty series was accepted")
	}
}

func reading(at int64, joules float64, snapped bool) power.Reading {
	return power.Reading{BeforeNS: at, AfterNS: at, SinceNS: at - 2*ms, Energy: unit.FromJoules(joules),
		Snapped: snapped, Refresh: 100 * time.Millisecond}
}

func TestCounterRemovesSlivers(t *testing.T) {
	// 100 W outside [1 s, 3 s], 400 W inside.
	watts := func(t int64) float64 {
		if t >= 1000*ms && t < 3000*ms {
			return 400
		}
		return 100
	}
	c := curve(t, series(0, 5000*ms, 20*ms, watts))
	readings := []power.Reading{
		reading(500*ms, 950, false), reading(900*ms, 1000, true),
		reading(3040*ms, 1000+10+800+4, false), reading(3090*ms, 1000+10+800+9, true), reading(3600*ms,
			1000+10+800+60, true),
	}
	got, err := Counter(readings, c, Window{1000 * ms, 3000 * ms})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "counter energy", got.Joules, 800, 1e-6)
	if got.Half95 > 5 {
		t.Errorf("half width %v J, want a few joules at most for snapped readings", got.Half95)
	}
}

func TestCounterFaults(t *testing.T) {
	w := Window{1000 * ms, 2000 * ms}
	for name, c := range map[string]struct {
		readings []power.Reading
		want     string
	}{
		"none":      {nil, "both sides"},
		"one side":  {[]power.Reading{reading(900*ms, 5, true)}, "both sides"},
		"too far":   {[]power.Reading{reading(-9000*ms, 5, true), reading(2010*ms, 9, true)}, "both sides"},
		"backwards": {[]power.Reading{reading(900*ms, 5, true), reading(2010*ms, 4, true)}, "backwards"},
		"frozen":    {[]power.Reading{reading(900*ms, 5, true), reading(2010*ms, 5, true)}, "did not change"},
	} {
		if _, err := Counter(c.readings, nil, w); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error about %q", name, err, c.want)
		}
	}
}

// recording returns 8 s of an H200: idle, three seconds of matrix products, idle. Each row has seconds,
// POWER_INSTANT, POWER_AVERAGE and GetPowerUsage in mW, and the energy counter in mJ.
func recording(t *testing.T) (samples []power.Sample, readings []power.Reading) {
	t.Helper()
	b, err := os.ReadFile("testdata/h200-step.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][5]float64
	if err := json.Unmarshal(b, &rows); err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		at := int64(r[0] * 1e9)
		samples = append(samples, power.Sample{MonoNS: at, Power: unit.Watts(r[1] / 1e3), Source: "nvml.instant"})
		readings = append(readings, reading(at, r[4]/1e3, i > 0 && r[4] != rows[i-1][4]))
	}
	return samples, readings
}

// TestRecordingAgrees: on a real H200, the integral of POWER_INSTANT and the counter agree on the plateau and
// over the whole step.
func TestRecordingAgrees(t *testing.T) {
	samples, readings := recording(t)
	c := curve(t, samples)
	for name, q := range map[string]struct {
		w         Window
		tolerance float64
	}{
		"plateau": {Window{1770 * ms, 4380 * ms}, 0.01},
		"tail":    {Window{4900 * ms, 6900 * ms}, 0.01},
		"step":    {Window{1000 * ms, 7000 * ms}, 0.02},
	} {
		integral, err := c.Integral(q.w)
		if err != nil {
			t.Fatal(err)
		}
		counter, err := Counter(readings, c, q.w)
		if err != nil {
			t.Fatal(err)
		}
		if d := integral.Joules/counter.Joules - 1; math.Abs(d) > q.tolerance {
			t.Errorf("%s: integral %.2f J, counter %.2f J: %.2f %% apart, want at most %.0f %%",
				name, integral.Joules, counter.Joules, 100*d, 100*q.tolerance)
		}
	}
}

func TestTwoEdges(t *testing.T) {
	// Against sampling: 95 % of |u + v| for u, v uniform within ±a, ±b.
	rng := rand.New(rand.NewPCG(3, 4))
	for _, q := range [][2]float64{{1, 1}, {1, 0}, {2, 0.5}, {1, 0.03}, {0.2, 1}} {
		limit, inside := twoEdges95(q[0], q[1]), 0
		const n = 200_000
		for range n {
			if math.Abs((2*rng.Float64()-1)*q[0]+(2*rng.Float64()-1)*q[1]) <= limit {
				inside++
			}
		}
		near(t, "coverage", float64(inside)/n, 0.95, 0.003)
	}
}
