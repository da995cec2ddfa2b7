package study

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/terms"
)

// commonKey is a key that every experiment has, and where its value is in an [Experiment].
type commonKey struct {
	*keys.Field
	read  func(*Experiment) grammar.Value
	write func(*Experiment, grammar.Value)
}

// dtypes that some backend runs.
var dtypes = []string{terms.DTypeAuto, "float32", "float16", "bfloat16", "q8_0", "q4_0"}

// otherTypes are what other programs call the types of weights.
var otherTypes = map[string]string{
	"fp32": "float32", "f32": "float32", "float": "float32", "fp16": "float16", "f16": "float16", "half": "float16",
	"bf16": "bfloat16", "int8": "q8_0", "q8": "q8_0", "int4": "q4_0", "q4": "q4_0",
}

// able lists the engines with optional capabilities.
type able struct {
	// templates are the engines with chat templates, separated by commas.
	templates string
	// decoding has, by setting, which engines have it and which lack it.
	decoding map[string]havers
}

// havers names the engines with a setting and the engines without it, separated by commas.
type havers struct{ with, without string }

// but appends to the meaning of a decoding setting the engines that do not have it.
func (a able) but(setting, help string) string {
	if without := a.decoding[setting].without; without != "" {
		return help + "; not on " + without
	}
	return help
}

// common returns the keys that every experiment has. The order is the order of the documentation.
func common(backends []string, able able) []commonKey {
	return slices.Concat(workKeys(backends, able), loadKeys(), decodingKeys(able), measuringKeys(),
		runnerFields(backends))
}

// workKeys are the model, the engine and the work.
func workKeys(backends []string, able able) []commonKey {
	return []commonKey{
		textField("model", "a model: random:SHAPE, a .gguf file, a folder, or a Hugging Face id",
			"the model to run; random:SHAPE has random weights and needs no download",
			func(s *Experiment) *string { return &s.Model }),
		choiceField("backend", "the engine that runs the model; a list compares engines",
			func(s *Experiment) *string { return &s.Backend }, backends...),
		choiceField("dtype", "the type of the weights; auto is the backend's default",
			func(s *Experiment) *string { return &s.DType }, dtypes...).meaning(otherTypes),
		textField("workload.dataset", "builtin, synthetic or the path of a .jsonl, .json or .csv file",
			"where prompts come from", func(s *Experiment) *string { return &s.Workload.Dataset }),
		wordField(terms.TemplateKey, "the chat template around a prompt of a data set; model is the model's own, "+
			"for "+able.templates+" only", grammar.Choice(terms.TemplateNone, terms.TemplateModel),
			func(s *Experiment) *string { return &s.Workload.ChatTemplate }).empty(terms.TemplateNone),
		wholeField("workload.prompts", 1, 1e6, "number of prompts",
			func(s *Experiment) *int { return &s.Workload.Prompts }),
		wholeField("workload.input_tokens", 1, 1e7,
			"length of a synthetic prompt, and maximum length of a prompt of a data set, in tokens",
			func(s *Experiment) *int { return &s.Workload.InputTokens }),
		wholeField("workload.output_tokens", 1, 1e6,
			"tokens to generate for each prompt; the end-of-sequence token is ignored",
			func(s *Experiment) *int { return &s.Workload.OutputTokens }),
		preset(presetKey, able.but("temperature",
			"greedy is temperature 0; sampled is 1, chat 0.7 and focused 0.2, both with top_p 0.95"),
			presetGreedy, "sampled", "chat", "focused"),
		wholeField("workload.concurrency", 0, 1e6,
			"maximum number of requests in flight at a server, a new one as soon as one ends; 0 sends all at once",
			func(s *Experiment) *int { return &s.Workload.Concurrency }),
	}
}

// decodingKeys are the keys that say how tokens are chosen, of [grammar.DecodingKeys].
func decodingKeys(able able) []commonKey {
	return []commonKey{
		numberField("decoding.temperature", 0, 10, able.but("temperature", "0 is greedy decoding"),
			func(s *Experiment) *float64 { return &s.Decoding.Temperature }),
		numberField(terms.TopPKey, 0.001, 1,
			able.but("top_p", "choose from the likeliest tokens of this total probability; 1 is all"),
			func(s *Experiment) *float64 { return &s.Decoding.TopP }),
		wholeField("decoding.top_k", 0, 1<<20, able.but("top_k", "choose from at most this many tokens; 0 is all"),
			func(s *Experiment) *int { return &s.Decoding.TopK }),
		seedField("decoding.seed", able.but("seed", "seed of the choice; 0 takes the key seed"),
			func(s *Experiment) *uint64 { return &s.Decoding.Seed }),
		numberField("decoding.min_p", 0, 1, able.but("min_p",
			"choose from tokens with at least this share of the probability of the likeliest; 0 is all"),
			func(s *Experiment) *float64 { return &s.Decoding.MinP }),
		numberField(terms.PenaltyKey, 0.1, 2, able.but("repetition_penalty",
			"divides the logits of tokens that were there before (multiplies negative ones), greedy or not; 1 is none"),
			func(s *Experiment) *float64 { return &s.Decoding.RepetitionPenalty }).zero(terms.PenaltyNone),
	}
}

