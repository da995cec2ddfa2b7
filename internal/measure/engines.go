package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Engines keeps the engine of one run for the next one that needs the same. The zero
// value is ready. Close ends the engine; it may be called more than once.
type Engines struct {
	// Clock is that of the runs.
	Clock clock.Clock

	kept *liveEngine
}

// liveEngine is one that has been started, and what later runs on it need to know: the
// idle machine cannot be seen while the engine is there.
type liveEngine struct {
	session backend.Session  // nil if it did not start
	serves  study.Experiment // and others for which study.SameEngine holds
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
	// meters are those of the run that started it.
	meters []power.Meter
}

// Serves says whether the engine that is kept can run an experiment. Metered says that
// there are sensors: then the idle power from before the engine's start must not be
// older than the experiment allows.
func (e *Engines) Serves(x study.Experiment, metered bool) bool {
	if e == nil || e.kept == nil || !study.SameEngine(e.kept.serves, x) {
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

// obtain makes an engine ready for the run: the one of the run before if it can serve,
// else a new one, after a look at the machine without it.
func (r *run) obtain(ctx context.Context) error {
	if r.Engines.Serves(r.Experiment, len(r.Meters) > 0) {
		r.engine, r.Engines.kept = r.Engines.kept, nil
		err := r.adapt(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		r.warn(note.EngineRestarted,
			fmt.Sprintf("the engine of the run before did not take the settings of this one (%v): it was started anew", err))
		closeErr := r.engine.close()
		r.engine = nil
		if closeErr != nil {
			return closeErr
		}
	} else if err := r.Engines.Close(); err != nil {
		return err
	}
	if err := r.measureBare(ctx); err != nil {
		return err
	}
	r.processes.Poll(ctx, r.Meters)
	r.processes.EngineStarts()
	err := r.processes.Watch(ctx, r.Meters, func() error { return r.start(ctx) })
	r.processes.EngineLoaded(r.loaded.PID)
	if err == nil {
		r.follow()
	}
	return err
}

// adapt gives the engine of an earlier run the settings of this one.
func (r *run) adapt(ctx context.Context) error {
	r.phase(event.Load, r.Experiment.Backend+" is loaded")
	began := r.Clock.Mono()
	if err := backend.Adapt(ctx, r.engine.session, r.spec(r.engine.log)); err != nil {
		return err
	}
	r.engine.runs++
	r.processes.Inherit(&r.engine.processes, 0)
	r.known = map[string]result.Idle{}
	for id, idle := range r.engine.bare {
		idle.AgeS = max(r.Clock.Time().Sub(r.engine.since).Seconds(), 1e-3)
		r.known[id] = idle
	}
	r.ready(began)
	r.follow()
	return nil
}

// follow begins to watch the memory of an engine on a processor. That of a GPU is seen
// with the processes there.
func (r *run) follow() {
	if pid := r.loaded.PID; pid > 0 && !r.onGPU() {
		r.hostMemory = tenants.WatchMemory(pid)
	}
}

// onGPU reports whether the model does not run on the processor.
func (r *run) onGPU() bool { return join.EngineOf(r.loaded).OnGPU() }

// done ends the engine, or keeps it for the next run.
func (r *run) done(keep bool) error {
	if r.hostMemory != nil {
		r.hostMemory.End()
	}
	e := r.engine
	if e == nil {
		return nil
	}
	r.engine = nil
	if !keep || r.Engines == nil {
		err := e.stop() // first, so that its last words are in the log
		return errors.Join(err, e.handOver(r.LogPath), e.close())
	}
	r.Engines.kept = e
	return e.handOver(r.LogPath)
}

// learn remembers the idle powers that the engine's first run found.
func (r *run) learn() {
	e := r.engine
	if e.runs > 1 {
		return
	}
	e.bare, e.resident = map[string]result.Idle{}, map[string]result.Idle{}
	age := 0.0
	for _, d := range r.record.Energy.Devices {
		if d.Bare != nil && d.Bare.Reason == "" {
			e.bare[d.Device] = *d.Bare
			age = max(age, d.Bare.AgeS)
		}
		if d.Resident != nil && d.Resident.Reason == "" {
			e.resident[d.Device] = *d.Resident
		}
	}
	e.since = r.began.Add(-time.Duration(age * float64(time.Second)))
}

// engineLog makes the file for what an engine prints that may serve several runs; each
// of them gets its part. An engine for one run prints into that run's file.
func (r *run) engineLog() (string, error) {
	if r.Engines == nil {
		return "", nil
	}
	f, err := os.CreateTemp("", "llem-engine-*.log")
	if err != nil {
		return "", fmt.Errorf("make a file for the engine's log: %w", err)
	}
	return f.Name(), f.Close()
}

// handOver writes what the engine has printed since the last run to the run's log.
func (e *liveEngine) handOver(path string) error {
	if e.log == "" || path == "" {
		return nil
	}
	from, err := os.Open(e.log)
	if err != nil {
		return fmt.Errorf("read the engine's log: %w", err)
	}
	defer from.Close()
	if _, err := from.Seek(e.logged, io.SeekStart); err != nil {
		return fmt.Errorf("read the engine's log: %w", err)
	}
	to, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("keep the engine's log: %w", err)
	}
	n, err := io.Copy(to, from)
	e.logged += n
	return errors.Join(err, to.Close())
}
