// Package event holds what happens during a study, as plain values. The measuring
// side emits them; displays, logs and users of the library subscribe. Nothing in
// a result depends on them.
package event

import "time"

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
type Note struct {
	Code    string
	Message string
}

// RunFinished closes a run.
type RunFinished struct {
	Index, Total int
	ID           string
	Status       string
	Message      string
	Took         time.Duration
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
