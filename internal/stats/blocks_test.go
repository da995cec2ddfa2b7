package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// cluster draws a study: configurations c0, c1, … whose cycles are spread over machines that differ by 5 %.
type cluster struct {
	configs, cycles, machines int
	// ratio of c1 to c0; the others are as c0.
	ratio float64
	// interaction is the standard deviation of a configuration's own effect of a machine.
	interaction float64
	// same puts all cycles of a configuration on one machine, another one for the next configuration.
	same bool
}

func (q cluster) draw(rng *rand.Rand) (out []InBlock) {
	machine := make([]float64, q.machines)
	for i := range machine {
		machine[i] = 0.05 * rng.NormFloat64()
	}
	for c := range q.configs {
		own := make([]float64, q.machines)
		for i := range own {
			own[i] = q.interaction * rng.NormFloat64()
		}
		for k := range q.cycles {
			at := (c + k) % q.machines
			if q.same {
				at = c % q.machines
			}
			v := machine[at] + own[at] + 0.01*rng.NormFloat64()
			if c == 1 {
				v += math.Log(q.ratio)
			}
			out = append(out, InBlock{fmt.Sprint("c", c), fmt.Sprint("m", at), math.Exp(v)})
		}
	}
	return out
}

// TestBlocksCoverage: with an effect of the machines of 5 %, 95 % intervals of the ratio cover it in 95 % of studies,
// and of configurations without a difference 5 % are called different.
func TestBlocksCoverage(t *testing.T) {
	const studies = 2000
	test := func(q cluster, rng *rand.Rand) (p float64, e Estimate) {
		fit, _ := bestFit(inLogs(q.draw(rng)), "c0", "c1")
		return fit.contrast().test(1), fit.contrast().interval(1, 0.95)
	}
	for name, c := range map[string]struct {
		cluster
		covers, different float64
	}{
		"2 machines":             {cluster{configs: 2, cycles: 6, machines: 2}, 0.94, 0.06},
		"2 machines, 20 cycles":  {cluster{configs: 2, cycles: 20, machines: 2}, 0.94, 0.06},
		"3 machines":             {cluster{configs: 2, cycles: 6, machines: 3}, 0.94, 0.06},
		"8 machines":             {cluster{configs: 2, cycles: 8, machines: 8}, 0.94, 0.06},
		"3 machines, 6 of all":   {cluster{configs: 6, cycles: 3, machines: 3}, 0.94, 0.06},
		"8 machines, 6 of all":   {cluster{configs: 6, cycles: 3, machines: 8}, 0.94, 0.06},
		"8 machines that vary":   {cluster{configs: 2, cycles: 16, machines: 8, interaction: 0.02}, 0.94, 0.06},
		"3 machines that vary":   {cluster{configs: 2, cycles: 12, machines: 3, interaction: 0.03}, 0.91, 0.08},
		"3 that vary by scatter": {cluster{configs: 2, cycles: 12, machines: 3, interaction: 0.01}, 0.86, 0.13},
	} {
		rng := rand.New(rand.NewPCG(3, 9))
		covered, different := 0.0, 0.0
		for range studies {
			c.ratio = 1
			if p, _ := test(c.cluster, rng); p < 0.05 {
				different++
			}
			c.ratio = 1.03
			if _, e := test(c.cluster, rng); e.Low <= math.Log(1.03) && math.Log(1.03) <= e.High {
				covered++
			}
		}
		if share := covered / studies; share < c.covers || share > 0.98 {
			t.Errorf("%s: %.1f %% of the intervals cover the ratio", name, 100*share)
		}
		if share := different / studies; share > c.different {
			t.Errorf("%s: %.1f %% without a difference are called different", name, 100*share)
		}
	}
}

// TestBlocksIgnored: where the machines are not shared evenly, a comparison that ignores them finds differences that
// are not there in far more than 5 % of studies; within blocks it does not.
func TestBlocksIgnored(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	const studies = 1000
	ignored, within := 0, 0
	for range studies {
		machine := []float64{0.05 * rng.NormFloat64(), 0.05 * rng.NormFloat64()}
		var all []InBlock
		var a, b []float64
		for k := range 7 {
			x, y := machine[(k+1)/7]+0.01*rng.NormFloat64(), machine[1-(k+1)/7]+0.01*rng.NormFloat64()
			all = append(all, InBlock{"a", fmt.Sprint((k + 1) / 7), math.Exp(x)},
				InBlock{"b", fmt.Sprint(1 - (k+1)/7), math.Exp(y)})
			a, b = append(a, math.Exp(x)), append(b, math.Exp(y))
		}
		c, err := Compare(a, b, false, Options{Resamples: 100})
		d, _, err2 := CompareBlocks(all, "a", "b", Options{Resamples: 100})
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if c.P < 0.05 {
			ignored++
		}
		if d.P < 0.05 {
			within++
		}
	}
	if share := float64(within) / studies; share > 0.065 {
		t.Errorf("within blocks %.1f %% are called different", 100*share)
	}
	if share := float64(ignored) / studies; share < 0.4 {
		t.Errorf("only %.1f %% are called different without blocks: the test shows nothing", 100*share)
	}
}

