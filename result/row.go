package result

import (
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Row is a run in brief: what a summary is made of. It stands in the run's line of the
// journal, so that a summary does not have to read every result.json.
type Row struct {
	// ID of the experiment.
	ID string `json:"id"`
	// Cycle counts the runs of the experiment, from 1.
	Cycle int `json:"cycle"`
	// Status is the outcome.
	Status Status `json:"status"`
	// Class and Message are those of the failure.
	Class note.Class `json:"class,omitempty"`
	// Message is one sentence.
	Message string `json:"message,omitempty"`
	// Values are the run's metrics.
	Values Values `json:"values"`
	// Provenance of the energy, and the reason why a run that was ok has none.
	Provenance Provenance `json:"provenance,omitempty"`
	// Reason is why a run that was ok has no energy.
	Reason string `json:"reason,omitempty"`
	// Missing are the reasons why a run that was ok lacks numbers, those of its energy included.
	Missing []Missing `json:"missing,omitempty"`
	// MemoryMethod is what memory.peak_bytes counts, ProcessMethod what
	// memory.process_peak_bytes does.
	MemoryMethod MemoryMethod `json:"memory_method,omitempty"`
	// ProcessMethod is empty where memory was not measured, like MemoryMethod.
	ProcessMethod MemoryMethod `json:"process_method,omitempty"`
	// Version is that of the engine.
	Version string `json:"version,omitempty"`
	// Device names the devices whose energy is counted, or what the model ran on.
	Device string `json:"device,omitempty"`
	// DType is what the engine used.
	DType string `json:"dtype,omitempty"`
	// WorkloadHash is equal for runs that computed the same token ids.
	WorkloadHash string `json:"workload_hash,omitempty"`
	OutputHash   string `json:"output_hash,omitempty"` // of [Tokens]
	// Warnings are the codes of the run's warnings, each once.
	Warnings []note.Code `json:"warnings,omitempty"`
	// TookS is how long the run took with everything around it, in seconds.
	TookS float64 `json:"took_s,omitempty"`
}

// Simulated reports whether the run was made on a device that does not exist.
func (r Row) Simulated() bool {
	return r.Provenance == Simulated || slices.Contains(r.Warnings, codes.Simulated)
}

// Brief is the row with the main metrics alone, as summaries of large studies have it.
func (r Row) Brief() Row {
	r.Values = r.Values.only(mainPlaces)
	return r
}

// Made says that the run has been made, well or badly.
func (r Row) Made() bool {
	return r.Status == OK || r.Status == Failed && r.Class != codes.ClassLeftOut
}
