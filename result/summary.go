package result

import (
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// ExperimentSummary is one configuration over its cycles.
type ExperimentSummary struct {
	// ID of the experiment.
	ID string `json:"id"`
	// Config is the requested experiment.
	Config study.Experiment `json:"config"`
	// OK is the number of runs with a result.
	OK int `json:"ok"`
	// Failed is the number of failed runs.
	Failed int `json:"failed"`
	// LeftOut is the number of runs that were skipped because their backend kept failing.
	LeftOut int `json:"left_out,omitempty"`
	// Flags are the codes that mark every line of the configuration: from the runs in its means (or all runs
	// if there are none), and from Caveats.
	Flags []note.Code `json:"flags,omitempty"`
	// Warnings are the codes of the warnings of all runs, with their numbers of runs.
	Warnings []Warned `json:"warnings,omitempty"`
	// Excluded are runs with status ok that are excluded from the means: they did not do the requested work,
	// or their energy is not theirs alone.
	Excluded []Exclusion `json:"excluded,omitempty"`
	// Status is ok if any run is ok.
	Status Status `json:"status"`
	// Version is the version of the engine in the runs of the means. If runs differ, Version, Device and
	// DType list the values with their numbers of runs.
	Version string `json:"version,omitempty"`
	// Device names the counted devices, or the device that ran the model.
	Device string `json:"device,omitempty"`
	// DType is the number format that the engine used.
	DType string `json:"dtype,omitempty"`
	// Provenance is the origin of the energy in the means; metrics.energy.total_j.n is the number of its
	// runs.
	Provenance Provenance `json:"provenance,omitempty"`
	// MemoryMethod is what memory.peak_bytes counts, "mixed" if the runs differ.
	MemoryMethod MemoryMethod `json:"memory_method,omitempty"`
	// ProcessMethod is what memory.process_peak_bytes counts.
	ProcessMethod MemoryMethod `json:"process_method,omitempty"`
	// Metrics are the numbers of the comparable runs, by their path in result.json; null without such a run,
	// with MetricsReason.
	Metrics Spreads `json:"metrics"`
	// MetricsReason is empty if Metrics is not null.
	MetricsReason string `json:"metrics_reason,omitempty"`
	// Missing are the distinct reasons why comparable runs lack numbers, with their numbers of runs; if none
	// is comparable, of all runs with status ok.
	Missing []Missing `json:"missing,omitempty"`
	// Precision is the result of the wanted precision; null if none was wanted.
	Precision *Precision `json:"precision,omitempty"`
	// Standing is the position among all configurations by ParetoMetrics; null for a single configuration.
	Standing *Standing `json:"standing"`
	// Caveats are reasons to doubt the configuration as a whole.
	Caveats note.List `json:"caveats,omitempty"`
}

// Precision compares the precision of a metric after all cycles with the wanted one: half the width of its 95
// % confidence interval divided by its mean.
type Precision struct {
	// Metric is its path in result.json.
	Metric string `json:"metric"`
	// Wanted is half the relative width of the 95 % confidence interval: 0.02 is ±2 %.
	Wanted float64 `json:"wanted"`
	// Reached is null if the metric has no interval.
	Reached *float64 `json:"reached"`
	// Met reports whether the wanted precision was reached.
	Met bool `json:"met"`
}

// Warned is a code of warnings with its number of runs.
type Warned struct {
	Code note.Code `json:"code"` // of the warnings
	Runs int       `json:"runs"` // that have it
}

// Doubt is a warning that runs share, in the words of its first run.
type Doubt struct {
	// Kind is "warning" or "not measured".
	Kind string `json:"kind"`
	note.Note
	// Runs is the number of runs.
	Runs int `json:"runs"`
}
