package loadline

import (
	"math"
	"math/rand/v2"
	"testing"
)

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > within {
		t.Errorf("%s is %.9g, want %.9g", what, got, want)
	}
}

// TestFitMatchesAnOracle: Anscombe's first data set has the published line 3.0001 + 0.5001 x, with the standard
// errors 1.1247 and 0.1179 and the residual 1.2366 (Anscombe 1973; R's lm). The quantile for 9 degrees of freedom
// is 2.262157.
func TestFitMatchesAnOracle(t *testing.T) {
	x := []float64{10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5}
	y := []float64{8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68}
	points := make([]Point, len(x))
	for i := range x {
		points[i] = Point{x[i], y[i]}
	}
	l, err := Fit(points)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "intercept", l.InterceptW.Value, 3.000090909, 1e-8)
	near(t, "slope", l.SlopeJ.Value, 0.500090909, 1e-8)
	near(t, "residual", l.ResidualW, 1.236603, 1e-5)
	near(t, "half of the intercept", l.InterceptW.Half(), 2.262157*1.124747, 1e-4)
	near(t, "half of the slope", l.SlopeJ.Half(), 2.262157*0.117906, 1e-4)
	near(t, "power at the mean rate", l.At(9).Value, 7.500909, 1e-5)
	near(t, "half at the mean rate", l.At(9).Half(), 2.262157*1.236603/math.Sqrt(11), 1e-4)
	near(t, "energy of a request", l.PerRequest(4).Value, (3.000090909+4*0.500090909)/4, 1e-8)
}

// TestCoverage: of lines with noise, the intervals hold the true slope and intercept about 95 times in 100, and the
// energy of a request falls towards the slope.
func TestCoverage(t *testing.T) {
	const trials, intercept, slope = 2000, 300.0, 20.0
	random := rand.New(rand.NewPCG(1, 2))
	var slopes, intercepts int
	for range trials {
		var points []Point
		for _, rate := range []float64{1, 2, 4, 8, 12, 16} {
			for range 2 {
				points = append(points, Point{rate, intercept + slope*rate + 5*random.NormFloat64()})
			}
		}
		l, err := Fit(points)
		if err != nil {
			t.Fatal(err)
		}
		if l.SlopeJ.Low <= slope && slope <= l.SlopeJ.High {
			slopes++
		}
		if l.InterceptW.Low <= intercept && intercept <= l.InterceptW.High {
			intercepts++
		}
		if far := l.PerRequest(1e6).Value; math.Abs(far-l.SlopeJ.Value) > 1e-3 {
			t.Fatalf("at a high rate a request costs %g J, and the slope is %g J", far, l.SlopeJ.Value)
		}
	}
	for what, n := range map[string]int{"slope": slopes, "intercept": intercepts} {
		if share := float64(n) / trials; share < 0.93 || share > 0.97 {
			t.Errorf("%.1f %% of the intervals hold the %s", 100*share, what)
		}
	}
}

// TestTooFew: two rates make no line, however many runs there are, nor do rates that hardly differ.
func TestTooFew(t *testing.T) {
	for _, points := range [][]Point{nil, {{1, 2}}, {{1, 2}, {1, 3}, {2, 4}, {2, 5}}, {{1, 2}, {1.01, 2}, {1.02, 2}},
		{{1, 2}, {2, math.NaN()}, {3, 4}}} {
		if l, err := Fit(points); err == nil {
			t.Errorf("%v has the line %+v", points, l)
		}
	}
}

// TestProportionality: of a linear power it is 1 − idle/peak, of a proportional one 1, of a constant one 0; a power
// that rises at once is less proportional than 0.
func TestProportionality(t *testing.T) {
	line := func(idle, slope float64) (out []Point) {
		for _, rate := range []float64{1, 1.01, 4, 10} {
			out = append(out, Point{rate, idle + slope*rate})
		}
		return out
	}
	near(t, "proportional", Proportionality(0, line(0, 30), 10), 1, 1e-9)
	near(t, "constant", Proportionality(250, line(250, 0), 10), 0, 1e-9)
	near(t, "half idle", Proportionality(200, line(200, 20), 10), 0.5, 1e-9)
	near(t, "at once", Proportionality(100, []Point{{0.001, 400}, {10, 400}}, 10), 0, 1e-3)
	if v := Proportionality(200, line(200, 20), 20); !math.IsNaN(v) {
		t.Errorf("a capacity far above the highest rate has the proportionality %g", v)
	}
}
