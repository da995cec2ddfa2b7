package nodes

import (
	"maps"
	"math"
	"slices"
)

// Measured is a number of one run.
type Measured struct {
	// Config is the configuration, and Node the machine.
	Config, Node string
	// Value is positive.
	Value float64
}

// Spread is how much the machines of a study differ. It is computed from a fit of configurations and machines as
// factors, so that machines that executed other configurations can be compared.
type Spread struct {
	// Nodes is the number of machines.
	Nodes int
	// Between is the largest machine over the smallest one, minus 1; NaN if Apart is set.
	Between float64
	// Within is the relative standard deviation of the runs of a configuration on a machine; NaN if unknown.
	Within float64
	// Apart names two configurations that no chain of shared machines connects: their difference cannot be told from
	// the difference of the machines.
	Apart []string
}

// fits is more than a fit needs.
const fits = 200

// SpreadOf compares the machines of runs; ok is false for fewer than two.
func SpreadOf(runs []Measured) (s Spread, ok bool) {
	config, node := map[string]float64{}, map[string]float64{}
	for _, r := range runs {
		config[r.Config], node[r.Node] = 0, 0
	}
	s = Spread{Nodes: len(node), Between: math.NaN(), Within: math.NaN(), Apart: apart(runs)}
	if len(node) < 2 {
		return s, false
	}
	for range fits {
		fit(runs, config, func(r Measured) string { return r.Config }, func(r Measured) float64 { return node[r.Node] })
		fit(runs, node, func(r Measured) string { return r.Node }, func(r Measured) float64 { return config[r.Config] })
	}
	var sum float64
	for _, r := range runs {
		d := math.Log(r.Value) - config[r.Config] - node[r.Node]
		sum += d * d
	}
	if free := len(runs) - len(config) - len(node) + 1; free > 0 {
		s.Within = math.Sqrt(sum / float64(free))
	}
	if len(s.Apart) == 0 {
		all := slices.Collect(maps.Values(node))
		s.Between = math.Exp(slices.Max(all)-slices.Min(all)) - 1
	}
	return s, true
}

// fit sets a factor's effects to the means of what the other one leaves.
func fit(runs []Measured, effects map[string]float64, level func(Measured) string, other func(Measured) float64) {
	sum, n := map[string]float64{}, map[string]float64{}
	for _, r := range runs {
		sum[level(r)] += math.Log(r.Value) - other(r)
		n[level(r)]++
	}
	for k := range effects {
		effects[k] = sum[k] / n[k]
	}
}

// apart returns the first configuration and one that no chain of shared machines connects with it, or nil.
func apart(runs []Measured) []string {
	if len(runs) == 0 {
		return nil
	}
	reached := map[string]bool{"c" + runs[0].Config: true}
	for grew := true; grew; {
		grew = false
		for _, r := range runs {
			if c, n := "c"+r.Config, "n"+r.Node; reached[c] != reached[n] {
				reached[c], reached[n], grew = true, true, true
			}
		}
	}
	for _, r := range runs {
		if !reached["c"+r.Config] {
			return []string{runs[0].Config, r.Config}
		}
	}
	return nil
}
