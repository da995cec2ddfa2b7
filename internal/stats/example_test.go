package stats_test

import (
	"fmt"

	"github.com/llenergymeasure/llem/internal/stats"
)

func ExampleMeanInterval() {
	joules := []float64{212.1, 208.9, 210.4, 211.7, 209.5}
	e, err := stats.MeanInterval(joules, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.1f J [%.1f, %.1f]\n", e.Value, e.Low, e.High)
	// Output: 210.5 J [208.8, 212.2]
}

func ExampleCompare() {
	bf16 := []float64{212.1, 208.9, 210.4}
	fp8 := []float64{158.2, 155.0, 157.1}
	c, err := stats.Compare(bf16, fp8, true, stats.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("energy x %.3f [%.3f, %.3f], p = %.1g\n", c.Ratio.Value, c.Ratio.Low, c.Ratio.High, c.P)
	fmt.Printf("by permutation p = %v, at least %v\n", c.Permutation.P, c.Permutation.SmallestP)
	fmt.Printf("three pairs show %.1f %%\n", 100*c.Scatter.Visible(3, 0.05))
	// Output:
	// energy x 0.745 [0.739, 0.751], p = 4e-05
	// by permutation p = 0.25, at least 0.25
	// three pairs show 1.3 %
}

func ExamplePareto() {
	metrics := []stats.Metric{{Name: "J/token", Better: stats.Lower}, {Name: "tokens/s", Better: stats.Higher}}
	standings, err := stats.Pareto([][]stats.Point{
		{{Value: 0.40, Low: 0.39, High: 0.41}, {Value: 900, Low: 880, High: 920}},
		{{Value: 0.41, Low: 0.40, High: 0.42}, {Value: 890, Low: 870, High: 910}},
		{{Value: 0.60, Low: 0.58, High: 0.62}, {Value: 850, Low: 830, High: 870}},
	}, metrics)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range standings {
		fmt.Println(s.Status, s.By)
	}
	// Output:
	// front -1
	// uncertain 0
	// dominated 0
}

func ExampleBest() {
	const energy, ttft = 0, 1
	choice, err := stats.Best([][]stats.Point{
		{{Value: 0.40, Low: 0.39, High: 0.41}, {Value: 195, Low: 180, High: 210}},
		{{Value: 0.45, Low: 0.44, High: 0.46}, {Value: 150, Low: 140, High: 160}},
	}, stats.Objective{Column: energy,
		Better: stats.Lower}, []stats.Constraint{{Column: ttft, Op: stats.Below, Limit: 200}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("choice", choice.Index, "possible", choice.Possible)
	// Output: choice 1 possible [0]
}
