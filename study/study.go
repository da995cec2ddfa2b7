package study

import (
	"cmp"
	"encoding/json"
	"strconv"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/note"
)

// Study is a list of experiments and how to run them.
type Study struct {
	// Name of the study; it may be empty.
	Name string `json:"name"`
	// Experiments are the configurations, each once.
	Experiments []Experiment `json:"experiments"`
	// Execution is how often and in which order they run.
	Execution Execution `json:"execution"`
	// Merged counts points that equal an earlier one, and Duplicates lists the first 100 of them.
	Merged int `json:"merged,omitempty"`
	// Duplicates are named by what the sweep set.
	Duplicates []Duplicate `json:"duplicates,omitempty"`
	// Refused counts points whose values do not fit together, and Invalid lists the first 100 of them. They are not
	// run; a study without any other point is a mistake.
	Refused int `json:"refused,omitempty"`
	// Invalid points are named with the reason.
	Invalid []Invalid `json:"invalid,omitempty"`
	// Filtered counts points that a where condition, or a backend chosen on the command line, left out.
	Filtered int `json:"filtered,omitempty"`
	// Unused are keys of the study files that belong to backends which the study does
	// not run.
	Unused []string `json:"unused,omitempty"`
	// Engines are the engines for which the study was read; nil means all engines of this program.
	Engines engine.Descriptors `json:"-"`
	// BackendNamed reports that the user chose the backend; otherwise it is the default.
	BackendNamed bool `json:"-"`
}

// Engine describes an engine of the study by name.
func (s *Study) Engine(name string) engine.Descriptor { return engines.Find(s.Engines, name) }

// Duplicate is a point with the same meaning as an earlier one.
type Duplicate struct {
	// Point names what the sweep set, such as "embedded embedded.batch_size=8".
	Point string `json:"point"`
	// ID of the experiment that both are.
	ID string `json:"id"`
}

// Invalid is a point that cannot be run, and why.
type Invalid struct {
	// Point names what the sweep set.
	Point string `json:"point"`
	note.Note
}

// UnmarshalJSON also reads the keys of earlier versions: reason for message and hint for next.
func (i *Invalid) UnmarshalJSON(text []byte) error {
	type plain Invalid
	if err := json.Unmarshal(text, (*plain)(i)); err != nil {
		return err
	}
	return i.ReadEarlier(text)
}

// Experiment is one configuration to measure. All fields are resolved: nothing
// here depends on a default that is applied later. Its JSON has the section under the name
// of the backend, after the seed.
type Experiment struct {
	// Model as the user names it.
	Model string `json:"model"`
	// Backend is the name of the engine.
	Backend string `json:"backend"`
	// DType of the weights, or auto.
	DType string `json:"dtype"`
	// Workload is the work of the engine.
	Workload Workload `json:"workload"`
	// Decoding is how tokens are chosen.
	Decoding Decoding `json:"decoding"`
	// Warmup is what runs before the window.
	Warmup Warmup `json:"warmup"`
	// Baseline is how the idle machine is measured.
	Baseline Baseline `json:"baseline"`
	// Energy is what is measured and how it is converted.
	Energy Energy `json:"energy"`
	// Seed of the choice among built-in prompts, of synthetic ones and of random weights.
	Seed uint64 `json:"seed"`
	// Section holds the settings of the engine. Experiments of a study share equal sections.
	Section engine.JSON `json:"-"`

	// Runner is how the engine runs: process or container.
	Runner string `json:"runner,omitempty"`
	// Container is where the engine runs, if the runner is container.
	Container ContainerSection `json:"container,omitzero"`

	// RecordedID is the ID in results of an earlier version whose rules gave the same values another ID; empty
	// otherwise. See [Experiment.Recorded].
	RecordedID string `json:"-"`
}

// Workload is the fixed work that every engine receives.
type Workload struct {
	// Dataset is builtin, builtin-1 (the built-in prompts of earlier versions), synthetic, or the
	// path of a .jsonl, .json or .csv file.
	Dataset string `json:"dataset"`
	// ChatTemplate is model, for the model's own template around the prompts of a data set, or empty for none.
	ChatTemplate string `json:"chat_template,omitempty"`
	// Prompts is the number of requests, or of conversations if they have several turns.
	Prompts int `json:"prompts"`
	// InputTokens is the exact length of a synthetic prompt, and the maximum length of a prompt of a data set.
	InputTokens int `json:"input_tokens"`
	// OutputTokens is the number of output tokens per request; end-of-sequence tokens are ignored.
	OutputTokens int `json:"output_tokens"`
	// Concurrency is the maximum number of requests in flight: a new one follows as soon as one ends. 0 sends all at
	// once; an engine that does not take requests while it works accepts only 0.
	Concurrency int `json:"concurrency,omitempty"`
	// Load is when requests arrive; the zero value is a closed loop.
	Load Arrivals `json:"load,omitzero"`
	// SLO is what makes a request good; the zero value sets none.
	SLO SLO `json:"slo,omitzero"`
}

// Distinct returns the number of different prompts: the turns of all conversations.
func (w Workload) Distinct() int { return w.Prompts * max(1, w.Load.Turns) }

// MaxContext returns the maximum length of a request with its output, in tokens: of a whole conversation, or of the
// longest request that is taken from a trace.
func (w Workload) MaxContext() int {
	input, output := w.InputTokens, w.OutputTokens
	if w.Load.Trace != "" {
		input, output = cmp.Or(w.Load.MaxInput, input), cmp.Or(w.Load.MaxOutput, output)
	}
	return (input + output) * max(1, w.Load.Turns)
}

