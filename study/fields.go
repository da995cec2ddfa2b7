package study

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/grammar"
)

// settings are all values of an experiment, with those of every backend's section in
// place: the pointers of the Experiment are not used. Two settings are equal if ==
// says so.
type settings struct {
	Experiment
	embedded EmbeddedSection
	pytorch  PyTorchSection
	vllm     VLLMSection
	sglang   SGLangSection
	tensorrt TensorRTSection
	llamacpp LlamaCppSection
	fake     FakeSection
	// preset is a word for settings of decoding.
	preset string
}

// defaults are the settings of a study that says nothing.
func defaults() settings {
	s := settings{Experiment: DefaultExperiment()}
	s.embedded, s.pytorch, s.fake = *s.Embedded, *s.PyTorch, *s.Fake
	s.Embedded, s.PyTorch, s.Fake = nil, nil, nil
	s.Decoding.TopP = 1
	return s
}

// field is one key of an experiment: its dotted name, what it means and accepts, and
// where its value lies.
type field struct {
	key, help string
	kind      grammar.Kind
	// section is the backend that owns the key, or "".
	section string
	// aside says that the key changes nothing of the measurement, and so not the ID.
	aside bool
	// undivided says that commas in a setting on the command line separate no values.
	undivided bool
	// word says that the key stands for others, which have its meaning.
	word bool
	// list says that a list of numbers is one value.
	list bool
	// optional says that the default is the engine's own.
	optional bool
	get      func(*settings) grammar.Value
	put      func(*settings, grammar.Value)
}

// Backends lists the names that the key backend accepts.
func Backends() []string { return slices.Clone(backends) }

var backends = []string{Embedded, PyTorch, VLLM, SGLang, TensorRT, LlamaCpp, Fake}

// dtypes that some backend runs.
var dtypes = []string{DTypeAuto, "float32", "float16", "bfloat16", "q8_0", "q4_0"}

