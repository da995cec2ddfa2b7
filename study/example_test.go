package study_test

import (
	"fmt"

	"github.com/llenergymeasure/llem/study"
)

// A study without a file: two settings of vLLM, by two numbers of output tokens.
func ExampleNew() {
	s, err := study.New(study.Set("model", "random:tiny-llama"), study.Set("backend", "vllm"),
		study.Set("vllm.max_num_seqs", []int{8, 32}), study.Set("workload.output_tokens", "16,64"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range s.Experiments {
		fmt.Println(e.Backend, e.BatchSize(), e.Workload.OutputTokens)
	}
	// Output:
	// vllm 8 16
	// vllm 8 64
	// vllm 32 16
	// vllm 32 64
}
