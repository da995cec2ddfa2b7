package measure

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/printed"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Engines keeps the engine of one run for the next one that needs the same. The zero
// value is ready. Close ends the engine; it may be called more than once.
type Engines struct {
	// Clock is the clock of the runs.
	Clock tick.Clock

	kept *liveEngine
}

// liveEngine is one that has been started, and what later runs on it need to know: the
// idle machine cannot be seen while the engine is there.
type liveEngine struct {
	session backend.Session  // nil if it did not start
	serves  study.Experiment // and others for which SameEngine holds
	runs    int              // on it, this one included
	// log is the file that everything it prints goes to; up to logged it belongs to
	// runs that are over.
	log    string
	logged int64
	// bare and resident are the idle powers of its first run, by device.
	bare, resident map[string]result.Idle
	since          time.Time
	// processes were on the GPUs before it, or came with it.
	processes tenants.Processes
	// meters are the ones of the run that started it.
	meters []power.Meter
}

// Serves reports whether the engine that is kept can run an experiment. Metered means that
// there are sensors: then the idle power from before the engine's start must not be
// older than the experiment allows.
func (e *Engines) Serves(d engine.Descriptor, x study.Experiment, metered bool) bool {
	if e == nil || e.kept == nil || !SameEngine(d, e.kept.serves, x) {
		return false
	}
	if !metered || x.Energy.Sources == "none" || x.Baseline.Seconds == 0 {
		return true
	}
	return len(e.kept.bare) > 0 && e.Clock.Time().Sub(e.kept.since).Seconds() <= x.Baseline.MaxAgeSeconds
}

// Resting is the power of each device with the engine loaded and idle, in watts.
func (e *Engines) Resting() map[string]float64 {
	out := map[string]float64{}
	if e == nil || e.kept == nil {
		return out
	}
	for id, idle := range e.kept.resident {
		out[id] = idle.W
	}
	return out
}

// Close ends the engine that is kept.
func (e *Engines) Close() error {
	if e == nil || e.kept == nil {
		return nil
	}
	kept := e.kept
	e.kept = nil
	return kept.close()
}

// close ends the engine. What it prints last is lost: its run is over.
func (e *liveEngine) close() error {
	err := e.stop()
	if e.log != "" {
		err = errors.Join(err, os.Remove(e.log))
	}
	return err
}

// stop ends the engine and leaves its log. It returns when the GPUs are free of it.
func (e *liveEngine) stop() error {
	if e.session == nil {
		return nil
	}
	pid := e.session.Loaded().PID
	err := e.session.Close()
	tenants.WaitReleased(e.meters, append(e.processes.Own(), pid))
	return err
}

// handOver writes what the engine has printed since the last run to the run's log.
func (e *liveEngine) handOver(path string) error {
	if e.log == "" || path == "" {
		return nil
	}
	from, err := disk.Open(e.log, disk.Unbounded)
	if err != nil {
		return fmt.Errorf("read the engine's log: %w", err)
	}
	defer from.Close()
	to, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("keep the engine's log: %w", err)
	}
	e.logged, err = printed.Copy(to, from, e.logged)
	return errors.Join(err, to.Close())
}

// keepIdle remembers the idle powers that the engine's first run found; began is when that
// run did.
func (e *liveEngine) keepIdle(devices []result.Device, began time.Time) {
	if e.runs > 1 {
		return
	}
	e.bare, e.resident = map[string]result.Idle{}, map[string]result.Idle{}
	age := 0.0
	for _, d := range devices {
		if d.Bare != nil && d.Bare.Reason == "" {
			e.bare[d.Device] = *d.Bare
			age = max(age, d.Bare.AgeS)
		}
		if d.Resident != nil && d.Resident.Reason == "" {
			e.resident[d.Device] = *d.Resident
		}
	}
	e.since = began.Add(-digits.Duration(age))
}
