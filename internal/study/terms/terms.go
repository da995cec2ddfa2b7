// Package terms has the words that are values of a study's keys and that the program uses by name.
package terms

// DTypeAuto is the backend's default type: the type in a .gguf file, float16 for other models on the embedded
// engine, bfloat16 on PyTorch.
const DTypeAuto = "auto"

// Runners: how an engine runs.
const (
	RunProcess   = "process"
	RunContainer = "container"
)

// ClientAuto takes docker, or podman, as found in PATH.
const ClientAuto = "auto"

// When an engine is started again.
const (
	// RestartNeeded lets an engine serve successive runs that differ only in what it can change while its model stays
	// loaded.
	RestartNeeded = "needed"
	// RestartAlways starts an engine for every run, so that the spread between runs includes the differences between
	// starts.
	RestartAlways = "always"
)

// Where the cycles of an experiment are executed, if several machines execute a study.
const (
	// PlaceSpread spreads the cycles of an experiment over the machines, so that no machine stands for an experiment.
	PlaceSpread = "spread"
	// PlaceSame executes all cycles of an experiment on one machine.
	PlaceSame = "same"
)

// Which workers execute a canary, the first experiment, before their first run.
const (
	// CanaryAuto is every worker of a study with workers on several machines.
	CanaryAuto = "auto"
	// CanaryAlways is every worker, also on one machine: their GPUs may differ.
	CanaryAlways = "always"
	// CanaryNever leaves the canary out.
	CanaryNever = "never"
)

// Modes of a gap between runs.
const (
	// GapFixed lasts Gap.Seconds.
	GapFixed = "fixed"
	// GapByCondition lasts until the machine is back in its state before the first run.
	GapByCondition = "condition"
)

// Orders of execution.
const (
	// Balanced alternates forwards and backwards, and keeps experiments together that one engine can serve: ABBAAB.
	// It is the default.
	Balanced = "balanced"
	// Sequential runs all cycles of one experiment before the next: AAABBB.
	Sequential = "sequential"
	// Interleave repeats the list: ABABAB.
	Interleave = "interleave"
	// Shuffle draws a new order for each cycle from the seed.
	Shuffle = "shuffle"
	// Reverse alternates forwards and backwards: ABBAAB.
	Reverse = "reverse"
	// LatinSquare balances positions, and which experiment follows which.
	LatinSquare = "latin_square"
)

// Orders lists the orders of execution.
func Orders() []string {
	return []string{Balanced, Sequential, Interleave, Shuffle, Reverse, LatinSquare}
}

// Metrics lists the metrics that execution.until accepts, by their name in a result.
func Metrics() []string {
	return []string{
		"energy.per_output_token_j", "energy.per_total_token_j", "energy.per_request_j", "energy.total_j",
		"energy.net_j",
		"energy.mean_w", "throughput.output_tokens_per_s", "throughput.total_tokens_per_s", "throughput.requests_per_s",
	}
}

// Profiles of execution.
const (
	// Quick runs one cycle without gaps: does it work, and roughly what does it cost?
	Quick = "quick"
	// Standard runs three cycles with gaps by condition.
	Standard = "standard"
	// Publication runs at least five cycles with gaps by condition, each run on a new engine, and more until energy
	// per output token is known to 2 %.
	Publication = "publication"
	// Endpoints runs the points of MLPerf Endpoints: fixed numbers of requests in flight, 600 or 1,200 s each.
	Endpoints = "endpoints"
)

// The chat template around prompts.
const (
	// TemplateKey is its key.
	TemplateKey = "workload.chat_template"
	// TemplateNone disables the template. In an experiment it is an empty text, as in experiments from before
	// there were templates.
	TemplateNone = "none"
	// TemplateModel puts the prompts of a data set into the model's own template.
	TemplateModel = "model"
)

// How tokens are drawn.
const (
	// TopPKey is the total probability of the tokens drawn from. In an experiment, 0 stands for TopPAll.
	TopPKey = "decoding.top_p"
	// TopPAll draws from all tokens.
	TopPAll = 1
	// PenaltyKey divides what speaks for repeated tokens. In an experiment, 0 stands for PenaltyNone.
	PenaltyKey = "decoding.repetition_penalty"
	// PenaltyNone changes nothing.
	PenaltyNone = 1
)

// What a warm-up runs.
const (
	// CoverKey is the key of what it runs.
	CoverKey = "warmup.cover"
	// WarmupSecondsKey is the key of its time limit. In an experiment, 0 stands for the default.
	WarmupSecondsKey = "warmup.max_seconds"
	// CoverAll runs all shapes of the window. In an experiment it is an empty text, as in experiments from before
	// there was a choice.
	CoverAll = "all"
	// CoverSizes runs the batch sizes of the window.
	CoverSizes = "sizes"
	// WarmupSeconds is the default time limit for running the shapes of a window.
	WarmupSeconds = 60
	// HostWarmupSeconds is the default for engines that compute on the host's CPU, which choose no kernels by shape
	// and need long for each.
	HostWarmupSeconds = 10
)

// Command is the backend of a window around something that llem does not run as an engine: a command, a process, or
// the marked part of a program.
const Command = "command"

// The load of an engine.
const (
	// LoadKey is the beginning of the keys of a load, and SLOKey of an objective.
	LoadKey = "workload.load."
	SLOKey  = "workload.slo." // see LoadKey
	// SearchNone does not search; in an experiment it is an empty text.
	SearchNone = "none"
)
