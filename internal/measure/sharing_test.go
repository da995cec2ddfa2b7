package measure

import (
	"encoding/json"
	"testing"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/study"
)

// setKey changes a value of an experiment's section.
func setKey(e *study.Experiment, key string, value any) {
	d := engines.Find(nil, e.Backend)
	s, err := about.Read(&d, e.Section)
	if err == nil {
		var text []byte
		if text, err = json.Marshal(map[string]any{key: value}); err == nil {
			err = engine.Decode(text, s)
		}
	}
	if err != nil {
		panic(err)
	}
	e.Section = engine.Encode(s)
}

func TestSameEngine(t *testing.T) {
	const pytorch, embedded, vllm, fake = "pytorch", "embedded", "vllm", "fake"
	type change = func(*study.Experiment)
	of := func(backend string, changes ...change) study.Experiment {
		e := study.DefaultExperiment(engines.Find(nil, backend))
		e.Model = "random:tiny-llama"
		for _, c := range changes {
			c(&e)
		}
		return e
	}
	prompts := func(e *study.Experiment) { e.Workload.Prompts = 99 }
	longer := func(e *study.Experiment) { e.Workload.OutputTokens *= 2 }
	shifted := func(e *study.Experiment) { e.Workload.OutputTokens++; e.Workload.InputTokens-- }
	around := func(e *study.Experiment) { e.Warmup.Runs, e.Baseline.Seconds, e.Energy.MinWindow = 7, 9, 11 }
	static := func(e *study.Experiment) { setKey(e, "cache_implementation", "static") }
	for name, q := range map[string]struct {
		a, b study.Experiment
		want bool
	}{
		"itself":          {of(pytorch), of(pytorch), true},
		"prompts":         {of(pytorch), of(pytorch, prompts), true},
		"what is around":  {of(pytorch), of(pytorch, around), true},
		"pytorch, longer": {of(pytorch), of(pytorch, longer), true},
		"pytorch, batch":  {of(pytorch), of(pytorch, func(e *study.Experiment) { setKey(e, "batch_size", 8) }), true},
		"pytorch, attention": {of(pytorch),
			of(pytorch, func(e *study.Experiment) { setKey(e, "attn_implementation", "eager") }), false},
		"pytorch, chunks": {of(pytorch),
			of(pytorch, func(e *study.Experiment) { setKey(e, "prefill_chunk_size", 128) }),
			true},
		"pytorch, cache": {of(pytorch), of(pytorch, static), true},
		"pytorch, compiled": {of(pytorch, static),
			of(pytorch, static, func(e *study.Experiment) { setKey(e, "compile", "default") }), false},
		"pytorch, quantised": {of(pytorch),
			of(pytorch, func(e *study.Experiment) { setKey(e, "quantization", "torchao-int8") }), false},
		"pytorch, threads": {of(pytorch), of(pytorch, func(e *study.Experiment) { setKey(e, "threads", 2) }), false},
		"pytorch, continuous": {of(pytorch),
			of(pytorch, func(e *study.Experiment) { setKey(e, "batching", "continuous") }), false},
		"model": {of(pytorch), of(pytorch, func(e *study.Experiment) { e.Model = "random:smollm2-135m" }),
			false},
		"dtype":                  {of(pytorch), of(pytorch, func(e *study.Experiment) { e.DType = "float16" }), false},
		"seed of random weights": {of(pytorch), of(pytorch, func(e *study.Experiment) { e.Seed = 2 }), false},
		"another backend":        {of(pytorch), of(embedded), false},
		"embedded, prompts":      {of(embedded), of(embedded, prompts), true},
		"embedded, longer":       {of(embedded), of(embedded, longer), false},
		"embedded, same length":  {of(embedded), of(embedded, shifted), true},
		"embedded, batch": {of(embedded), of(embedded, func(e *study.Experiment) { setKey(e, "batch_size", 8) }),
			false},
		"server, sequences": {of(vllm), of(vllm, func(e *study.Experiment) { setKey(e, "max_num_seqs", 8) }), false},
		"fake, anything":    {of(fake), of(fake, longer, prompts), true},
	} {
		if got := SameEngine(engines.Find(nil, q.a.Backend), q.a, q.b); got != q.want {
			t.Errorf("%s: %v, want %v", name, got, q.want)
		}
	}
}
