package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/backend/internal/lines"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/note"
)

// Engine is the worker's end of a session: one model in this process. The methods are called one at a time; a
// panic becomes a failure of the call. An engine that can apply its model's chat template is also a
// chat.Templater.
type Engine interface {
	// Info describes the engine.
	Info() (Info, error)
	// Load prepares the model of spec; progress receives a phase word and a fraction from 0 to 1.
	Load(ctx context.Context, spec Spec, progress func(phase string, fraction float64)) (Loaded, error)
	// Tokenize turns texts into token ids, one list per text.
	Tokenize(texts []string) ([][]int32, error)
	// Run executes the workload and checks ctx between two steps.
	Run(ctx context.Context, w Workload) (*Log, error)
	// Close releases the model.
	Close()
}

// Adaptable is an Engine that can change settings while its model stays loaded. It refuses a spec that needs
// another model.
type Adaptable interface {
	// Adapt adopts the settings of spec.
	Adapt(spec Spec) (Loaded, error)
}

// Descriptors of the protocol in the worker.
const (
	commandFD = 3
	replyFD   = 4
)

// ServeWorker runs the worker side on the descriptors that the parent passed. It returns when the parent sends
// stop, and exits the process when the parent is gone.
func ServeWorker(engine Engine) error {
	syscall.CloseOnExec(commandFD)
	syscall.CloseOnExec(replyFD)
	in, out := os.NewFile(commandFD, "commands"), os.NewFile(replyFD, "replies")
	if in == nil || out == nil {
		return errors.New("worker: descriptors 3 and 4 are not open; llem starts workers itself")
	}
	if _, err := in.Stat(); err != nil {
		return errors.New("worker: descriptor 3 is not open; llem starts workers itself")
	}
	if _, err := out.Stat(); err != nil {
		return errors.New("worker: descriptor 4 is not open; llem starts workers itself")
	}
	// The parent handles Ctrl-C in a terminal.
	signal.Ignore(os.Interrupt)
	return serve(engine, in, out, func() { os.Exit(0) })
}

// server is the state of the worker side.
type server struct {
	engine Engine
	mu     sync.Mutex // guards out and cancel
	out    io.Writer
	cancel context.CancelFunc // ends the run that was read last
}

// serve answers commands until stop or the end of the input. It calls orphaned at the end of the input, which
// means that the parent died.
func serve(engine Engine, in io.Reader, out io.Writer, orphaned func()) error {
	s := &server{engine: engine, out: out}
	commands := make(chan task)
	readErr := make(chan error, 1)
	go func() {
		d := lines.NewDecoder[command](in)
		for {
			c, err := d.Next()
			if err != nil {
				if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
					orphaned()
				}
				readErr <- err
				return
			}
			if c.Op == "cancel" {
				s.stopRun()
				continue
			}
			commands <- s.task(c)
		}
	}()
	for {
		select {
		case err := <-readErr:
			return err
		case c := <-commands:
			if c.Op == "stop" {
				s.engine.Close()
				return s.write(reply{ID: c.ID, Event: eventBye})
			}
			if err := s.answer(c); err != nil {
				return err
			}
		}
	}
}

// task is a command with the context that a cancel ends.
type task struct {
	command
	ctx    context.Context
	cancel context.CancelFunc
}

// task creates the context of a run when the command is read, so that a cancel right behind it is not lost. A run
// cancels only its own context: the next command may have been read by then.
func (s *server) task(c command) task {
	ctx, cancel := context.WithCancel(context.Background())
	if c.Op == "run" {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cancel = cancel
	}
	return task{c, ctx, cancel}
}

// answer runs one command. The error is an error of the pipe, not of the command.
func (s *server) answer(c task) error {
	defer c.cancel()
	err := s.dispatch(c)
	if err == nil {
		return nil
	}
	if w, ok := errors.AsType[*writeError](err); ok {
		return w
	}
	f := fault.As(err)
	if errors.Is(err, context.Canceled) {
		f = &note.Failure{Class: codes.ClassInterrupted, Message: "the run was cancelled"}
	}
	return s.write(reply{ID: c.ID, Event: eventError,
		Failure: f.Whole()})
}

func (s *server) dispatch(c task) (err error) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(os.Stderr, "panic in %s: %v\n%s", c.Op, r, debug.Stack())
			err = recovered(r, c.Op)
		}
	}()
	switch c.Op {
	case "hello":
		info, err := s.engine.Info()
		if err != nil {
			return err
		}
		return s.write(reply{V: protocolVersion, ID: c.ID, Event: eventHello, Info: &info, ClockNS: clock.Mono()})
	case "load":
		return s.load(c.command)
	case "adapt":
		return s.adapt(c.command)
	case "tokenize", "template":
		tokens, err := s.tokens(c)
		if err != nil {
			return err
		}
		return s.write(reply{ID: c.ID, Event: eventTokens, Tokens: tokens})
	case "run":
		return s.run(c)
	default:
		return note.Failf(codes.ClassProtocol, "", "unknown command %q", c.Op)
	}
}

