package stats

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// oracle is testdata/oracle.json, made by testdata/oracle.py with SciPy,
// statsmodels and pymannkendall.
type oracle struct {
	Student      [][3]float64
	MeanInterval []struct {
		Values    []float64
		Low, High float64
	} `json:"mean_interval"`
	BCa []struct {
		Values    []float64
		Statistic string
		Low, High float64
	} `json:"bca"`
	Ratio []struct {
		A, B      []float64
		Paired    bool
		Value, P  float64
		Low, High float64
	}
	Power            [][4]float64
	Permutation      []comparisonCase
	PermutationLarge []comparisonCase `json:"permutation_large"`
	Trend            []struct {
		Times, Values []float64
		S             int
		Tau, P, Slope float64
		Exact         bool
		Low, High     *float64
	}
	Holm []struct{ P, Adjusted []float64 }
}

type comparisonCase struct {
	A, B   []float64
	Paired bool
	P      float64
}

func loadOracle(t *testing.T) oracle {
	t.Helper()
	text, err := os.ReadFile("testdata/oracle.json")
	if err != nil {
		t.Fatal(err)
	}
	var o oracle
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// near reports whether got is want up to a relative error.
func near(got, want, relative float64) bool {
	return got == want || math.Abs(got-want) <= relative*math.Abs(want)
}

func TestStudentQuantileMatchesSciPy(t *testing.T) {
	for _, c := range loadOracle(t).Student {
		if got := studentQuantile(c[1], c[0]); !near(got, c[2], 1e-10) {
			t.Errorf("t(df %v, tail %v) = %.15g, want %.15g", c[0], c[1], got, c[2])
		}
	}
}

func TestMeanIntervalMatchesSciPy(t *testing.T) {
	for _, c := range loadOracle(t).MeanInterval {
		e, err := MeanInterval(c.Values, 0)
		if err != nil || !near(e.Low, c.Low, 1e-10) || !near(e.High, c.High, 1e-10) || e.Method != MethodStudent {
			t.Errorf("%+v, %v, want [%v, %v]", e, err, c.Low, c.High)
		}
	}
}

// The bootstraps draw other resamples than SciPy's, so their ends differ by up to
// some percent of the width: here more than four standard errors.
const monteCarlo = 0.03

func TestBCaMatchesSciPy(t *testing.T) {
	for i, c := range loadOracle(t).BCa {
		statistic := map[string]Statistic{"mean": Mean, "median": Median}[c.Statistic]
		e, err := BCa(c.Values, statistic, Options{Resamples: 20000, Seed: 3})
		slack := monteCarlo * (c.High - c.Low)
		if err != nil || math.Abs(e.Low-c.Low) > slack || math.Abs(e.High-c.High) > slack || e.Method != MethodBCa {
			t.Errorf("case %d: %+v, %v, want [%v, %v]", i, e, err, c.Low, c.High)
		}
	}
}

func TestRatioMatchesSciPy(t *testing.T) {
	for i, c := range loadOracle(t).Ratio {
		got, err := Compare(c.A, c.B, c.Paired, Options{})
		e := got.Ratio
		if err != nil || !near(e.Value, c.Value, 1e-12) || !near(e.Low, c.Low, 1e-9) || !near(e.High, c.High, 1e-9) ||
			!near(got.P, c.P, 1e-9) {
			t.Errorf("case %d: %+v, p %v, %v, want %v [%v, %v], p %v", i, e, got.P, err, c.Value, c.Low, c.High, c.P)
		}
	}
}

func TestPowerMatchesSciPy(t *testing.T) {
	for _, c := range loadOracle(t).Power {
		if got := tPower(c[1], c[0], c[2]); math.Abs(got-c[3]) > 1e-3 {
			t.Errorf("power(df %v, noncentrality %v, level %v) = %v, want %v", c[0], c[1], c[2], got, c[3])
		}
	}
}

func TestPermutationMatchesSciPy(t *testing.T) {
	o := loadOracle(t)
	for i, c := range o.Permutation {
		got, err := Compare(c.A, c.B, c.Paired, Options{})
		if err != nil || !near(got.Permutation.P, c.P, 1e-12) || !got.Permutation.Exact {
			t.Errorf("case %d: p = %v (exact %v), %v, want %v", i, got.Permutation.P, got.Permutation.Exact, err, c.P)
		}
	}
	for i, c := range o.PermutationLarge {
		const draws = 40000
		got, err := Compare(c.A, c.B, c.Paired, Options{Resamples: draws})
		// Four standard errors of a doubled tail.
		if err != nil || math.Abs(got.Permutation.P-c.P) > 8*math.Sqrt(c.P/2/draws) || got.Permutation.Exact {
			t.Errorf("large case %d: p = %v (exact %v), %v, want about %v", i, got.Permutation.P,
				got.Permutation.Exact, err, c.P)
		}
	}
}

func TestDriftMatchesOracle(t *testing.T) {
	for i, c := range loadOracle(t).Trend {
		got, err := Drift(c.Times, c.Values, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got.S != c.S || !near(got.Tau, c.Tau, 1e-12) || !near(got.P, c.P, 1e-9) || got.Exact != c.Exact {
			t.Errorf("case %d: S %d tau %v p %v exact %v, want %d, %v, %v, %v",
				i, got.S, got.Tau, got.P, got.Exact, c.S, c.Tau, c.P, c.Exact)
		}
		if !near(got.Slope.Value, c.Slope, 1e-12) {
			t.Errorf("case %d: slope %v, want %v", i, got.Slope.Value, c.Slope)
		}
		switch {
		case c.Low != nil:
			if !near(got.Slope.Low, *c.Low, 1e-12) || !near(got.Slope.High, *c.High, 1e-12) {
				t.Errorf("case %d: slope in [%v, %v], want [%v, %v]", i, got.Slope.Low, got.Slope.High, *c.Low, *c.High)
			}
		case len(c.Values) < 5 && got.Slope.HasInterval():
			t.Errorf("case %d: %d values have an interval of the slope", i, len(c.Values))
		}
	}
}

func TestHolmMatchesStatsmodels(t *testing.T) {
	for i, c := range loadOracle(t).Holm {
		got, err := Holm(c.P)
		if err != nil {
			t.Fatal(err)
		}
		for j := range got {
			if !near(got[j], c.Adjusted[j], 1e-12) {
				t.Errorf("case %d: %v, want %v", i, got, c.Adjusted)
				break
			}
		}
	}
}
