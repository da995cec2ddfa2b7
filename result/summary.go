package result

import (
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// ExperimentSummary is one configuration over its cycles.
type ExperimentSummary struct {
	// ID of the experiment.
	ID string `json:"id"`
	// Config is the experiment as it was asked for.
	Config study.Experiment `json:"config"`
	// OK is how many runs have a result.
	OK int `json:"ok"`
	// Failed is how many have none.
	Failed int `json:"failed"`
	// LeftOut runs were not made because their backend kept failing.
	LeftOut int `json:"left_out,omitempty"`
	// Flags are the codes of doubts that mark every line of the configuration: of the runs in its
	// means, or of all where none is, and of Caveats.
	Flags []note.Code `json:"flags,omitempty"`
	// Warnings are the codes of the warnings of all runs, each with the number of runs that have it.
	Warnings []Warned `json:"warnings,omitempty"`
	// Excluded are runs among the OK ones that are in no mean: they did other work than they were
	// asked for, or their energy is not theirs alone.
	Excluded []Exclusion `json:"excluded,omitempty"`
	// Status is that of the runs: ok if one of them is.
	Status Status `json:"status"`
	// Version is that of the engine in the runs behind the means, and Device what they ran on, like
	// DType with the number of runs behind each where these differ.
	Version string `json:"version,omitempty"`
	// Device names the devices whose energy is counted.
	Device string `json:"device,omitempty"`
	// DType is what the engine used.
	DType string `json:"dtype,omitempty"`
	// Provenance is what stands behind the energy that is in the means: metrics.energy.total_j.n tells
	// of how many runs.
	Provenance Provenance `json:"provenance,omitempty"`
	// MemoryMethod and ProcessMethod are those of the runs, "mixed" if not all the same.
	MemoryMethod MemoryMethod `json:"memory_method,omitempty"`
	// ProcessMethod is what memory.process_peak_bytes counts.
	ProcessMethod MemoryMethod `json:"process_method,omitempty"`
	// Metrics are the numbers of the runs that are comparable, by their path in result.json;
	// null without such a run, and MetricsReason says why.
	Metrics Spreads `json:"metrics"`
	// MetricsReason is empty where Metrics are not null.
	MetricsReason string `json:"metrics_reason,omitempty"`
	// Missing are the reasons why runs that are comparable lack numbers, each once with its number
	// of runs; of all that were ok where none is comparable.
	Missing []Missing `json:"missing,omitempty"`
	// Precision is what became of the wanted precision; null where none was wanted.
	Precision *Precision `json:"precision,omitempty"`
	// Standing is the place among all configurations by ParetoMetrics; null with a
	// single one.
	Standing *Standing `json:"standing"`
	// Caveats are reasons to doubt the configuration as a whole.
	Caveats note.List `json:"caveats,omitempty"`
}

// Precision is how well a metric is known after all cycles, against what was wanted:
// half the width of its 95 % interval over its mean.
type Precision struct {
	// Metric is its path in result.json.
	Metric string `json:"metric"`
	// Wanted is half the relative width of the 95 % interval: 0.02 is ±2 %.
	Wanted float64 `json:"wanted"`
	// Reached is null where the metric has no interval.
	Reached *float64 `json:"reached"`
	// Met reports whether it was reached.
	Met bool `json:"met"`
}

// Warned is a code of warnings and the number of Runs that have it.
type Warned struct {
	Code note.Code `json:"code"`
	Runs int       `json:"runs"`
}

// Doubt is a warning that runs share, in the words of the first that has it.
type Doubt struct {
	// Kind is "warning" or "not measured".
	Kind string `json:"kind"`
	note.Note
	// Runs is how many have it.
	Runs int `json:"runs"`
}
