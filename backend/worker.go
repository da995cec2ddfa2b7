package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/internal/clock"
)

// WorkerOptions bounds how long a worker may take. Zero values mean the defaults.
type WorkerOptions struct {
	HelloTimeout time.Duration // interpreter start and imports; default 2 min
	LoadTimeout  time.Duration // reading and placing the weights; default 30 min
	StopTimeout  time.Duration // between "stop" and TERM; default 5 s
	LogPath      string        // engine log; a temporary file if empty
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
	return o
}

// cancelGrace is how long a worker may take to notice a cancel before it is
// killed; together with the kill it stays under two seconds.
const cancelGrace = 1500 * time.Millisecond

// clockChecks is how many exchanges the clock handshake uses.
const clockChecks = 5

// Worker is the parent's end of a worker process.
type worker struct {
	name    string
	opt     WorkerOptions
	proc    *process
	send    *os.File
	replies chan received
	lastID  int64
	info    Info
	loaded  Loaded
	shared  bool
	dead    bool
	closing sync.Once
}

// received is one line from the worker, or the error that ended the stream.
type received struct {
	reply reply
	err   error
}

// ProbeWorker starts a worker, asks what it is and stops it.
func ProbeWorker(ctx context.Context, cmd Command, opt WorkerOptions) (Info, error) {
	w, err := startWorker(ctx, cmd.Path, cmd, opt)
	if err != nil {
		return Info{}, err
	}
	defer w.Close()
	return w.info, nil
}

// StartWorker starts a worker, proves that both sides read one clock, and loads
// the model of spec.
func StartWorker(ctx context.Context, name string, cmd Command, spec Spec, opt WorkerOptions) (Session, error) {
	if opt.LogPath == "" {
		opt.LogPath = spec.LogPath
	}
	w, err := startWorker(ctx, name, cmd, opt)
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
		return nil, err
	}
	if err := w.hello(ctx); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func (w *worker) spawn(cmd Command) error {
	childIn, send, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe for %s worker: %w", w.name, err)
	}
	defer childIn.Close()
	receive, childOut, err := os.Pipe()
	if err != nil {
		send.Close()
		return fmt.Errorf("pipe for %s worker: %w", w.name, err)
	}
	defer childOut.Close()
	w.proc, err = spawn(cmd, w.opt.LogPath, []*os.File{childIn, childOut})
	if err != nil {
		send.Close()
		receive.Close()
		return err
	}
	w.send = send
	go w.read(receive)
	return nil
}

// read moves replies from the pipe to the channel until the worker closes it.
func (w *worker) read(receive *os.File) {
	defer receive.Close()
	defer close(w.replies)
	d := newDecoder[reply](receive)
	for {
		msg, err := d.next()
		w.replies <- received{msg, err}
		if err != nil {
			return
		}
	}
}

// hello checks version and clock. The first exchange may include slow imports;
// the following ones bound the clock tightly.
func (w *worker) hello(ctx context.Context) error {
	ctx, cancel := withTimeout(ctx, w.opt.HelloTimeout)
	defer cancel()
	w.shared = true
	for range clockChecks {
		before := clock.Mono()
		r, err := w.ask(ctx, command{V: ProtocolVersion, Op: "hello"}, "starting", eventHello)
		if err != nil {
			return timeoutFailure(err, w, "did not answer within %v of its start", w.opt.HelloTimeout)
		}
		after := clock.Mono()
		if r.V != ProtocolVersion {
			return Failf(ClassProtocol, "use the worker that belongs to this llem",
				"%s worker speaks protocol %d, this llem speaks %d", w.name, r.V, ProtocolVersion)
		}
		if r.ClockNS < before || r.ClockNS > after {
			w.shared = false
		}
		if r.Info != nil {
			w.info = *r.Info
		}
	}
	return nil
}

func (w *worker) load(ctx context.Context, spec Spec) error {
	ctx, cancel := withTimeout(ctx, w.opt.LoadTimeout)
	defer cancel()
	start := clock.Mono()
	w.lastID++
	if err := w.write(command{ID: w.lastID, Op: "load", Load: &spec}); err != nil {
		return w.lost("loading the model")
	}
	for {
		r, err := w.next(ctx, w.lastID, "loading the model")
		if err != nil {
			return timeoutFailure(err, w, "did not load the model within %v", w.opt.LoadTimeout)
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
			w.loaded = *r.Loaded
			w.loaded.LoadNS = clock.Mono() - start
			w.loaded.SharedClock = w.shared
			return nil
		default:
			return w.protocolError("event %q while loading", r.Event)
		}
	}
}

