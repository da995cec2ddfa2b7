package study

import (
	"math"
	"slices"

	"github.com/llenergymeasure/llem/grammar"
)

// settings are all values of an experiment, those of every engine's section included: the
// Section of the Experiment is not used.
type settings struct {
	Experiment
	// sections are the values of all sections, see [field.slot].
	sections []grammar.Value
	// preset is a word for settings of decoding.
	preset string
}

// copyFrom makes s equal to another one. They share nothing.
func (s *settings) copyFrom(o *settings) {
	own := s.sections
	*s = *o
	s.sections = append(own[:0], o.sections...)
}

// update makes s equal to another one that differs in sections only in some slots.
func (s *settings) update(o *settings, from, to int) {
	own := s.sections
	*s = *o
	s.sections = own
	copy(own[from:to], o.sections[from:to])
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
	// machine reports that the key may stand in a user's own file.
	machine bool
	// slot is the place of a section's key in settings.sections; -1 of other keys.
	slot int
	// read and write reach the value of a key of no section.
	read  func(*settings) grammar.Value
	write func(*settings, grammar.Value)
}

func (f *field) get(s *settings) grammar.Value {
	if f.slot >= 0 {
		return s.sections[f.slot]
	}
	return f.read(s)
}

func (f *field) put(s *settings, v grammar.Value) {
	if f.slot >= 0 {
		s.sections[f.slot] = v
		return
	}
	f.write(s, v)
}

// dtypes that some backend runs.
var dtypes = []string{DTypeAuto, "float32", "float16", "bfloat16", "q8_0", "q4_0"}

// common are the keys that every experiment has. Order is the order of documentation.
func common(backends []string, sampling string) []*field {
	return slices.Concat([]*field{
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
		numberField("decoding.temperature", 0, 10, "0 is greedy decoding; more is for "+sampling+" only",
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
	}, runnerFields(backends))
}

func newField(key, help string, k grammar.Kind, get func(*settings) grammar.Value,
	put func(*settings, grammar.Value)) *field {
	return &field{key: key, help: help, kind: k, slot: -1, read: get, write: put}
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

// asides are the keys that change nothing of the measurement.
func asides() map[string]bool {
	out := map[string]bool{}
	for _, f := range common(nil, "") {
		out[f.key] = f.aside
	}
	return out
}
