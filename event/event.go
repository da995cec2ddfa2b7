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
	Name string
	Runs int
	Dir  string
	// Experiments of the study in their order, and how often each is planned to run.
	// Precision may add cycles.
	Experiments []Experiment
	Cycles      int
	// Precision, if not 0, is half the relative width of the metric's 95 % interval
	// below which an experiment needs no more cycles.
	Precision float64
	// Made are runs of an earlier process that are not made again.
	Made []RunFinished
}

// Experiment is one row of a study.
type Experiment struct {
	ID string
	// Label holds the keys that vary in the study, with their values.
	Label string
}

// RunStarted opens a run. Index counts from 1.
type RunStarted struct {
	Index, Total int
	ID           string
	Label        string
	Cycle        int
}

// PhaseStarted says what the run does now.
type PhaseStarted struct {
	Phase  Phase
	Detail string
}

// Progress inside a phase, from 0 to 1.
type Progress struct {
	Phase    Phase
	Fraction float64
	Detail   string
}

// Power is the newest power of a device in watts, a few times a second.
type Power struct {
	Device string
	Watts  float64
}

// Note is a remark that the user should see at once.
type Note note.Note

// RunFinished closes a run.
type RunFinished struct {
	Index, Total int
	ID           string
	Cycle        int
	Status       string
	Message      string
	// LeftOut says that the run was not made, since others like it had failed.
	LeftOut bool
	Took    time.Duration
	Metric  Metric
}

// Metric is the number of a run by which its experiment is followed.
type Metric struct {
	// Name is its path in result.json; empty if the run has no such number.
	Name string
	Unit string
	// Value is NaN if the run has no such number.
	Value float64
	// Origin is "modelled" or "simulated" where no sensor stands behind the value.
	Origin string
}

// StudyFinished closes a study.
type StudyFinished struct {
	Dir        string
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
