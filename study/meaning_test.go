package study

import (
	"strings"
	"testing"
)

// meanings are pairs of settings over a model and more, and whether the two are the same experiment.
var meanings = []struct {
	name, base, one, other string
	same                   bool
}{
	// names
	{"a path", "", "model: ./a/../m", "model: m", true},
	{"a folder and a repository", "", "model: ./org/name", "model: org/name", false},
	{"an absolute path", "", "model: /x/m", "model: m", false},
	{"random, spelled", "", "model: random:tiny-llama", "model: RANDOM:Tiny-Llama", true},
	{"a path of a data set", "model: m", "workload.dataset: ./p.jsonl", "workload.dataset: .//p.jsonl", true},
	{"a file called builtin", "model: m", "workload.dataset: ./builtin", "workload.dataset: builtin", false},

	// types
	{"auto of embedded", "model: random:tiny-llama", "dtype: auto", "dtype: float16", true},
	{"not auto of embedded", "model: random:tiny-llama", "dtype: auto", "dtype: bfloat16", false},
	{"auto of llama.cpp", "{model: random:tiny-llama, backend: llamacpp}", "dtype: auto", "dtype: float16", true},
	{"not auto of llama.cpp", "{model: random:tiny-llama, backend: llamacpp}", "dtype: auto", "dtype: bfloat16", false},
	{"auto of PyTorch", "{model: random:tiny-llama, backend: pytorch}", "dtype: auto", "dtype: bfloat16", true},
	{"not auto of PyTorch", "{model: random:tiny-llama, backend: pytorch}", "dtype: auto", "dtype: float16", false},
	{"auto of PyTorch, any model", "{model: m/n, backend: pytorch}", "dtype: auto", "dtype: bfloat16", true},
	{"auto of vLLM", "{model: m/n, backend: vllm}", "dtype: auto", "dtype: bfloat16", true},
	{"auto of SGLang", "{model: m/n, backend: sglang}", "dtype: auto", "dtype: bfloat16", true},
	{"auto of TensorRT-LLM", "{model: m/n, backend: tensorrt}", "dtype: auto", "dtype: bfloat16", true},
	{"CTranslate2 chooses", "{model: m/n, backend: ctranslate2}", "dtype: auto", "dtype: bfloat16", false},
	{"auto of the simulation", "{model: random:tiny-llama, backend: fake}", "dtype: auto", "dtype: bfloat16", true},
	{"what the files hold", "model: m/n", "dtype: auto", "dtype: float16", false},

	// seeds
	{"a seed of built-in prompts", "model: m/n", "seed: 1", "seed: 2", false},
	{"a seed of synthetic prompts", "{model: m/n, workload.dataset: synthetic}", "seed: 1", "seed: 2", false},
	{"a seed of random weights", "{model: random:tiny-llama, workload.dataset: p.jsonl}", "seed: 1", "seed: 2", false},
	{"a seed of nothing", "{model: m/n, workload.dataset: p.jsonl}", "seed: 1", "seed: 2", true},
	{"a seed of a served file", "{model: m/n, backend: vllm, workload.dataset: p.jsonl}", "seed: 1", "seed: 2", true},
	{"a seed of the first edition", "{model: m/n, workload.dataset: builtin-1}", "seed: 1", "seed: 2", true},
	{"editions", "model: m/n", "workload.dataset: builtin", "workload.dataset: builtin-1", false},
	{"a seed of a simulation", "{model: m/n, backend: fake, workload.dataset: p.jsonl}", "seed: 1", "seed: 2", false},
	{"a seed of the choice", "{model: m/n, backend: sglang, workload.dataset: p.jsonl, decoding.temperature: 0.7}",
		"seed: 1", "seed: 2", false},
	{"the choice has its own seed",
		"{model: m/n, backend: sglang, workload.dataset: p.jsonl, decoding: {temperature: 0.7, seed: 9}}",
		"seed: 1", "seed: 2", true},
	{"one seed of the choice in two keys",
		"{model: m/n, backend: sglang, workload.dataset: p.jsonl, decoding.temperature: 0.7}",
		"seed: 9", "{seed: 2, decoding.seed: 9}", true},
	{"the key's own value", "{model: m/n, backend: sglang, decoding.temperature: 0.7, seed: 9}", "decoding.seed: 0",
		"decoding.seed: 9", true},
	{"two seeds", "{model: m/n, backend: sglang, decoding.temperature: 0.7, seed: 9}", "decoding.seed: 0",
		"decoding.seed: 8", false},

	{"a seed of a random adapter", "{model: m/n, backend: vllm, workload.dataset: p.jsonl, vllm.lora: 'random:8'}",
		"seed: 1", "seed: 2", false},
	{"a seed of an adapter in files", "{model: m/n, backend: vllm, workload.dataset: p.jsonl, vllm.lora: /a}",
		"seed: 1", "seed: 2", true},

	// decoding
	{"no penalty", "model: m/n", "decoding.repetition_penalty: 1", "decoding.temperature: 0", true},
	{"a penalty of greedy decoding", "model: m/n", "decoding.repetition_penalty: 1.1", "decoding.temperature: 0",
		false},
	{"greedy has no least share", "model: m/n", "decoding.min_p: 0.05", "decoding.temperature: 0", true},
	{"no least share", "{model: m/n, decoding.temperature: 1}", "decoding.min_p: 0", "decoding.top_k: 0", true},
	{"a least share", "{model: m/n, decoding.temperature: 1}", "decoding.min_p: 0", "decoding.min_p: 0.05", false},
	{"greedy has no seed", "{model: m/n, backend: sglang}", "decoding.seed: 3", "decoding.temperature: 0", true},
	{"greedy has no bounds", "{model: m/n, backend: sglang}", "decoding.top_k: 3", "decoding.top_p: 0.5", true},
	{"greedy by name", "model: m/n", "decoding.preset: greedy", "decoding.temperature: 0", true},
	{"all of the probability", "{model: m/n, backend: sglang, decoding.temperature: 1}", "decoding.top_p: 1",
		"decoding.top_k: 0", true},
	{"half of the probability", "{model: m/n, backend: sglang, decoding.temperature: 1}", "decoding.top_p: 1",
		"decoding.top_p: 0.5", false},

	// sizes
	{"a batch larger than the workload", "{model: m/n, workload.prompts: 4}", "embedded.batch_size: 8",
		"embedded.batch_size: 4", true},
	{"a smaller batch", "{model: m/n, workload.prompts: 4}", "embedded.batch_size: 3", "embedded.batch_size: 4", false},
	{"a larger batch of PyTorch", "{model: m/n, backend: pytorch, workload.prompts: 4}", "pytorch.batch_size: 8",
		"pytorch.batch_size: 5", true},
	{"a server makes room", "{model: m/n, backend: vllm, workload.prompts: 4}", "vllm.max_num_seqs: 8",
		"vllm.max_num_seqs: 4", false},
	{"more at once than there are", "{model: m/n, backend: vllm, workload.prompts: 4}", "workload.concurrency: 8",
		"workload.concurrency: 4", true},
	{"fewer at once", "{model: m/n, backend: vllm, workload.prompts: 4}", "workload.concurrency: 3",
		"workload.concurrency: 4", false},
	{"a closed loop does not wait for rounds", "{model: m/n, backend: vllm, workload.prompts: 4}",
		"workload.concurrency: 4", "workload.concurrency: 0", false},

	// measuring
	{"no idle time without sensors", "{model: m/n, energy.sources: none}", "baseline.seconds: 9",
		"baseline.resident_seconds: 0", true},
	{"no window without sensors", "{model: m/n, energy.sources: none}", "energy.min_window: 9",
		"energy.min_window: 0", true},
	{"no idle time, none with the model", "{model: m/n, baseline.seconds: 0}", "baseline.resident_seconds: 9",
		"baseline.resident_seconds: 0", true},
	{"idle time", "model: m/n", "baseline.seconds: 9", "baseline.seconds: 5", false},
	{"a window", "model: m/n", "energy.min_window: 9", "energy.min_window: 0", false},
	{"a price", "model: m/n", "energy: {price_per_kwh: 1, currency: EUR, pue: 2}", "energy.remote: 'http://n:1/m'",
		true},
	{"age of a baseline", "model: m/n", "baseline.max_age_seconds: 0", "baseline.max_age_seconds: 9", true},
	{"warm-up", "model: m/n", "warmup.runs: 0", "warmup.runs: 1", false},

	// loads
	{"a closed loop by name", "{model: m/n, backend: vllm}", "workload.load.kind: closed", "workload.load.turns: 1",
		true},
	{"a load", "{model: m/n, backend: vllm}", "workload.load: {kind: poisson, rate: 4}", "workload.load.kind: closed",
		false},
	{"a rate", "{model: m/n, backend: vllm, workload.load.kind: poisson}", "workload.load.rate: 4",
		"workload.load.rate: 5", false},
	{"a seed of arrivals", "{model: m/n, backend: vllm, workload.dataset: p.jsonl, workload.load: {kind: poisson, " +
		"rate: 4}}", "seed: 1", "seed: 2", false},
	{"arrivals have their own seed", "{model: m/n, backend: vllm, workload.dataset: p.jsonl, workload.load: {kind: " +
		"poisson, rate: 4, seed: 9}}", "seed: 1", "seed: 2", true},
	{"the key's own value of arrivals", "{model: m/n, backend: vllm, seed: 9, workload.load: {kind: poisson, rate: 4}}",
		"workload.load.seed: 9", "workload.load.seed: 0", true},
	{"constant arrivals have no seed", "{model: m/n, backend: vllm, workload.load: {kind: constant, rate: 4}}",
		"workload.load.seed: 9", "workload.load.seed: 8", true},
	{"a duration with a unit", "{model: m/n, backend: vllm, workload.load: {kind: constant, rate: 4}}",
		"workload.load.duration_s: 1m30s", "workload.load.duration_s: 90", true},
	{"prompts of a data set take turns", "{model: m/n, backend: vllm, workload.load: {kind: poisson, rate: 4, " +
		"duration_s: 60}}", "workload.prompts: 8", "workload.prompts: 9", false},
	{"a trace has its own prompts", "{model: m/n, backend: vllm, workload.load: {kind: trace, trace: t.csv}}",
		"{workload.prompts: 8, workload.dataset: p.jsonl}", "workload.output_tokens: 9", true},
	{"a path of a trace", "{model: m/n, backend: vllm, workload.load.kind: trace}", "workload.load.trace: ./a/../t.csv",
		"workload.load.trace: t.csv", true},
	{"the speed of a trace", "{model: m/n, backend: vllm, workload.load: {kind: trace, trace: t.csv}}",
		"workload.load.speed: 1", "workload.load.longer: drop", true},
	{"a cap of an open loop", "{model: m/n, backend: vllm, workload.prompts: 4, workload.load: {kind: poisson, rate: " +
		"4, duration_s: 60}}", "workload.concurrency: 8", "workload.concurrency: 9", false},
	{"the usual attainment", "{model: m/n, backend: vllm, workload.slo.ttft_p95_ms: 500}",
		"workload.slo.attainment: 0.95", "workload.load.kind: closed", true},
	{"an objective by its class", "{model: m/n, backend: vllm}", "workload.slo.class: llama-3.1-8b-server",
		"workload.slo: {ttft_p95_ms: 2000, tpot_p95_ms: 100, attainment: 0.99}", true},
	{"a search", "{model: m/n, backend: vllm, workload.slo.ttft_p95_ms: 500}", "workload.load: {search: concurrency, " +
		"search_from: 1, search_to: 8}", "workload.load.kind: closed", false},
	{"what happens to longer requests", "{model: m/n, backend: vllm, workload.load: {kind: trace, trace: t.csv, " +
		"max_input: 9}}", "workload.load.longer: clip", "workload.load.longer: drop", false},
	{"the duration of a probe", "{model: m/n, backend: vllm, workload.slo.ttft_p95_ms: 500, workload.load: {kind: " +
		"poisson, search: rate, search_from: 1, search_to: 8, duration_s: 60}}", "seed: 1",
		"workload.load.probe_s: 60", true},
	{"the duration of the sustained runs", "{model: m/n, backend: vllm, workload.slo.ttft_p95_ms: 500, " +
		"workload.load: {kind: poisson, search: rate, search_from: 1, search_to: 8, probe_s: 60}}",
		"workload.load.duration_s: 60", "workload.load.duration_s: 600", false},

	// a default written out
	{"the default batch", "{model: m/n, backend: pytorch}", "pytorch.batch_size: 1", "pytorch.batching: static", true},
	{"the default runner", "{model: m/n, backend: pytorch}", "runner: process", "pytorch.device: auto", true},
	{"an option of the engine", "{model: m/n, backend: vllm}", "vllm.enable_prefix_caching: true",
		"vllm.max_num_seqs: 8", false},
	{"where the engine is found", "{model: m/n, backend: vllm, runner: container}", "container.client: docker",
		"container.image: other", true},
	{"a section of another engine", "{model: m/n, backend: fake}", "fake.speed: 1", "vllm.max_num_seqs: 8", true},
}