// Arrivals are when requests arrive at an engine that batches continuously, and how long.
type Arrivals = load.Arrivals

// SLO is what makes a request good.
type SLO = load.SLO

// Decoding is how tokens are chosen. Temperature 0 is greedy: then the other fields but RepetitionPenalty are
// 0, because they have no effect. A setting that the engine does not have is refused.
type Decoding struct {
	// Temperature of the choice; 0 takes the most likely token.
	Temperature float64 `json:"temperature"`
	// TopP limits the choice to the most likely tokens with this total probability; 0 sets no limit.
	TopP float64 `json:"top_p,omitempty"`
	// TopK limits the choice to this number of tokens; 0 sets no limit.
	TopK int `json:"top_k,omitempty"`
	// Seed of the choice; 0 takes the seed of the experiment.
	Seed uint64 `json:"seed,omitempty"`
	// MinP limits the choice to tokens with at least this share of the probability of the likeliest; 0 sets no limit.
	MinP float64 `json:"min_p,omitempty"`
	// RepetitionPenalty divides the positive logits of tokens that were there before, and multiplies the negative
	// ones; 0 is none. It has an effect at temperature 0, too.
	RepetitionPenalty float64 `json:"repetition_penalty,omitempty"`
}

// Warmup is what runs before the window and is discarded.
type Warmup struct {
	// Runs is how often a full batch and the smaller last one run with all of their output tokens; an engine that
	// batches itself runs the whole workload. 0 disables the warm-up.
	Runs int `json:"runs"`
	// Cover is sizes, which runs nothing else, or empty: all shapes of the window run before that, with a few output
	// tokens.
	Cover string `json:"cover,omitempty"`
	// MaxSeconds bounds the time for the shapes, in seconds; 0 means 60.
	MaxSeconds float64 `json:"max_seconds,omitempty"`
}

// Baseline is how long the idle machine is measured.
type Baseline struct {
	// Seconds before the engine is started.
	Seconds float64 `json:"seconds"`
	// ResidentSeconds with the model loaded, before the warm-up.
	ResidentSeconds float64 `json:"resident_seconds"`
	// MaxAgeSeconds is the maximum age of an earlier run's baseline that is used again, after a short measurement has
	// confirmed it; 0 always measures.
	MaxAgeSeconds float64 `json:"max_age_seconds"`
}

// Energy is what is measured and what the results are converted to.
type Energy struct {
	// Sources is auto (every readable sensor) or none.
	Sources string `json:"sources"`
	// MinWindow is the minimum length of the measured window in seconds: a shorter workload is repeated. 0 takes the
	// length that a self-test of the sensors requires.
	MinWindow float64 `json:"min_window"`
	// MaxWindow is the maximum length in seconds to which a window is lengthened so that its energy can be split by
	// phase; 0 never lengthens it. It is not part of the ID: the length that a window reaches depends on what is
	// measured.
	MaxWindow float64 `json:"max_window,omitempty"`
	// Remote lists metrics pages that are read in addition to this machine's sensors, in the grammar of docs/power.md;
	// empty for none. It is not part of the ID: the source of a check does not change what is measured.
	Remote string `json:"remote,omitempty"`
	// AllowShared reports numbers of a GPU on which other work ran, marked, instead of refusing them.
	AllowShared bool `json:"allow_shared,omitempty"`
	// CarbonIntensity in grams of CO2-equivalent per kilowatt-hour; 0 if not set.
	CarbonIntensity float64 `json:"carbon_intensity_g_per_kwh"`
	// PUE is the power usage effectiveness of the building; it scales carbon and
	// cost, never the measured energy.
	PUE float64 `json:"pue"`
	// PricePerKWh is in the user's currency; 0 if not set.
	PricePerKWh float64 `json:"price_per_kwh"`
	// Currency is the code of the price's currency, such as EUR; empty if not set.
	Currency string `json:"currency,omitempty"`
}

// DefaultExperiment returns the experiment of a study that names only a model, on an engine.
func DefaultExperiment(d engine.Descriptor) Experiment {
	return Experiment{
		Backend:  d.Name,
		Section:  engine.Encode(d.Section()),
		DType:    terms.DTypeAuto,
		Workload: usualWorkload,
		Warmup:   Warmup{Runs: 1},
		Baseline: usualBaseline,
		Energy:   Energy{Sources: "auto", MaxWindow: usualMaxWindow, PUE: 1},
		Seed:     usualSeed,

		Runner:    terms.RunProcess,
		Container: ContainerSection{Client: terms.ClientAuto},
	}
}

// usualMaxWindow is in seconds.
const usualMaxWindow = 30

// Defaults that IDs use for values without effect.
var usualWorkload = Workload{Dataset: builtin, Prompts: 16, InputTokens: 256, OutputTokens: 64}

var usualBaseline = Baseline{Seconds: 5, ResidentSeconds: 3, MaxAgeSeconds: 1800}

const usualSeed = 1

// BatchSize returns the maximum number of sequences per step; 0 means the engine decides.
func (e Experiment) BatchSize() int {
	if e.Section == "" { // no settings given
		return 1
	}
	return e.Section.Batch()
}

// BatchText returns the batch size for a person.
func (e Experiment) BatchText() string {
	if n := e.BatchSize(); n > 0 {
		return strconv.Itoa(n)
	}
	return "auto"
}

// Label names the experiment for a person.
func (e Experiment) Label() string {
	return e.Model + " " + e.Backend + " " + e.DType + " batch " + e.BatchText()
}
