package study

import (
	"testing"
)

func TestSameEngine(t *testing.T) {
	type change = func(*Experiment)
	of := func(backend string, changes ...change) Experiment {
		e := defaultExperiment(backend)
		e.Model = "random:tiny-llama"
		for _, c := range changes {
			c(&e)
		}
		return e
	}
	prompts := func(e *Experiment) { e.Workload.Prompts = 99 }
	longer := func(e *Experiment) { e.Workload.OutputTokens *= 2 }
	shifted := func(e *Experiment) { e.Workload.OutputTokens++; e.Workload.InputTokens-- }
	around := func(e *Experiment) { e.Warmup.Runs, e.Baseline.Seconds, e.Energy.MinWindow = 7, 9, 11 }
	static := func(e *Experiment) { setKey(e, "cache_implementation", "static") }
	for name, q := range map[string]struct {
		a, b Experiment
		want bool
	}{
		"itself":          {of(PyTorch), of(PyTorch), true},
		"prompts":         {of(PyTorch), of(PyTorch, prompts), true},
		"what is around":  {of(PyTorch), of(PyTorch, around), true},
		"pytorch, longer": {of(PyTorch), of(PyTorch, longer), true},
		"pytorch, batch":  {of(PyTorch), of(PyTorch, func(e *Experiment) { setKey(e, "batch_size", 8) }), true},
		"pytorch, attention": {of(PyTorch),
			of(PyTorch, func(e *Experiment) { setKey(e, "attn_implementation", "eager") }), false},
		"pytorch, chunks": {of(PyTorch), of(PyTorch, func(e *Experiment) { setKey(e, "prefill_chunk_size", 128) }),
			true},
		"pytorch, cache": {of(PyTorch), of(PyTorch, static), true},
		"pytorch, compiled": {of(PyTorch, static),
			of(PyTorch, static, func(e *Experiment) { setKey(e, "compile", "default") }), false},
		"pytorch, quantised": {of(PyTorch),
			of(PyTorch, func(e *Experiment) { setKey(e, "quantization", "torchao-int8") }), false},
		"pytorch, threads": {of(PyTorch), of(PyTorch, func(e *Experiment) { setKey(e, "threads", 2) }), false},
		"pytorch, continuous": {of(PyTorch),
			of(PyTorch, func(e *Experiment) { setKey(e, "batching", "continuous") }), false},
		"model": {of(PyTorch), of(PyTorch, func(e *Experiment) { e.Model = "random:smollm2-135m" }),
			false},
		"dtype":                  {of(PyTorch), of(PyTorch, func(e *Experiment) { e.DType = "float16" }), false},
		"seed of random weights": {of(PyTorch), of(PyTorch, func(e *Experiment) { e.Seed = 2 }), false},
		"another backend":        {of(PyTorch), of(Embedded), false},
		"embedded, prompts":      {of(Embedded), of(Embedded, prompts), true},
		"embedded, longer":       {of(Embedded), of(Embedded, longer), false},
		"embedded, same length":  {of(Embedded), of(Embedded, shifted), true},
		"embedded, batch": {of(Embedded), of(Embedded, func(e *Experiment) { setKey(e, "batch_size", 8) }),
			false},
		"server, sequences": {of(VLLM), of(VLLM, func(e *Experiment) { setKey(e, "max_num_seqs", 8) }), false},
		"fake, anything":    {of(Fake), of(Fake, longer, prompts), true},
	} {
		if got := SameEngine(descriptor(q.a.Backend), q.a, q.b); got != q.want {
			t.Errorf("%s: %v, want %v", name, got, q.want)
		}
	}
}