// fields is the grammar of an experiment. Order is the order of documentation.
var fields = slices.Concat([]*field{
	textField("model", "a model: random:SHAPE, a .gguf file, a folder, or a Hugging Face id",
		"the model to run; random:SHAPE has random weights and needs no download",
		func(s *settings) *string { return &s.Model }),
	choiceField("backend", "the engine that runs the model; a list compares engines",
		func(s *settings) *string { return &s.Backend }, backends...),
	choiceField("dtype", "the type of the weights; auto is the backend's usual one",
		func(s *settings) *string { return &s.DType }, dtypes...),
	textField("workload.dataset", "builtin, synthetic or the path of a .jsonl or .json file",
		"where prompts come from", func(s *settings) *string { return &s.Workload.Dataset }),
	wholeField("workload.prompts", 1, 1e6, "number of prompts", func(s *settings) *int { return &s.Workload.Prompts }),
	wholeField("workload.input_tokens", 1, 1e7,
		"length of a synthetic prompt, and the most of a prompt of a data set, in tokens",
		func(s *settings) *int { return &s.Workload.InputTokens }),
	wholeField("workload.output_tokens", 1, 1e6,
		"tokens to generate for each prompt; the end-of-sequence token is ignored",
		func(s *settings) *int { return &s.Workload.OutputTokens }),
	word(choiceField("decoding.preset", "greedy is temperature 0", func(s *settings) *string { return &s.preset },
		presetGreedy)),
	wholeField("workload.concurrency", 0, 1e6,
		"requests that a server is sent at once, a new one as soon as one ends; 0 sends all at once",
		func(s *settings) *int { return &s.Workload.Concurrency }),
	numberField("decoding.temperature", 0, 10, "0 is greedy decoding; more is for sglang, tensorrt and llamacpp only",
		func(s *settings) *float64 { return &s.Decoding.Temperature }),
	numberField("decoding.top_p", 0.001, 1, "least probability of the tokens to choose from, together; 1 is all",
		func(s *settings) *float64 { return &s.Decoding.TopP }),
	wholeField("decoding.top_k", 0, 1<<20, "the most tokens to choose from; 0 is all",
		func(s *settings) *int { return &s.Decoding.TopK }),
	seedField("decoding.seed", "seed of the choice; 0 takes the key seed",
		func(s *settings) *uint64 { return &s.Decoding.Seed }),
	wholeField("warmup.runs", 0, 1000, "discarded runs of the same workload",
		func(s *settings) *int { return &s.Warmup.Runs }),
	numberField("baseline.seconds", 0, 3600, "time for which the idle machine is measured before the engine starts",
		func(s *settings) *float64 { return &s.Baseline.Seconds }),
	numberField("baseline.resident_seconds", 0, 3600,
		"time for which the idle engine is measured with the model loaded",
		func(s *settings) *float64 { return &s.Baseline.ResidentSeconds }),
	aside(numberField("baseline.max_age_seconds", 0, 30*86400,
		"age up to which an earlier baseline is used again; 0 always measures",
		func(s *settings) *float64 { return &s.Baseline.MaxAgeSeconds })),
	numberField("energy.min_window", 0, 86400,
		"least length of the measured window in seconds; 0 takes what the sensors need",
		func(s *settings) *float64 { return &s.Energy.MinWindow }),
	choiceField("energy.sources", "auto reads every sensor that can be read",
		func(s *settings) *string { return &s.Energy.Sources }, "auto", "none"),
	remoteField("energy.remote", "metrics pages that are read beside the sensors of this machine",
		func(s *settings) *string { return &s.Energy.Remote }),
	aside(numberField("energy.carbon_intensity_g_per_kwh", 0, 1e5,
		"grams of CO2-equivalent per kilowatt-hour; 0 is not stated",
		func(s *settings) *float64 { return &s.Energy.CarbonIntensity })),
	aside(numberField("energy.pue", 1, 10, "power usage effectiveness of the building; scales carbon and cost only",
		func(s *settings) *float64 { return &s.Energy.PUE })),
	aside(numberField("energy.price_per_kwh", 0, 1e6, "price in the user's currency; 0 is not stated",
		func(s *settings) *float64 { return &s.Energy.PricePerKWh })),
	seedField("seed", "seed of prompts and random weights", func(s *settings) *uint64 { return &s.Seed }),
}, runnerFields, []*field{
	wholeField("embedded.batch_size", 1, 4096, "sequences processed together",
		func(s *settings) *int { return &s.embedded.BatchSize }),
	wholeField("embedded.threads", 0, 4096, "threads of the engine; 0 is one per usable physical core",
		func(s *settings) *int { return &s.embedded.Threads }),
	wholeField("embedded.prefill_chunk", 1, 1<<20, "the most prompt tokens in one engine step",
		func(s *settings) *int { return &s.embedded.PrefillChunk }),
	wholeField("pytorch.batch_size", 1, 1<<20, "sequences processed together",
		func(s *settings) *int { return &s.pytorch.BatchSize }),
	choiceField("pytorch.attn_implementation", "implementation of attention",
		func(s *settings) *string { return &s.pytorch.AttnImplementation }, "sdpa", "eager", "flash_attention_2",
		"flash_attention_3"),
	patternField("pytorch.device", "auto, cpu, cuda or cuda:N", `^(auto|cpu|cuda(:(0|[1-9][0-9]{0,8}))?)$`,
		"auto takes CUDA where there is a GPU",
		func(s *settings) *string { return &s.pytorch.Device }, "auto", "cpu", "cuda"),
	usual(choiceField("pytorch.batching", "whether a finished sequence makes room at once",
		func(s *settings) *string { return &s.pytorch.Batching }, "static", "continuous")),
	usual(choiceField("pytorch.cache_implementation",
		"whether the KV cache grows or is laid out for the longest sequence",
		func(s *settings) *string { return &s.pytorch.CacheImplementation }, "dynamic", "static")),
	usual(choiceField("pytorch.compile", "mode of torch.compile for the decode step; needs a static cache",
		func(s *settings) *string { return &s.pytorch.Compile }, "off", "default", "reduce-overhead", "max-autotune")),
	usual(choiceField("pytorch.quantization", "quantisation of the weights of linear layers",
		func(s *settings) *string { return &s.pytorch.Quantization },
		"none", "bitsandbytes-8bit", "bitsandbytes-4bit", "torchao-int8", "torchao-int4", "torchao-float8")),
	usual(choiceField("pytorch.matmul_precision",
		"precision of float32 products; below highest, tensor cores may round",
		func(s *settings) *string { return &s.pytorch.MatmulPrecision }, "highest", "high", "medium")),
	wholeField("pytorch.threads", 0, 4096, "threads of PyTorch on the host; 0 leaves them to it",
		func(s *settings) *int { return &s.pytorch.Threads }),
	wholeField("pytorch.prefill_chunk_size", 0, 1<<20,
		"the most tokens of a prompt in one forward pass; 0 is all of them",
		func(s *settings) *int { return &s.pytorch.PrefillChunkSize }),
	usual(choiceField("pytorch.device_map", "auto spreads the layers over all visible GPUs, which work in turn",
		func(s *settings) *string { return &s.pytorch.DeviceMap }, "single", "auto")),
	usualOne(wholeField("pytorch.tensor_parallel_size", 1, manyDevices,
		"devices that share each layer: the first visible GPUs, or processes on a CPU",
		func(s *settings) *int { return &s.pytorch.TensorParallelSize })),
	wholeField("fake.batch_size", 1, 4096, "sequences processed together",
		func(s *settings) *int { return &s.fake.BatchSize }),
	choiceField("fake.batching", "whether a finished sequence makes room at once",
		func(s *settings) *string { return &s.fake.Batching }, "static", "continuous"),
	numberField("fake.speed", 0.01, 100, "divides the duration of every step",
		func(s *settings) *float64 { return &s.fake.Speed }),
}, vllmFields, sglangFields, tensorrtFields, llamacppFields)

