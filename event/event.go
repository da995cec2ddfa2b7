// Package event defines what happens during a study, as plain values. The measuring side emits them;
// displays, logs and users of the library receive them. Results do not depend on them.
package event

import (
	"time"

	"github.com/llenergymeasure/llem/note"
)

// Event is one of the types of this package.
type Event interface{ isEvent() }

// Phase is what a run is doing.
type Phase string

// Phases of a run, in their order.
const (
	Prepare  Phase = "prepare"  // find, generate or download the model
	Baseline Phase = "baseline" // measure the idle machine
	Load     Phase = "load"     // start the engine
	Warmup   Phase = "warmup"   // warm-up, discarded
	Measure  Phase = "measure"  // the window
	Finish   Phase = "finish"   // stop, compute, write
	Rest     Phase = "rest"     // between two runs
)

// StudyStarted opens a study.
type StudyStarted struct {
	// Name of the study.
	Name string
	// Runs is how many runs are planned.
	Runs int
	// Dir is the folder of the study's results.
	Dir string
	// Experiments of the study in their order, and how often each is planned to run. A precision goal may add
	// cycles.
	Experiments []Experiment
	// Cycles is the planned number of runs per experiment.
	Cycles int
	// Precision, if not 0, is a goal: half the relative width of the metric's 95 % interval. An experiment
	// that reaches it needs no further cycles.
	Precision float64
	// Expected is a rough interval of the time that the runs take which are not made, by the plan; 0 if unknown.
	Expected [2]time.Duration
	// Made are the runs of an earlier process, which are not repeated.
	Made []RunFinished
	// Worker is the name of this process if it is one of several that execute the study.
	Worker string
}

// Experiment is one row of a study.
type Experiment struct {
	// ID of the experiment.
	ID string
	// Label lists the keys that vary in the study, with their values.
	Label string
}

// RunStarted opens a run.
type RunStarted struct {
	// Index is the position of the run among Total runs, from 1.
	Index, Total int
	// ID of the experiment.
	ID string
	// Label of the experiment.
	Label string
	// Cycle counts the runs of the experiment, from 1.
	Cycle int
}

// PhaseStarted reports the phase that begins.
type PhaseStarted struct {
	// Phase that begins.
	Phase Phase
	// Detail describes the work in a few words; it may be empty.
	Detail string
}

// Progress reports how far a phase is.
type Progress struct {
	// Phase is the current phase.
	Phase Phase
	// Fraction is the part that is done, from 0 to 1.
	Fraction float64
	// Detail describes the work in a few words; it may be empty.
	Detail string
	// Done and Total count the requests of a window, of which the first progress has Done 0; both are 0 in other
	// phases.
	Done, Total int
}

// Power is the newest power of a device, a few times a second.
type Power struct {
	// Device is the id of the metered device.
	Device string
	// Watts is the power.
	Watts float64
}

// Note is a message that the user should see at once.
type Note note.Note

// RunFinished closes a run.
type RunFinished struct {
	// Index is the position of the run among Total runs, from 1.
	Index, Total int
	// ID of the experiment.
	ID string
	// Cycle counts the runs of the experiment, from 1.
	Cycle int
	// Status is the outcome, as in result.json.
	Status string
	// Message is why the run failed; empty if it did not.
	Message string
	// LeftOut reports whether the run was skipped because similar runs failed.
	LeftOut bool
	// Took is the duration of the run, including preparation and cleanup.
	Took time.Duration
	// Worker is the name of the worker that executed the run, if it is not this process.
	Worker string
	// Metric is the value that is shown for the run.
	Metric Metric
	// Prefill and Decode are the joules of each phase for each of its tokens; without a name if they were not
	// separated.
	Prefill, Decode Metric
}

// Metric is the number of a run that displays show.
type Metric struct {
	// Name is its path in result.json; empty if the run has no such number.
	Name string
	// Unit of the value.
	Unit string
	// Value is NaN if the run has no such number.
	Value float64
	// Origin is "modelled" or "simulated" if the value is not from a sensor.
	Origin string
}

// StudyFinished closes a study.
type StudyFinished struct {
	// Dir is the folder of the study's results.
	Dir string
	// OK and Failed count runs.
	OK, Failed int
}

func (StudyStarted) isEvent()  {}
func (RunStarted) isEvent()    {}
func (PhaseStarted) isEvent()  {}
func (Progress) isEvent()      {}
func (Power) isEvent()         {}
func (Note) isEvent()          {}
func (RunFinished) isEvent()   {}
func (StudyFinished) isEvent() {}
