package study

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/grammar"
)

func TestSameEngine(t *testing.T) {
	type change = func(*Experiment)
	of := func(backend string, changes ...change) Experiment {
		e := DefaultExperiment()
		e.Model, e.Backend = "random:tiny-llama", backend
		e = e.own()
		switch backend {
		case Embedded:
			c := *e.Embedded
			e.Embedded = &c
		case PyTorch:
			c := *e.PyTorch
			e.PyTorch = &c
		case VLLM:
			e.VLLM = &VLLMSection{}
		}
		for _, c := range changes {
			c(&e)
		}
		return e
	}
	prompts := func(e *Experiment) { e.Workload.Prompts = 99 }
	longer := func(e *Experiment) { e.Workload.OutputTokens *= 2 }
	shifted := func(e *Experiment) { e.Workload.OutputTokens++; e.Workload.InputTokens-- }
	around := func(e *Experiment) { e.Warmup.Runs, e.Baseline.Seconds, e.Energy.MinWindow = 7, 9, 11 }
	static := func(e *Experiment) { e.PyTorch.CacheImplementation = "static" }
	for name, q := range map[string]struct {
		a, b Experiment
		want bool
	}{
		"itself":          {of(PyTorch), of(PyTorch), true},
		"prompts":         {of(PyTorch), of(PyTorch, prompts), true},
		"what is around":  {of(PyTorch), of(PyTorch, around), true},
		"pytorch, longer": {of(PyTorch), of(PyTorch, longer), true},
		"pytorch, batch":  {of(PyTorch), of(PyTorch, func(e *Experiment) { e.PyTorch.BatchSize = 8 }), true},
		"pytorch, attention": {of(PyTorch),
			of(PyTorch, func(e *Experiment) { e.PyTorch.AttnImplementation = "eager" }), false},
		"pytorch, chunks": {of(PyTorch), of(PyTorch, func(e *Experiment) { e.PyTorch.PrefillChunkSize = 128 }),
			true},
		"pytorch, cache": {of(PyTorch), of(PyTorch, static), true},
		"pytorch, compiled": {of(PyTorch, static),
			of(PyTorch, static, func(e *Experiment) { e.PyTorch.Compile = "default" }), false},
		"pytorch, quantised": {of(PyTorch),
			of(PyTorch, func(e *Experiment) { e.PyTorch.Quantization = "torchao-int8" }), false},
		"pytorch, threads": {of(PyTorch), of(PyTorch, func(e *Experiment) { e.PyTorch.Threads = 2 }), false},
		"pytorch, continuous": {of(PyTorch),
			of(PyTorch, func(e *Experiment) { e.PyTorch.Batching = "continuous" }), false},
		"model": {of(PyTorch), of(PyTorch, func(e *Experiment) { e.Model = "random:smollm2-135m" }),
			false},
		"dtype":                  {of(PyTorch), of(PyTorch, func(e *Experiment) { e.DType = "float16" }), false},
		"seed of random weights": {of(PyTorch), of(PyTorch, func(e *Experiment) { e.Seed = 2 }), false},
		"another backend":        {of(PyTorch), of(Embedded), false},
		"embedded, prompts":      {of(Embedded), of(Embedded, prompts), true},
		"embedded, longer":       {of(Embedded), of(Embedded, longer), false},
		"embedded, same length":  {of(Embedded), of(Embedded, shifted), true},
		"embedded, batch":        {of(Embedded), of(Embedded, func(e *Experiment) { e.Embedded.BatchSize = 8 }), false},
		"server, sequences":      {of(VLLM), of(VLLM, func(e *Experiment) { e.VLLM.MaxNumSeqs = 8 }), false},
		"fake, anything":         {of(Fake), of(Fake, longer, prompts), true},
	} {
		if got := SameEngine(q.a, q.b); got != q.want {
			t.Errorf("%s: %v, want %v", name, got, q.want)
		}
	}
}

// TestKnobs: every key beside batch, attention and device is one, unless it has its
// default.
func TestKnobs(t *testing.T) {
	if got := DefaultExperiment().PyTorch.Knobs(); got != nil {
		t.Errorf("the defaults are %v, want none", got)
	}
	for _, f := range fields {
		if f.section != PyTorch || f.key == "pytorch.batch_size" || f.key == "pytorch.attn_implementation" ||
			f.key == "pytorch.device" {
			continue
		}
		s := defaults()
		v := grammar.Value{Whole: 7, Number: 7}
		if f.kind.Enum != nil {
			v = grammar.Value{Text: f.kind.Enum[1]}
		}
		f.put(&s, v)
		want := strings.TrimPrefix(f.key, "pytorch.") + "=" + f.get(&s).String()
		if got := s.pytorch.Knobs(); len(got) != 1 || f.kind.Enum != nil && got[0] != want {
			t.Errorf("%s: knobs %v, want %s", f.key, got, want)
		}
	}
}