// Loaded implements Session.
func (w *worker) Loaded() Loaded { return w.loaded }

// Tokenize implements Session.
func (w *worker) Tokenize(ctx context.Context, texts []string) ([][]int32, error) {
	r, err := w.ask(ctx, command{Op: "tokenize", Texts: texts}, "tokenizing", eventTokens)
	if err != nil {
		return nil, err
	}
	if len(r.Tokens) != len(texts) {
		return nil, w.protocolError("%d token lists for %d texts", len(r.Tokens), len(texts))
	}
	return r.Tokens, nil
}

// Run implements Session.
func (w *worker) Run(ctx context.Context, work Workload) (*Log, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w.lastID++
	id := w.lastID
	if err := w.write(command{ID: id, Op: "run", Run: &work}); err != nil {
		return nil, w.lost("running")
	}
	log, err := w.collect(ctx, id, work)
	if err != nil && ctx.Err() != nil {
		w.cancel(id)
		return nil, context.Cause(ctx)
	}
	return log, err
}

// collect gathers the replies of one run.
func (w *worker) collect(ctx context.Context, id int64, work Workload) (*Log, error) {
	log := &Log{}
	for {
		r, err := w.next(ctx, id, "running")
		if err != nil {
			return nil, err
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
	w.lastID++
	if w.write(command{ID: w.lastID, Op: "cancel"}) == nil {
		for {
			r, err := w.next(ctx, id, "cancelling")
			if _, failed := errors.AsType[*Failure](err); failed && !w.dead {
				return // the run answered: it stopped
			}
			if err != nil {
				break
			}
			if r.Event == eventDone {
				return // it finished just before
			}
		}
	}
	w.kill()
}

// ask sends one command and waits for one kind of reply.
func (w *worker) ask(ctx context.Context, c command, doing, want string) (reply, error) {
	w.lastID++
	c.ID = w.lastID
	if err := w.write(c); err != nil {
		return reply{}, w.lost(doing)
	}
	r, err := w.next(ctx, c.ID, doing)
	if err != nil {
		return reply{}, err
	}
	if r.Event != want {
		return reply{}, w.protocolError("event %q while %s", r.Event, doing)
	}
	return r, nil
}

// next returns the next reply to command id, or the failure it reports.
func (w *worker) next(ctx context.Context, id int64, doing string) (reply, error) {
	for {
		select {
		case <-ctx.Done():
			return reply{}, ctx.Err()
		case got, ok := <-w.replies:
			switch {
			case !ok || errors.Is(got.err, io.EOF) || errors.Is(got.err, io.ErrUnexpectedEOF):
				return reply{}, w.lost(doing)
			case got.err != nil:
				return reply{}, w.protocolError("%v", got.err)
			case got.reply.ID != id:
				continue // an answer to something given up
			case got.reply.Event == eventError && got.reply.Failure != nil:
				f := got.reply.Failure
				return reply{}, &Failure{Class: f.Class, Message: f.Message, Hint: f.Hint, LogTail: w.proc.logTail()}
			}
			return got.reply, nil
		}
	}
}

func (w *worker) write(c command) error { return encode(w.send, c) }

// lost explains a worker that is gone.
func (w *worker) lost(doing string) error {
	w.dead = true
	return w.proc.exitFailure(w.name, doing)
}

func (w *worker) protocolError(format string, args ...any) error {
	w.kill()
	return &Failure{
		Class: ClassProtocol, LogTail: w.proc.logTail(),
		Message: w.name + " worker broke the protocol: " + fmt.Sprintf(format, args...),
		Hint:    "this is a bug in the worker; its output is in engine.log",
	}
}

// timeoutFailure turns a deadline of our own into a failure; a cancel from
// outside stays what it is.
func timeoutFailure(err error, w *worker, format string, d time.Duration) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	w.kill()
	return &Failure{
		Class: ClassStartTimeout, LogTail: w.proc.logTail(),
		Message: w.name + " engine " + fmt.Sprintf(format, d),
		Hint:    "see engine.log for what it was doing",
	}
}

func (w *worker) kill() {
	w.dead = true
	w.proc.terminate(0, 0)
}

// Close implements Session.
func (w *worker) Close() error {
	w.closing.Do(func() {
		wait := w.opt.StopTimeout
		w.lastID++
		if w.dead || w.write(command{ID: w.lastID, Op: "stop"}) != nil {
			wait = 0
		}
		w.proc.terminate(wait, 2*time.Second)
		w.proc.discardLog()
		w.send.Close()
		for range w.replies { // let the reader end
		}
	})
	return nil
}
