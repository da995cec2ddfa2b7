package measure

import (
	"context"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/secret"
	"github.com/llenergymeasure/llem/internal/tick"
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

// devices returns the devices of all meters.
func (d *desk) devices() []power.Device {
	var all []power.Device
	for _, m := range d.Meters {
		all = append(all, m.Devices()...)
	}
	return all
}

const (
	// snapTimeout is how long to wait for an energy counter to change at a window limit; the slowest known
	// refresh period is 500 ms.
	snapTimeout = 600 * time.Millisecond
	// counterInterval is the time between counter readings in a window, where they only detect a reset: one
	// read of NVML's counter keeps a core busy for 4 ms.
	counterInterval = 5 * time.Second
	// settle is how long sampling continues after an idle interval, so that the last samples of every sensor
	// arrive; it is also the minimum after the window, see [desk.margins].
	settle = 150 * time.Millisecond
	// stopWithin bounds the wait for sensors when sampling ends.
	stopWithin = 5 * time.Second
)

// sampler returns a sampler over all meters that reports live power.
func (d *desk) sampler() *power.Sampler {
	s := power.NewSampler(d.Meters...)
	s.CounterInterval, s.Now = counterInterval, d.Clock.Mono
	s.OnPower = func(device string, w unit.Watts) { d.emit(event.Power{Device: device, Watts: float64(w)}) }
	return s
}

// margins are how long sampling goes before the window and after it: until every meter was polled. What one that is
// polled twice a second shows is known from its first value on, and up to the window's end only by its next one. They
// are asked before sampling begins. The fast ones are ready in the time that the counters take.
func (d *desk) margins() (before, after time.Duration) {
	var slowest time.Duration
	for _, m := range d.Meters {
		slowest = max(slowest, m.Interval())
	}
	if after = settle + slowest; slowest > 2*settle {
		before = after
	}
	return before, after
}

// mark reads the counters at their next change. It does not wait for a sensor that does not answer.
func mark(ctx context.Context, s *power.Sampler) {
	ctx, cancel := context.WithTimeout(ctx, snapTimeout+2*time.Second)
	defer cancel()
	s.Mark(ctx, snapTimeout)
}

// stopped ends sampling, also after an error, within a time limit.
func stopped(ctx context.Context, s *power.Sampler) power.Trace {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	return s.Stop(ctx)
}