// TestBlocksOracle: a fit of 4 groups and 3 blocks agrees with least squares by numpy and tails by SciPy.
func TestBlocksOracle(t *testing.T) {
	values := []InBlock{{"a", "x", 1.00}, {"a", "y", 1.21}, {"b", "y", 2.45}, {"b", "z", 1.95}, {"c", "z", 3.05},
		{"c", "x", 3.10}, {"d", "x", 0.48}, {"d", "y", 0.61}, {"d", "z", 0.52}, {"a", "x", 1.02}}
	c, used, err := CompareBlocks(values, "a", "b", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string][2]float64{
		"ratio": {c.Ratio.Value, 1.954599102777112}, "low": {c.Ratio.Low, 1.7839330118864456},
		"high": {c.Ratio.High, 2.1415925525909145}, "p": {c.P, 3.4322565550057714e-05},
		"interaction": {used.Varies, 0.2824794409264345}, "F": {fisherTail(2.5, 7, 40), 0.03142461579108731},
		"small F": {fisherTail(0.3, 2, 5), 0.7532774095368846}, "large F": {fisherTail(161, 1, 1),
			0.050069174995844797},
	} {
		if math.Abs(v[0]/v[1]-1) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, v[0], v[1])
		}
	}
	if used.Shared != 1 || used.Used != 3 || used.Groups != 4 || c.Test != BlockLogs {
		t.Errorf("%+v, %s", used, c.Test)
	}
}

// TestBlocksPermutation: two values of each group in each of two blocks have 36 arrangements.
func TestBlocksPermutation(t *testing.T) {
	values := []InBlock{{"a", "x", 1}, {"a", "x", 2}, {"b", "x", 3}, {"b", "x", 4}, {"a", "y", 11}, {"a", "y", 12},
		{"b", "y", 13}, {"b", "y", 14}, {"b", "z", 99}}
	c, _, err := CompareBlocks(values, "a", "b", Options{})
	if p := c.Permutation; err != nil || math.Abs(p.P-2./36) > 1e-12 || math.Abs(p.SmallestP-2./36) > 1e-12 ||
		!p.Exact {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestBlocksApart: groups that share no block have no interval and no test, whatever their scatter is.
func TestBlocksApart(t *testing.T) {
	c, used, err := CompareBlocks([]InBlock{{"a", "x", 1}, {"a", "x", 1.01}, {"b", "y", 2}, {"b", "y", 2.01}}, "a", "b",
		Options{})
	if err != nil || used.Used != 0 || c.Ratio.HasInterval() || c.Difference.HasInterval() || !math.IsNaN(c.P) ||
		math.Abs(c.Ratio.Value-1.995) > 0.01 {
		t.Errorf("%+v, %+v, %v", c, used, err)
	}
}

// TestBlockShifts: a group that was measured more often in a high block has a higher mean than with equal shares, and
// the shift of a group in blocks of its own is not known.
func TestBlockShifts(t *testing.T) {
	values := []InBlock{{"a", "x", 1}, {"a", "x", 1}, {"a", "y", 1.1}, {"b", "x", 2}, {"b", "y", 2.2}, {"b", "y", 2.2},
		{"c", "z", 7}}
	got := BlockShifts(values)
	want := map[string]float64{"a": math.Pow(1.1, 1./3-0.5), "b": math.Pow(1.1, 2./3-0.5), "c": math.NaN()}
	for group, v := range want {
		if math.Abs(got[group]-v) > 1e-12 || math.IsNaN(got[group]) != math.IsNaN(v) {
			t.Errorf("%s: %v, want %v", group, got[group], v)
		}
	}
	if got := BlockShifts(append(values, InBlock{"a", "x", -1})); got != nil {
		t.Errorf("a negative value: %v", got)
	}
}