// tokens turns texts, or conversations, into token ids.
func (s *server) tokens(c task) ([][]int32, error) {
	if c.Op == "tokenize" {
		return s.engine.Tokenize(c.Texts)
	}
	if t, ok := s.engine.(chat.Templater); ok {
		return t.Template(c.ctx, c.Chats)
	}
	return nil, chat.Unable("this engine")
}

// recovered turns a panic into a failure that can be sent.
func recovered(r any, op string) error {
	if err, ok := r.(error); ok {
		if f, ok := errors.AsType[*note.Failure](err); ok {
			return f
		}
		return &note.Failure{Class: codes.ClassEngine, Message: "engine failed in " + op, Err: err}
	}
	return note.Failf(codes.ClassEngine, "", "engine failed in %s: %v", op, r)
}

func (s *server) load(c command) error {
	if c.Load == nil {
		return note.Failf(codes.ClassProtocol, "", "load without a specification")
	}
	progress := limited(func(phase string, fraction float64) {
		_ = s.write(reply{ID: c.ID, Event: eventProgress, Phase: phase, Fraction: fraction})
	})
	loaded, err := s.engine.Load(context.Background(), *c.Load, progress)
	if err != nil {
		return err
	}
	loaded.PID = os.Getpid()
	return s.write(reply{ID: c.ID, Event: eventLoaded, Loaded: &loaded})
}

func (s *server) adapt(c command) error {
	if c.Load == nil {
		return note.Failf(codes.ClassProtocol, "", "adapt without a specification")
	}
	engine, ok := s.engine.(Adaptable)
	if !ok {
		return NeedsRestart("this engine cannot change its settings")
	}
	loaded, err := engine.Adapt(*c.Load)
	if err != nil {
		return err
	}
	loaded.PID = os.Getpid()
	return s.write(reply{ID: c.ID, Event: eventLoaded, Loaded: &loaded})
}

func (s *server) run(c task) error {
	if c.Run == nil {
		return note.Failf(codes.ClassProtocol, "", "run without a workload")
	}
	work := *c.Run
	var last time.Time
	work.Progress = func(done, _ int) {
		if now := time.Now(); now.Sub(last) >= progressEvery {
			last = now
			_ = s.write(reply{ID: c.ID, Event: eventProgress, Done: done})
		}
	}
	log, err := s.engine.Run(c.ctx, work)
	if err != nil {
		return err
	}
	return s.sendLog(c.ID, log)
}

// sendLog sends the end of the run at once and then the logs in parts.
func (s *server) sendLog(id int64, log *Log) error {
	err := s.write(reply{ID: id, Event: eventFinished, Finished: &finished{
		StartNS: log.StartNS, EndNS: log.EndNS, StepClock: log.StepClock,
		PeakMemoryBytes: log.PeakMemoryBytes, MemorySource: log.MemorySource,
	}})
	for part := range lines.Parts(log.Requests, requestWeight) {
		err = errors.Join(err, s.write(reply{ID: id, Event: eventRequests, Requests: part}))
	}
	for part := range lines.Parts(log.Steps, stepWeight) {
		err = errors.Join(err, s.write(reply{ID: id, Event: eventSteps, Steps: part}))
	}
	return errors.Join(err, s.write(reply{ID: id, Event: eventDone}))
}

// requestWeight and stepWeight return the approximate count of numbers in an entry.
func requestWeight(r Request) int { return 16 + len(r.TokenNS) + len(r.Output) }
func stepWeight(Step) int         { return 8 }

// progressEvery limits how often progress is reported.
const progressEvery = 500 * time.Millisecond

// limited forwards a report when the phase changes, when it ends, or when some time has passed since the last one.
func limited(report func(phase string, fraction float64)) func(string, float64) {
	var last time.Time
	var lastPhase string
	return func(phase string, fraction float64) {
		if now := time.Now(); phase != lastPhase || fraction >= 1 || now.Sub(last) >= progressEvery {
			last, lastPhase = now, phase
			report(phase, fraction)
		}
	}
}

func (s *server) stopRun() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
	}
}

// writeError marks an error of the pipe itself.
type writeError struct{ err error }

func (e *writeError) Error() string { return "write reply: " + e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// write sends one reply. An error of the pipe is a writeError; any other error means that this reply cannot be
// sent, and leaves the pipe usable.
func (s *server) write(r reply) error {
	line, err := lines.Encode(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.out.Write(line); err != nil {
		return &writeError{err}
	}
	return nil
}
