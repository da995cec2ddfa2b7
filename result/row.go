package result

import (
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Row is a run in brief: the input of a summary. It is part of the run's line in the journal, so that a
// summary need not read every result.json.
type Row struct {
	// ID of the experiment.
	ID string `json:"id"`
	// Cycle counts the runs of the experiment, from 1.
	Cycle int `json:"cycle"`
	// Status is the outcome.
	Status Status `json:"status"`
	// Class is the class of the failure.
	Class note.Class `json:"class,omitempty"`
	// Message is its message, one sentence.
	Message string `json:"message,omitempty"`
	// Values are the run's metrics.
	Values Values `json:"values"`
	// Provenance is the origin of the energy.
	Provenance Provenance `json:"provenance,omitempty"`
	// Reason is why a run with status ok has no energy.
	Reason string `json:"reason,omitempty"`
	// Missing are the reasons why a run with status ok lacks numbers, including its energy.
	Missing []Missing `json:"missing,omitempty"`
	// MemoryMethod is what memory.peak_bytes counts.
	MemoryMethod MemoryMethod `json:"memory_method,omitempty"`
	// ProcessMethod is what memory.process_peak_bytes counts; both are empty if memory was not measured.
	ProcessMethod MemoryMethod `json:"process_method,omitempty"`
	// Version is the version of the engine.
	Version string `json:"version,omitempty"`
	// Device names the counted devices, or the device that ran the model.
	Device string `json:"device,omitempty"`
	// DType is the number format that the engine used.
	DType string `json:"dtype,omitempty"`
	// WorkloadHash is equal for runs that computed the same token ids.
	WorkloadHash string `json:"workload_hash,omitempty"`
	OutputHash   string `json:"output_hash,omitempty"` // of [Tokens]
	// Worker is the worker that executed the run; empty in a study of one process.
	Worker string `json:"worker,omitempty"`
	// Warnings are the distinct codes of the run's warnings.
	Warnings []note.Code `json:"warnings,omitempty"`
	// TookS is the duration of the run, including preparation and cleanup, in seconds.
	TookS float64 `json:"took_s,omitempty"`
}

// Simulated reports whether the run used a simulated device.
func (r Row) Simulated() bool {
	return r.Provenance == Simulated || slices.Contains(r.Warnings, codes.Simulated)
}

// Brief returns the row with only the main metrics, as in summaries of large studies.
func (r Row) Brief() Row {
	r.Values = r.Values.only(mainPlaces)
	return r
}

// Made reports whether the run has been executed, successfully or not.
func (r Row) Made() bool {
	return r.Status == OK || r.Status == Failed && r.Class != codes.ClassLeftOut
}
