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

// Options is what one run needs.
type Options struct {
	Experiment study.Experiment
	// Engine describes the engine of the experiment.
	Engine  engine.Descriptor
	Cycle   int
	Backend backend.Backend
	// Meters are open for the whole study; Missing explains the ones that are not.
	Meters  []power.Meter
	Missing []power.Unavailable
	// Warnings are doubts about the machine that hold for every run.
	Warnings note.List
	// Cards are doubts about GPUs by their UUIDs, for the runs that use them.
	Cards map[string]note.List
	Store model.Store
	// Threads is the engine's number of threads where the study leaves it open.
	Threads int
	// Clock is the time of the run, of its meters and of its engine.
	Clock tick.Clock
	// Program is the version of this program, for the record.
	Program string
	// Engines keeps the engine for the next run, and holds the one of the run before; nil
	// gives the run an engine of its own.
	Engines *Engines
	// LogPath receives the engine's output.
	LogPath string
	// Baselines remembers idle power from run to run; nil remembers nothing.
	Baselines *Baselines
	// Profiles are what a self-test found about the sensors, by device.
	Profiles map[string]*power.Profile
	// Limited says that the run has a time limit, with [ErrTimeout] as the cause. Without one
	// its phases are bounded by what they are expected to take; Expected tells about how long
	// all of a run takes at most, 0 or nil where that is not known.
	Limited  bool
	Expected func(study.Experiment) time.Duration
	// Emit receives what happens; it must return quickly.
	Emit func(event.Event)
}

// desk is what all stages of a run share: what is wanted, the meters and the clock, the
// record that fills, and the way to tell the user.
type desk struct {
	Options
	record *result.Record
	// doing is the phase that the run is in.
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

// warn raises a doubt in the record that the user also sees at once.
func (d *desk) warn(code note.Code, message string) {
	d.record.Warn(code, message)
	d.show(code, message)
}

// show shows a warning to the user at once.
func (d *desk) show(code note.Code, message string) {
	d.emit(event.Note{Code: code, Message: secret.Text(message)})
}

// devices are the ones of all meters.
func (d *desk) devices() []power.Device {
	var all []power.Device
	for _, m := range d.Meters {
		all = append(all, m.Devices()...)
	}
	return all
}

const (
	// snapTimeout is how long to wait for an energy counter to move at a window
	// limit; the slowest known refresh is 500 ms.
	snapTimeout = 600 * time.Millisecond
	// counterInterval is the time between counter readings inside a window, where they
	// only guard against a reset: one read of NVML's counter keeps a core busy for 4 ms.
	counterInterval = 5 * time.Second
	// settle is how long sampling continues after an idle stretch, so that the last samples
	// of every sensor are in, and at least after the window, see [desk.margins].
	settle = 150 * time.Millisecond
	// stopWithin bounds the wait for sensors when sampling ends.
	stopWithin = 5 * time.Second
)

// sampler makes a sampler over all meters that reports live power.
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

// mark reads the counters at their next change. A sensor that does not answer is
// not waited for.
func mark(ctx context.Context, s *power.Sampler) {
	ctx, cancel := context.WithTimeout(ctx, snapTimeout+2*time.Second)
	defer cancel()
	s.Mark(ctx, snapTimeout)
}

// stopped ends sampling, also after an error, within bounds.
func stopped(ctx context.Context, s *power.Sampler) power.Trace {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	return s.Stop(ctx)
}
