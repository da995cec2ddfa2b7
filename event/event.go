// Package event holds what happens during a study, as plain values. The measuring
// side emits them; displays, logs and users of the library subscribe. Nothing in
// a result depends on them.
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
	Warmup   Phase = "warmup"   // discarded runs
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
	// Experiments of the study in their order, and how often each is planned to run.
	// Precision may add cycles.
	Experiments []Experiment
	// Cycles is how often each experiment is planned to run.
	Cycles int
	// Precision, if not 0, is half the relative width of the metric's 95 % interval
	// below which an experiment needs no more cycles.
	Precision float64
	// Made are runs of an earlier process that are not made again.
	Made []RunFinished
}

// Experiment is one row of a study.
type Experiment struct {
	// ID of the experiment.
	ID string
	// Label holds the keys that vary in the study, with their values.
	Label string
}

// RunStarted opens a run. Index counts from 1.
type RunStarted struct {
	// Index is the place of the run among Total runs.
	Index, Total int
	// ID of the experiment.
	ID string
	// Label of the experiment.
	Label string
	// Cycle counts the runs of the experiment, from 1.
	Cycle int
}

// PhaseStarted says what the run does now.
type PhaseStarted struct {
	// Phase that begins.
	Phase Phase
	// Detail is what is done in it, in a few words; it may be empty.
	Detail string
}

// Progress inside a phase, from 0 to 1.
type Progress struct {
	// Phase that is under way.
	Phase Phase
	// Fraction that is done, from 0 to 1.
	Fraction float64
	// Detail is what is being done, in a few words; it may be empty.
	Detail string
}

// Power is the newest power of a device in watts, a few times a second.
type Power struct {
	// Device is the id of the metered device.
	Device string
	// Watts is its power.
	Watts float64
}

// Note is a remark that the user should see at once.
type Note note.Note

// RunFinished closes a run.
type RunFinished struct {
	// Index is the place of the run among Total runs.
	Index, Total int
	// ID of the experiment.
	ID string
	// Cycle counts the runs of the experiment, from 1.
	Cycle int
	// Status is the outcome, as in result.json.
	Status string
	// Message is why the run failed; empty if it did not.
	Message string
	// LeftOut says that the run was not made, since others like it had failed.
	LeftOut bool
	// Took is how long the run took with everything around it.
	Took time.Duration
	// Metric is the number by which the experiment is followed.
	Metric Metric
}

// Metric is the number of a run by which its experiment is followed.
type Metric struct {
	// Name is its path in result.json; empty if the run has no such number.
	Name string
	// Unit of the value.
	Unit string
	// Value is NaN if the run has no such number.
	Value float64
	// Origin is "modelled" or "simulated" where no sensor stands behind the value.
	Origin string
}

// StudyFinished closes a study.
type StudyFinished struct {
	// Dir is the folder of the study's results.
	Dir string
	// OK and Failed are numbers of runs.
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