// flow joins texts of YAML in flow or block style into one study.
func flow(texts ...string) string {
	var parts []string
	for _, text := range texts {
		if inner, ok := strings.CutPrefix(text, "{"); ok {
			text = strings.TrimSuffix(inner, "}")
		}
		if text != "" {
			parts = append(parts, text)
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// TestMeanings: two texts with the same meaning are merged into one experiment with one ID; others remain two,
// with two IDs.
func TestMeanings(t *testing.T) {
	for _, m := range meanings {
		t.Run(m.name, func(t *testing.T) {
			a, first := one(t, flow(m.base, m.one))
			b, second := one(t, flow(m.base, m.other))
			if !first || !second {
				t.Fatal("values that do not fit together")
			}
			if same := a.ID() == b.ID(); same != m.same {
				t.Errorf("IDs %s and %s, want the same: %t", a.ID(), b.ID(), m.same)
			}
			if same := a.Measured() == b.Measured(); same != m.same {
				t.Errorf("want the same measurement: %t, got\n%+v\n%+v", m.same, a.Measured(), b.Measured())
			}
			both, err := Parse("s.yaml", []byte("experiments:\n  - "+flow(m.base, m.one)+"\n  - "+flow(m.base,
				m.other)+"\nmodel: m\nsweep: {}\n"))
			if err != nil {
				t.Logf("not as entries: %v", err) // some keys cannot differ within a study
				return
			}
			if want := map[bool]int{true: 1, false: 2}[m.same]; len(both.Experiments) != want {
				t.Errorf("%d experiments of two entries, want %d", len(both.Experiments), want)
			}
		})
	}
}

// TestStoredDType: an engine that reads GGUF files uses the type in a model's files, and an experiment with
// exactly that type equals the one with auto.
func TestStoredDType(t *testing.T) {
	asked := 0
	load := func(settings ...Setting) *Study {
		t.Helper()
		s, err := Load(Options{Settings: settings, Stored: func(model string) string {
			asked++
			return map[string]string{"m.gguf": "q8_0", "m/n": "bfloat16"}[model]
		}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, q := range []struct {
		model, backend, dtype string
		want                  int
	}{
		{"m.gguf", Embedded, "q8_0", 1}, {"m.gguf", Embedded, "q4_0", 2}, {"m/n", "llamacpp", "bfloat16", 1},
		{"m/n", Embedded, "float16", 2}, {"other/n", Embedded, "float16", 2}, {"m/n", "pytorch", "bfloat16", 1},
		{"m/n", "pytorch", "float16", 2}, {"random:tiny-llama", Embedded, "bfloat16", 2},
	} {
		s := load(Set("model", q.model), Set("backend", q.backend), Set("dtype", []string{"auto", q.dtype}))
		if len(s.Experiments) != q.want || s.Merged != 2-q.want {
			t.Errorf("%+v: %d experiments, %d merged", q, len(s.Experiments), s.Merged)
		}
	}
	asked = 0
	load(Set("model", "m.gguf"), Set("dtype", "q8_0"), Set("seed", "1..100"))
	if asked != 1 {
		t.Errorf("the model was read %d times", asked)
	}
	with := load(Set("model", "m.gguf"), Set("dtype", "q8_0")).Experiments[0]
	without, err := New(Set("model", "m.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if with.ID() != without.Experiments[0].ID() {
		t.Errorf("IDs %s with q8_0 and %s with auto", with.ID(), without.Experiments[0].ID())
	}
}

// TestRecorded: an experiment of an earlier version is found under its ID, keeps its meaning, and keeps the ID.
func TestRecorded(t *testing.T) {
	for _, q := range []struct{ text, id, dataset string }{
		{"model: m/n", "492e19ce7cfb", "builtin-1"},
		{"model: m/n", "863116b0cdc5", "builtin"},
		{"model: m/n\nbackend: pytorch\npytorch: {batch_size: 8, device: 'cuda:1'}", "ded8b76925af", "builtin-1"},
		{"model: m/n\nbackend: pytorch\ndtype: bfloat16", "4a9463075526", "builtin-1"},
		{"model: m/n\nseed: 7", "0a199b12a500", "builtin-1"},
		{"model: m/n\nworkload: {dataset: p.jsonl}\nseed: 7", "b21ce50cce6b", "p.jsonl"},
		{"model: m/n\nworkload: {dataset: p.jsonl}", "d7baedcc6852", "p.jsonl"},
		{"model: m/n\nworkload: {dataset: synthetic, prompts: 4}\nembedded: {batch_size: 8}", "3eb87f39de3b",
			"synthetic"},
		{"model: m/n\nbackend: vllm\nworkload: {dataset: synthetic, prompts: 4, concurrency: 8}", "d0db683cf625",
			"synthetic"},
		{"model: random:tiny-llama\ndtype: float16", "67958fd54047", "builtin-1"},
	} {
		e, _ := one(t, q.text)
		then := e.Recorded(q.id)
		if then.ID() != q.id || then.Workload.Dataset != q.dataset {
			t.Errorf("%s: ID %s, data set %s, want %s and %s", q.text, then.ID(), then.Workload.Dataset, q.id,
				q.dataset)
		}
	}
	e, _ := one(t, "model: m/n")
	if other := e.Recorded("0123456789ab"); other != e {
		t.Errorf("another experiment: %+v", other)
	}
}