// byKey finds fields by their dotted key.
var byKey = func() map[string]*field {
	m := make(map[string]*field, len(fields))
	for _, f := range fields {
		m[f.key] = f
	}
	return m
}()

// batchKeys are the keys that hold the batch size of each backend.
var batchKeys = map[string]*field{
	Embedded: byKey["embedded.batch_size"], PyTorch: byKey["pytorch.batch_size"], VLLM: byKey["vllm.max_num_seqs"],
	SGLang: byKey["sglang.max_running_requests"], TensorRT: byKey["tensorrt.max_batch_size"],
	LlamaCpp: byKey["llamacpp.parallel"],
	Fake:     byKey["fake.batch_size"],
}

func lookup(key string) (*field, bool) {
	f, ok := byKey[key]
	return f, ok
}

// newField completes a field with the section that its key names.
func newField(key, help string, k grammar.Kind, get func(*settings) grammar.Value, put func(*settings, grammar.Value)) *field {
	f := &field{key: key, help: help, kind: k, get: get, put: put}
	if head, _, dotted := strings.Cut(key, "."); dotted && slices.Contains(backends, head) {
		f.section = head
	}
	return f
}

// presetGreedy takes the most likely token.
const presetGreedy = "greedy"

// word marks a field that stands for others and has no value of its own in an experiment.
func word(f *field) *field {
	f.optional, f.word = true, true
	return f
}

// aside marks a field that changes nothing of the measurement.
func aside(f *field) *field {
	f.aside = true
	return f
}

func wordField(key, help string, k grammar.Kind, at func(*settings) *string) *field {
	return newField(key, help, k, func(s *settings) grammar.Value { return grammar.Value{Text: *at(s)} },
		func(s *settings, v grammar.Value) { *at(s) = v.Text })
}

func textField(key, want, help string, at func(*settings) *string) *field {
	return wordField(key, help, grammar.Line(want), at)
}

func choiceField(key, help string, at func(*settings) *string, allowed ...string) *field {
	return wordField(key, help, grammar.Choice(allowed...), at)
}

// usual makes the first choice the one that the zero value stands for.
func usual(f *field) *field {
	first, get, put := f.kind.Enum[0], f.get, f.put
	f.get = func(s *settings) grammar.Value { return grammar.Value{Text: cmp.Or(get(s).Text, first)} }
	f.put = func(s *settings, v grammar.Value) {
		if v.Text == first {
			v.Text = ""
		}
		put(s, v)
	}
	return f
}

// usualOne makes 1 the number that the zero value stands for.
func usualOne(f *field) *field {
	get, put := f.get, f.put
	f.get = func(s *settings) grammar.Value { return cmp.Or(get(s), grammar.Value{Whole: 1, Number: 1}) }
	f.put = func(s *settings, v grammar.Value) {
		if v.Whole == 1 {
			v = grammar.Value{}
		}
		put(s, v)
	}
	return f
}

func patternField(key, want, pattern, help string, at func(*settings) *string, words ...string) *field {
	return wordField(key, help, grammar.Pattern(want, pattern, words...), at)
}

func remoteField(key, help string, at func(*settings) *string) *field {
	f := aside(wordField(key, help, remoteKind(), at))
	f.undivided = true
	return f
}

func wholeField(key string, low, high int64, help string, at func(*settings) *int) *field {
	return newField(key, help, grammar.Integer(low, high),
		func(s *settings) grammar.Value { return grammar.Value{Whole: int64(*at(s)), Number: float64(*at(s))} }, func(s *settings,
			v grammar.Value) {
			*at(s) = int(v.Whole)
		})
}

func seedField(key, help string, at func(*settings) *uint64) *field {
	return newField(key, help, grammar.Integer(0, math.MaxInt64),
		func(s *settings) grammar.Value { return grammar.Value{Whole: int64(*at(s)), Number: float64(*at(s))} }, func(s *settings,
			v grammar.Value) {
			*at(s) = uint64(v.Whole)
		})
}

func numberField(key string, low, high float64, help string, at func(*settings) *float64) *field {
	return newField(key, help, grammar.Float(low, high), func(s *settings) grammar.Value { return grammar.Value{Number: *at(s)} },
		func(s *settings, v grammar.Value) { *at(s) = v.Number })
}

func toggleField(key, help string, at func(*settings) *Toggle) *field {
	return newField(key, help, grammar.Switch(), func(s *settings) grammar.Value { return grammar.Value{Text: string(*at(s))} },
		func(s *settings, v grammar.Value) { *at(s) = Toggle(v.Text) })
}

// BatchKeys lists the key of each backend that holds the batch size, in the order of
// [Backends].
func BatchKeys() []string {
	keys := make([]string, len(backends))
	for i, b := range backends {
		keys[i] = batchKeys[b].key
	}
	return keys
}

// Keys lists every key of an experiment with what it accepts, for documentation and
// help.
func Keys() [][2]string {
	out := make([][2]string, len(fields))
	for i, f := range fields {
		out[i] = [2]string{f.key, f.kind.Want}
	}
	return out
}
