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

// Engines keeps the engine of one run for the next run that can use it. The zero value is ready to use. Close
// ends the engine; it may be called more than once.
type Engines struct {
	// Clock is the clock of the runs.
	Clock tick.Clock

	kept *liveEngine
}

// liveEngine is a started engine, with what later runs on it need to know, because the machine is not idle
// while the engine exists.
type liveEngine struct {
	session backend.Session  // nil if it did not start
	serves  study.Experiment // and others for which SameEngine is true
	runs    int              // on it, including this one
	// log is the file of all its output; output up to logged belongs to earlier runs.
	log    string
	logged int64
	// bare and resident are the idle powers of its first run, by device.
	bare, resident map[string]result.Idle
	since          time.Time
	// processes were on the GPUs before it, or came with it.
	processes tenants.Processes
	// meters are the meters of the run that started it.
	meters []power.Meter
}

// Serves reports whether the kept engine can run an experiment. metered means that there are sensors: the
// idle power from before the engine's start must then not be older than the experiment allows.
func (e *Engines) Serves(d engine.Descriptor, x study.Experiment, metered bool) bool {
	if e == nil || e.kept == nil || !SameEngine(d, e.kept.serves, x) {
		return false
	}
	if !metered || x.Energy.Sources == "none" || x.Baseline.Seconds == 0 {
		return true
	}
	return len(e.kept.bare) > 0 && e.Clock.Time().Sub(e.kept.since).Seconds() <= x.Baseline.MaxAgeSeconds
}

// Resting returns the power of each device with the engine loaded and idle, in watts.
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

// Close ends the kept engine.
func (e *Engines) Close() error {
	if e == nil || e.kept == nil {
		return nil
	}
	kept := e.kept
	e.kept = nil
	return kept.close()
}

// close ends the engine. Its last output is lost, because its run is over.
func (e *liveEngine) close() error {
	err := e.stop()
	if e.log != "" {
		err = errors.Join(err, os.Remove(e.log))
	}
	return err
}

// stop ends the engine and keeps its log. It returns when the GPUs are free of it.
func (e *liveEngine) stop() error {
	if e.session == nil {
		return nil
	}
	pid := e.session.Loaded().PID
	err := e.session.Close()
	tenants.WaitReleased(e.meters, append(e.processes.Own(), pid))
	return err
}

// handOver writes the engine's output since the last run to the run's log.
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
		return fmt.Errorf("store the engine's log: %w", err)
	}
	e.logged, err = printed.Copy(to, from, e.logged)
	return errors.Join(err, to.Close())
}

// keepIdle stores the idle powers of the engine's first run; began is the start of that run.
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