// measuringKeys are the warm-up, what is measured, and the seed.
func measuringKeys() []commonKey {
	return []commonKey{
		wholeField("warmup.runs", 0, 1000,
			"discarded runs of a full batch and the smaller last one; 0 disables the warm-up",
			func(s *Experiment) *int { return &s.Warmup.Runs }),
		wordField(terms.CoverKey, "all runs every shape of the window before that, with a few output tokens, until "+
			"the times settle; sizes does not", grammar.Choice(terms.CoverAll, terms.CoverSizes),
			func(s *Experiment) *string { return &s.Warmup.Cover }).empty(terms.CoverAll),
		numberField(terms.WarmupSecondsKey, 0.1, 86400,
			"time limit for the shapes, in seconds; default 10 on a CPU",
			func(s *Experiment) *float64 { return &s.Warmup.MaxSeconds }).zero(terms.WarmupSeconds),
		numberField("baseline.seconds", 0, 3600, "how long the idle machine is measured before the engine starts",
			func(s *Experiment) *float64 { return &s.Baseline.Seconds }),
		numberField("baseline.resident_seconds", 0, 3600,
			"how long the idle engine is measured with the model loaded",
			func(s *Experiment) *float64 { return &s.Baseline.ResidentSeconds }),
		numberField("baseline.max_age_seconds", 0, 30*86400,
			"maximum age of an earlier baseline that is used again; 0 always measures",
			func(s *Experiment) *float64 { return &s.Baseline.MaxAgeSeconds }),
		numberField("energy.min_window", 0, 86400,
			"minimum length of the measured window in seconds; 0 takes what the sensors need",
			func(s *Experiment) *float64 { return &s.Energy.MinWindow }).in("s"),
		numberField("energy.max_window", 0, 86400,
			"maximum length in seconds to which a window is lengthened for the split by phase; 0 never lengthens it",
			func(s *Experiment) *float64 { return &s.Energy.MaxWindow }).in("s"),
		choiceField("energy.sources", "auto reads every readable sensor",
			func(s *Experiment) *string { return &s.Energy.Sources }, "auto", "none"),
		switchField("energy.allow_shared",
			"print numbers of a GPU on which other work ran, marked, instead of refusing them",
			func(s *Experiment) *bool { return &s.Energy.AllowShared }),
		remoteField("energy.remote", "metrics pages to read in addition to this machine's sensors",
			func(s *Experiment) *string { return &s.Energy.Remote }),
		numberField("energy.carbon_intensity_g_per_kwh", 0, 1e5,
			"grams of CO2-equivalent per kilowatt-hour; 0 is not set",
			func(s *Experiment) *float64 { return &s.Energy.CarbonIntensity }),
		numberField("energy.pue", 1, 10, "power usage effectiveness of the building; scales carbon and cost only",
			func(s *Experiment) *float64 { return &s.Energy.PUE }),
		numberField("energy.price_per_kwh", 0, 1e6, "price in the user's currency; 0 is not set",
			func(s *Experiment) *float64 { return &s.Energy.PricePerKWh }),
		wordField("energy.currency", "the currency of the price, printed beside each cost",
			grammar.Pattern("the code of a currency such as EUR or USD", `^[A-Z]{3}$`),
			func(s *Experiment) *string { return &s.Energy.Currency }),
		seedField("seed", "seed of built-in and synthetic prompts, and of random weights",
			func(s *Experiment) *uint64 { return &s.Seed }),
	}
}

// in sets the unit of a key whose name does not have it.
func (c commonKey) in(unit string) commonKey {
	c.Unit = unit
	return c
}

func newField(key, help string, k grammar.Kind, get func(*Experiment) grammar.Value,
	put func(*Experiment, grammar.Value)) commonKey {
	return commonKey{&keys.Field{Key: key, Help: help, Kind: k, Aside: slices.Contains(keys.Asides(), key)}, get, put}
}

