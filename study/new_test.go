package study

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSet: typed values mean the same as in a study file.
func TestSet(t *testing.T) {
	got, err := New(Set("model", "random:tiny-llama"), Set("backend", "vllm"), Set("vllm.max_num_seqs", []int{8, 16}),
		Set("vllm.enforce_eager", true), Set("energy.pue", 1.25), Set("execution.run_timeout", 90*time.Second),
		Set("workload.prompts", uint8(4)), Set("seed", "7"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := Parse("s.yaml", []byte(`
model: random:tiny-llama
backend: vllm
vllm: {enforce_eager: true}
energy: {pue: 1.25}
execution: {run_timeout: 90s}
workload: {prompts: 4}
seed: 7
sweep: {vllm.max_num_seqs: [8, 16]}
`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Experiments, got.Experiments); diff != "" || len(got.Experiments) != 2 {
		t.Errorf("experiments (-file +set):\n%s", diff)
	}
	if got.Execution.RunTimeout != want.Execution.RunTimeout {
		t.Errorf("timeout %v, want %v", got.Execution.RunTimeout, want.Execution.RunTimeout)
	}
}

// TestSetIsLiteral: a comma inside an element of a slice is part of it.
func TestSetIsLiteral(t *testing.T) {
	s, err := New(Set("model", []string{"/models/a,b", "/models/c"}))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Experiments) != 2 || s.Experiments[0].Model != "/models/a,b" {
		t.Errorf("%d experiments, the first of model %q", len(s.Experiments), s.Experiments[0].Model)
	}
}

// TestSetMistakes: mistakes are reported together, each with its key.
func TestSetMistakes(t *testing.T) {
	_, err := New(Set("dtpye", "bfloat16"), Set("workload.prompts", struct{}{}), Set("workload.input_tokens", []int{}),
		Set("workload.output_tokens", []any{4, nil}), Set("embedded.batch_size", -1))
	mistakes, ok := errors.AsType[Errors](err)
	if !ok || len(mistakes) != 5 {
		t.Fatalf("%v, want five mistakes", err)
	}
	for i, want := range []string{`study.Set("dtpye"): unknown key "dtpye"`, "has a value of type struct {}",
		"has no value", "has a value of type <nil>", `study.Set("embedded.batch_size"): `} {
		if !strings.Contains(mistakes[i].Error(), want) {
			t.Errorf("%q, want %q", mistakes[i].Error(), want)
		}
	}
}
