package measure

import (
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/sampling"
	"github.com/llenergymeasure/llem/internal/secret"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

// Options are the inputs of one run.
type Options struct {
	Experiment study.Experiment
	// Engine describes the engine of the experiment.
	Engine  engine.Descriptor
	Cycle   int
	Backend backend.Backend
	// Meters are open for the whole study; Missing lists the unavailable ones.
	Meters  []power.Meter
	Missing []power.Unavailable
	// Warnings are doubts about the machine that apply to every run.
	Warnings note.List
	// Cards are doubts about GPUs by their UUIDs, for the runs that use them.
	Cards map[string]note.List
	Store model.Store
	// Client is how exact the client of server engines is; nil if it is unknown.
	Client *load.Client
	// Threads is the engine's number of threads if the study does not set it.
	Threads int
	// Clock is the time of the run, of its meters and of its engine.
	Clock tick.Clock
	// Program is the version of this program, for the record.
	Program string
	// Engines keeps the engine for the next run, and has the engine of the previous run; nil gives the run
	// its own engine.
	Engines *Engines
	// LogPath receives the engine's output.
	LogPath string
	// Baselines stores idle power from run to run; nil stores nothing.
	Baselines *Baselines
	// Profiles are the self-test's profiles of the sensors, by device.
	Profiles map[string]*power.Profile
	// Limited reports whether the run has a time limit, with [ErrTimeout] as the cause. Otherwise its phases
	// are bounded by their expected durations; Expected returns about the maximum duration of a run, 0 or nil
	// if unknown.
	Limited  bool
	Expected func(study.Experiment) time.Duration
	// Emit receives what happens; it must return quickly.
	Emit func(event.Event)
}

// desk has what all stages of a run share: the options, the meters and the clock, the record, and the way to
// notify the user.
type desk struct {
	Options
	record *result.Record
	// doing is the current phase of the run.
	doing string
	// warmed is the last workload of the warm-up.
	warmed warmed
}

// phase begins a phase.
func (d *desk) phase(p event.Phase, detail string) {
	d.doing = string(p)
	d.emit(event.PhaseStarted{Phase: p, Detail: detail})
}

func (d *desk) emit(e event.Event) {
	if d.Emit != nil {
		d.Emit(e)
	}
}

// warn adds a doubt to the record, which the user also sees at once.
func (d *desk) warn(code note.Code, message string) {
	d.record.Warn(code, message)
	d.show(code, message)
}

// show shows a warning to the user at once.
func (d *desk) show(code note.Code, message string) {
	d.emit(event.Note{Code: code, Message: secret.Text(message)})
}

// sampling returns the meters and the clock of the run; live power goes to the user.
func (d *desk) sampling() sampling.Desk {
	s := sampling.Desk{Meters: d.Meters, Clock: d.Clock,
		OnPower: func(device string, w unit.Watts) { d.emit(event.Power{Device: device, Watts: float64(w)}) }}
	if d.hasLoad() { // the limits of its steady part are readings in the middle
		s.Counters = time.Second
	}
	return s
}

// devices returns the devices of all meters.
func (d *desk) devices() []power.Device { return d.sampling().Devices() }