// presetGreedy takes the most likely token.
const presetGreedy = "greedy"

// presetOf returns the settings of a preset; greedy and no preset return the zero value.
func presetOf(name string) Decoding {
	switch name {
	case "sampled":
		return Decoding{Temperature: 1}
	case "chat":
		return Decoding{Temperature: 0.7, TopP: 0.95}
	case "focused":
		return Decoding{Temperature: 0.2, TopP: 0.95}
	}
	return Decoding{}
}

// presetKey is the key that is shorthand for decoding settings.
const presetKey = "decoding.preset"

// preset returns a key that is shorthand for others and has no value of its own in an experiment.
func preset(key, help string, allowed ...string) commonKey {
	f := newField(key, help, grammar.Choice(allowed...), func(*Experiment) grammar.Value { return grammar.Value{} },
		func(*Experiment, grammar.Value) {})
	f.Optional, f.Preset = true, true
	return f
}

// meaning suggests a word of the key for a word that means it elsewhere.
func (c commonKey) meaning(other map[string]string) commonKey {
	parse, want := c.Kind.Parse, c.Kind.Want
	c.Kind.Parse = func(s string) (grammar.Value, error) {
		if word := other[strings.ToLower(s)]; word != "" {
			return grammar.Value{}, grammar.ValueError(s, want, word)
		}
		return parse(s)
	}
	return c
}

// empty makes an empty text in an experiment mean the given word of the key.
func (c commonKey) empty(word string) commonKey {
	read, write := c.read, c.write
	c.read = func(e *Experiment) grammar.Value { return grammar.Value{Text: cmp.Or(read(e).Text, word)} }
	c.write = func(e *Experiment, v grammar.Value) {
		if v.Text == word {
			v.Text = ""
		}
		write(e, v)
	}
	return c
}

// zero makes 0 in an experiment mean the default number of the key.
func (c commonKey) zero(usual float64) commonKey {
	read, write := c.read, c.write
	c.read = func(e *Experiment) grammar.Value { return grammar.Value{Number: cmp.Or(read(e).Number, usual)} }
	c.write = func(e *Experiment, v grammar.Value) {
		if v.Number == usual {
			v.Number = 0
		}
		write(e, v)
	}
	return c
}

func wordField(key, help string, k grammar.Kind, at func(*Experiment) *string) commonKey {
	return newField(key, help, k, func(s *Experiment) grammar.Value { return grammar.Value{Text: *at(s)} },
		func(s *Experiment, v grammar.Value) { *at(s) = v.Text })
}

func textField(key, want, help string, at func(*Experiment) *string) commonKey {
	return wordField(key, help, grammar.Line(want), at)
}

func choiceField(key, help string, at func(*Experiment) *string, allowed ...string) commonKey {
	return wordField(key, help, grammar.Choice(allowed...), at)
}

func remoteField(key, help string, at func(*Experiment) *string) commonKey {
	f := wordField(key, help, keys.RemotePages(), at)
	f.Undivided = true
	return f
}

func wholeField(key string, low, high int64, help string, at func(*Experiment) *int) commonKey {
	return newField(key, help, grammar.Integer(low, high),
		func(s *Experiment) grammar.Value { return grammar.Value{Whole: int64(*at(s)), Number: float64(*at(s))} },
		func(s *Experiment,
			v grammar.Value) {
			*at(s) = int(v.Whole)
		})
}

func switchField(key, help string, at func(*Experiment) *bool) commonKey {
	return newField(key, help, grammar.Switch(),
		func(s *Experiment) grammar.Value {
			if *at(s) {
				return grammar.Value{Text: grammar.True}
			}
			return grammar.Value{Text: grammar.False}
		},
		func(s *Experiment, v grammar.Value) { *at(s) = v.Text == grammar.True })
}

func seedField(key, help string, at func(*Experiment) *uint64) commonKey {
	return newField(key, help, grammar.Integer(0, math.MaxInt64),
		func(s *Experiment) grammar.Value { return grammar.Value{Whole: int64(*at(s)), Number: float64(*at(s))} },
		func(s *Experiment,
			v grammar.Value) {
			*at(s) = uint64(v.Whole)
		})
}

func numberField(key string, low, high float64, help string, at func(*Experiment) *float64) commonKey {
	return newField(key, help, grammar.Float(low, high),
		func(s *Experiment) grammar.Value { return grammar.Value{Number: *at(s)} },
		func(s *Experiment, v grammar.Value) { *at(s) = v.Number })
}
