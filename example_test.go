package llem_test

import (
	"fmt"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/study"
)

// A study of two batch sizes, and the order in which its runs are made.
func Example() {
	s, err := llem.Load(study.Options{Settings: []study.Setting{
		{Flag: "model", Key: "model", Value: "random:smollm2-135m"},
		{Flag: "batch", Key: "embedded.batch_size", Value: "1,8"},
		{Flag: "cycles", Key: "execution.cycles", Value: "2"},
		{Flag: "order", Key: "execution.order", Value: "reverse"},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, run := range llem.Plan(s) {
		fmt.Printf("%d: %s, cycle %d\n", i+1, run.Experiment.Label(), run.Cycle)
	}
	// Output:
	// 1: random:smollm2-135m embedded auto batch 1, cycle 1
	// 2: random:smollm2-135m embedded auto batch 8, cycle 1
	// 3: random:smollm2-135m embedded auto batch 8, cycle 2
	// 4: random:smollm2-135m embedded auto batch 1, cycle 2
}

// Mistakes are reported together, each with what would help.
func ExampleLoad() {
	_, err := llem.Load(study.Options{Settings: []study.Setting{
		{Flag: "--set dtpye=x", Key: "dtpye", Value: "x"},
	}})
	fmt.Println(err)
	// Output:
	// --set dtpye=x: unknown key "dtpye"
	//          did you mean "dtype"?
}
