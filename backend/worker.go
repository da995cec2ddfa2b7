package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/watch"
	"github.com/llenergymeasure/llem/note"
)

// WorkerOptions bounds how long a worker may take. Zero values mean the defaults.
type WorkerOptions struct {
	HelloTimeout time.Duration // interpreter start and imports; default 2 min
	LoadTimeout  time.Duration // reading the weights and moving them to the device; default 30 min
	StopTimeout  time.Duration // between "stop" and TERM; default 5 s
	// StallTimeout is how long a worker may send nothing and use no processor time; default 5 min.
	StallTimeout time.Duration
	LogPath      string // engine log; a temporary file if empty
	// Cleanup removes the files that the worker was started from. It is called once: when the worker is gone, or could
	// not be started. Nil does nothing.
	Cleanup func() error
}

func (o WorkerOptions) withDefaults() WorkerOptions {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.HelloTimeout, 2*time.Minute)
	set(&o.LoadTimeout, 30*time.Minute)
	set(&o.StopTimeout, 5*time.Second)
	set(&o.StallTimeout, 5*time.Minute)
	return o
}

// cancelGrace is how long a worker may take to respond to a cancel before it is killed; together with the kill it
// stays under two seconds.
const cancelGrace = 1500 * time.Millisecond

// clockChecks is the number of exchanges in the clock handshake.
const clockChecks = 5

// worker is the parent's end of a worker process.
type worker struct {
	name    string
	opt     WorkerOptions
	proc    *process
	vital   *watch.Engine
	send    *os.File
	replies chan received
	lastID  int64
	info    Info
	loaded  Loaded
	shared  bool
	gone    error // why the engine is gone; every later call returns it
	closing sync.Once
	ended   error // the error of Close
}

// ProbeWorker starts a worker, requests its description and stops it.
func ProbeWorker(ctx context.Context, cmd Command, opt WorkerOptions) (Info, error) {
	w, err := startWorker(ctx, cmd.Path, cmd, opt)
	if err != nil {
		return Info{}, err
	}
	defer w.Close()
	return w.info, nil
}

