// Package terms has the words that values of a study's keys are, where the program asks
// for them by name.
package terms

// DTypeAuto stands for the backend's usual type: what a .gguf file holds,
// float16 for other models on the embedded engine, bfloat16 on PyTorch.
const DTypeAuto = "auto"

// Runners: what an engine runs as.
const (
	RunProcess   = "process"
	RunContainer = "container"
)

// ClientAuto takes docker, else podman, as they are found in PATH.
const ClientAuto = "auto"

// When an engine is started anew.
const (
	// RestartNeeded lets an engine serve runs that follow each other and differ only
	// in what it can change while its model stays loaded.
	RestartNeeded = "needed"
	// RestartAlways gives every run an engine of its own, so that the spread between
	// runs holds what differs between two starts.
	RestartAlways = "always"
)

// Modes of a gap between runs.
const (
	// GapFixed lasts Gap.Seconds.
	GapFixed = "fixed"
	// GapByCondition lasts until the machine is back in the state in which the first
	// run found it.
	GapByCondition = "condition"
)

// Orders of execution.
const (
	// Balanced goes forwards and backwards in turn, with experiments that one engine can serve side by side: ABBAAB.
	// It is the default.
	Balanced = "balanced"
	// Sequential makes all cycles of one experiment before the next: AAABBB.
	Sequential = "sequential"
	// Interleave repeats the list: ABABAB.
	Interleave = "interleave"
	// Shuffle draws a new order for each cycle from the seed.
	Shuffle = "shuffle"
	// Reverse goes forwards and backwards in turn: ABBAAB.
	Reverse = "reverse"
	// LatinSquare balances positions, and which experiment follows which.
	LatinSquare = "latin_square"
)

// Orders lists the orders of execution.
func Orders() []string {
	return []string{Balanced, Sequential, Interleave, Shuffle, Reverse, LatinSquare}
}

// Metrics lists what execution.until can wait for, by its name in a result.
func Metrics() []string {
	return []string{
		"energy.per_output_token_j", "energy.per_total_token_j", "energy.per_request_j", "energy.total_j",
		"energy.net_j",
		"energy.mean_w", "throughput.output_tokens_per_s", "throughput.total_tokens_per_s", "throughput.requests_per_s",
	}
}

// Profiles of execution.
const (
	// Quick makes one cycle without gaps: does it work, and what about does it cost?
	Quick = "quick"
	// Standard makes three cycles with gaps by condition.
	Standard = "standard"
	// Publication makes at least five cycles with gaps by condition, each run with an
	// engine of its own, and more until energy per output token is known to 2 %.
	Publication = "publication"
)

// The chat template around prompts.
const (
	// TemplateKey is its key.
	TemplateKey = "workload.chat_template"
	// TemplateNone is no template. An experiment says it with an empty text, as experiments
	// from before there were templates do.
	TemplateNone = "none"
	// TemplateModel puts the prompts of a data set into the model's own template.
	TemplateModel = "model"
)

// What a warm-up runs.
const (
	// CoverAll runs all shapes of the window. An experiment says it with an empty text, as
	// experiments from before there was a choice do.
	CoverAll = "all"
	// CoverSizes runs the batch sizes of the window.
	CoverSizes = "sizes"
	// WarmupSeconds is how long the shapes of a window are run at most, where a study does not
	// say it.
	WarmupSeconds = 60
	// HostWarmupSeconds is that of engines that compute on the host's processor, which choose no kernels
	// by shape and take long for each.
	HostWarmupSeconds = 10
)
