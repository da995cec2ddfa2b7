package llem_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/study"
)

// Run a study file and read its results from disk. The fake engine needs no GPU: its device is simulated, and
// its results are marked as simulated.
func Example() {
	dir, err := os.MkdirTemp("", "llem-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "study.yaml")
	if err := os.WriteFile(file, []byte(`
model: random:tiny-llama
backend: fake
workload: {prompts: 4, input_tokens: 16, output_tokens: 16}
baseline: {seconds: 0.5, resident_seconds: 0.5}
energy: {min_window: 1}
`), 0o644); err != nil {
		log.Fatal(err)
	}

	s, err := llem.LoadFile(file, study.Set("fake.batch_size", 2), study.Set("execution.cycles", 1))
	if err != nil {
		log.Fatal(err)
	}
	r, err := llem.Run(context.Background(), s, llem.Options{Results: filepath.Join(dir, "results")})
	if err != nil {
		log.Fatal(err)
	}
	again, err := llem.Open(r.Dir)
	if err != nil {
		log.Fatal(err)
	}
	for _, row := range again.Rows {
		fmt.Println(row.Status, row.Provenance)
	}
	// Output:
	// ok simulated
}

// Print the order of a study's runs.
func ExamplePlan() {
	s, err := study.New(study.Set("model", "random:smollm2-135m"), study.Set("embedded.batch_size", []int{1, 8}),
		study.Set("execution.cycles", 2), study.Set("execution.order", "reverse"))
	if err != nil {
		log.Fatal(err)
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

// Mistakes are reported together, each with a hint.
func ExampleLoadFile() {
	_, err := llem.LoadFile("testdata/example.yaml", study.Set("dtpye", "bfloat16"))
	fmt.Println(err)
	// Output:
	// study.Set("dtpye"): unknown key "dtpye"
	//          did you mean "dtype"?
}