// StartWorker starts a worker, verifies that both sides read the same clock, and loads the model of spec.
func StartWorker(ctx context.Context, name string, cmd Command, spec Spec, opt WorkerOptions) (Session, error) {
	if opt.LogPath == "" {
		opt.LogPath = spec.LogPath
	}
	w, err := startWorker(ctx, name, cmd.Within(spec), opt)
	if err != nil {
		return nil, err
	}
	if err := w.load(ctx, spec); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func startWorker(ctx context.Context, name string, cmd Command, opt WorkerOptions) (*worker, error) {
	w := &worker{name: name, opt: opt.withDefaults(), replies: make(chan received, 16)}
	if err := w.spawn(cmd); err != nil {
		_ = w.cleanup() // the failure to start matters more
		return nil, err
	}
	if err := w.hello(ctx); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// hello checks version and clock. The first exchange may include slow imports; the following ones bound the clock
// tightly.
func (w *worker) hello(outer context.Context) error {
	ctx, cancel := withTimeout(outer, w.opt.HelloTimeout)
	defer cancel()
	w.shared = true
	for range clockChecks {
		before := clock.Mono()
		r, err := w.ask(ctx, command{V: protocolVersion, Op: "hello"}, "starting", eventHello)
		if err != nil {
			return w.late(outer, err, "did not answer within %v of its start", w.opt.HelloTimeout)
		}
		after := clock.Mono()
		if r.V != protocolVersion {
			return note.Failf(codes.ClassProtocol, "use the worker that belongs to this llem",
				"%s worker speaks protocol %d, this llem speaks %d", w.name, r.V, protocolVersion)
		}
		if r.ClockNS < before || r.ClockNS > after {
			w.shared = false
		}
		if r.Info != nil {
			w.info = *r.Info
		}
	}
	if image := w.proc.image(); image != nil && !w.shared {
		return w.kill(note.Failf(codes.ClassClock,
			"use a container on this machine's own kernel: not in a virtual machine (Docker Desktop, podman machine), "+
				"not in a time namespace",
			"the container of %s reads another CLOCK_MONOTONIC than this machine", image.Name))
	}
	return nil
}

func (w *worker) load(outer context.Context, spec Spec) error {
	ctx, cancel := withTimeout(outer, w.opt.LoadTimeout)
	defer cancel()
	start := clock.Mono()
	const doing = "loading the model"
	id, err := w.write(ctx, command{Op: "load", Load: &spec}, doing)
	for {
		var r reply
		if err == nil {
			r, err = w.next(ctx, id, doing)
		}
		if err != nil {
			return w.late(outer, err, "did not load the model within %v", w.opt.LoadTimeout)
		}
		switch r.Event {
		case eventProgress:
			if spec.Progress != nil {
				spec.Progress(r.Phase, r.Fraction)
			}
		case eventLoaded:
			if r.Loaded == nil {
				return w.protocolError("a loaded event without content")
			}
			w.take(*r.Loaded, start)
			return nil
		default:
			return w.protocolError("event %q while loading", r.Event)
		}
	}
}

// Adapt implements Adapter.
func (w *worker) Adapt(ctx context.Context, spec Spec) error {
	start := clock.Mono()
	r, err := w.ask(ctx, command{Op: "adapt", Load: &spec}, "taking other settings", eventLoaded)
	if err != nil {
		return err
	}
	if r.Loaded == nil {
		return w.protocolError("a loaded event without content")
	}
	w.take(*r.Loaded, start)
	return nil
}

// take completes the worker's description with what this side knows.
func (w *worker) take(l Loaded, start int64) {
	l.LoadNS, l.SharedClock, l.Image = clock.Mono()-start, w.shared, w.proc.image()
	if w.proc.box != nil { // in a container the worker's own id is meaningless here
		l.PID = w.proc.answered()
	}
	w.proc.family()
	w.loaded = l
}

// Loaded implements Session.
func (w *worker) Loaded() Loaded { return w.loaded }

// Tokenize implements Session.
func (w *worker) Tokenize(ctx context.Context, texts []string) ([][]int32, error) {
	return w.tokens(ctx, command{Op: "tokenize", Texts: texts}, "tokenizing", len(texts))
}

// Template implements chat.Templater.
func (w *worker) Template(ctx context.Context, conversations []chat.Conversation) ([][]int32, error) {
	return w.tokens(ctx, command{Op: "template", Chats: conversations}, "applying the chat template",
		len(conversations))
}

// tokens requests the token ids of n texts.
func (w *worker) tokens(ctx context.Context, c command, doing string, n int) ([][]int32, error) {
	r, err := w.ask(ctx, c, doing, eventTokens)
	if err != nil {
		return nil, err
	}
	if len(r.Tokens) != n {
		return nil, w.protocolError("%d token lists for %d texts", len(r.Tokens), n)
	}
	return r.Tokens, nil
}

// Run implements Session.
func (w *worker) Run(ctx context.Context, work Workload) (*Log, error) {
	if !w.loaded.Schedules {
		if err := work.CheckTogether(); err != nil {
			return nil, err
		}
	}
	id, err := w.write(ctx, command{Op: "run", Run: &work}, "running")
	if err != nil {
		return nil, err
	}
	log, err := w.collect(ctx, id, work)
	if err == nil || ctx.Err() == nil {
		return log, err
	}
	if _, answered := errors.AsType[*note.Failure](err); !answered {
		w.cancel(id)
	}
	return nil, context.Cause(ctx)
}

// collect gathers the replies of one run.
func (w *worker) collect(ctx context.Context, id int64, work Workload) (*Log, error) {
	log := &Log{}
	ended := false
	for {
		r, err := w.next(ctx, id, "running")
		if err != nil {
			return nil, err
		}
		if len(log.Requests) > len(work.Requests) || len(log.Steps) > mostSteps {
			return nil, w.protocolError("%d requests and %d steps in its log", len(log.Requests), len(log.Steps))
		}
		switch r.Event {
		case eventProgress:
			if work.Progress != nil {
				work.Progress(r.Done, len(work.Requests))
			}
		case eventFinished:
			if r.Finished == nil {
				return nil, w.protocolError("a finished event without content")
			}
			ended = true
			f := r.Finished
			log.StartNS, log.EndNS, log.StepClock = f.StartNS, f.EndNS, f.StepClock
			log.PeakMemoryBytes, log.MemorySource = f.PeakMemoryBytes, f.MemorySource
			if work.Finished != nil {
				work.Finished()
			}
		case eventRequests:
			log.Requests = append(log.Requests, r.Requests...)
		case eventSteps:
			log.Steps = append(log.Steps, r.Steps...)
		case eventDone:
			if !ended {
				return nil, w.protocolError("a run that is done but never finished")
			}
			return log, nil
		default:
			return nil, w.protocolError("event %q during a run", r.Event)
		}
	}
}

// cancel asks the worker to stop its run and kills it if it does not.
func (w *worker) cancel(id int64) {
	ctx, stop := context.WithTimeout(context.Background(), cancelGrace)
	defer stop()
	_, err := w.write(ctx, command{Op: "cancel"}, "cancelling")
	for err == nil {
		var r reply
		r, err = w.next(ctx, id, "cancelling")
		if _, failed := errors.AsType[*note.Failure](err); failed && w.gone == nil {
			return // the run answered: it has stopped
		}
		if err == nil && (r.Event == eventDone || r.Event == eventPulsed) {
			return // it finished just before
		}
	}
	_ = w.kill(&note.Failure{Class: codes.ClassHung, Next: "start the engine again; its last lines are in engine.log",
		Message: fmt.Sprintf("%s engine did not stop within %v of a cancel and was killed", w.name, cancelGrace)})
}

// ask sends one command and waits for one kind of reply.
func (w *worker) ask(ctx context.Context, c command, doing, want string) (reply, error) {
	id, err := w.write(ctx, c, doing)
	if err != nil {
		return reply{}, err
	}
	r, err := w.next(ctx, id, doing)
	if err != nil {
		return reply{}, err
	}
	if r.Event != want {
		return reply{}, w.protocolError("event %q while %s", r.Event, doing)
	}
	return r, nil
}

// Close implements Session.
func (w *worker) Close() error {
	w.closing.Do(func() {
		wait := w.opt.StopTimeout
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		if _, err := w.write(ctx, command{Op: "stop"}, "stopping"); err != nil {
			wait = 0
		}
		w.gone = fmt.Errorf("the session of the %s engine is closed", w.name)
		w.ended = w.proc.close(w.name+" engine", wait, 2*time.Second)
		w.send.Close()
		for range w.replies { // let the reader end
		}
		w.ended = errors.Join(w.ended, w.cleanup())
	})
	return w.ended
}

func (w *worker) cleanup() error {
	if w.opt.Cleanup == nil {
		return nil
	}
	return w.opt.Cleanup()
}
