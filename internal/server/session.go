package server

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/portowner"
	"github.com/llenergymeasure/llem/internal/watch"
	"github.com/llenergymeasure/llem/note"
)

// Options bounds how long a server may take. Zero values mean the defaults.
type Options struct {
	StartTimeout time.Duration // until it is healthy; default 30 min
	// StallTimeout is how long the server may send nothing and use hardly any processor time; default 5 min.
	StallTimeout time.Duration
	StopTimeout  time.Duration // between TERM and KILL; default 20 s
	// Streams is the maximum number of requests in flight; 0 sends all at once.
	Streams int
	// Poll is the time between two readings of the engine's counters; default 100 ms.
	Poll time.Duration
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.StartTimeout, 30*time.Minute)
	set(&o.StallTimeout, 5*time.Minute)
	set(&o.StopTimeout, 20*time.Second)
	set(&o.Poll, 100*time.Millisecond)
	return o
}

// Session is a server with a model loaded.
type Session struct {
	engine  Engine
	opt     Options
	spec    backend.Spec
	child   *backend.Child
	port    int
	address string
	launch  Launch
	loaded  backend.Loaded
	closing sync.Once
}

var (
	_ backend.Session = (*Session)(nil)
	_ backend.Adapter = (*Session)(nil)
	_ chat.Templater  = (*Session)(nil)
)

// starts is the number of ports on which a server is tried.
const starts = 3

// startServer launches the server of an engine and waits until it can serve. A port that another program takes
// before the server listens costs another start.
func startServer(ctx context.Context, e Engine, spec backend.Spec, o Options) (*Session, error) {
	for try := 1; ; try++ {
		s, err := start(ctx, e, spec, o)
		if err == nil || try == starts || fault.As(err).Class != codes.ClassPortInUse {
			return s, err
		}
	}
}

func start(ctx context.Context, e Engine, spec backend.Spec, o Options) (*Session, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	launch, err := e.Launch(ctx, spec, port)
	if err != nil {
		return nil, err
	}
	launch.Command = launch.Command.Within(spec)
	s := &Session{engine: e, opt: o.withDefaults(), spec: spec, launch: launch, loaded: launch.Loaded,
		port: port, address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	if err := launch.Known.Check(e.Name(), launch.Loaded.Version, launch.Command.Args); err != nil {
		s.cleanup()
		return nil, err
	}
	began := clock.Mono()
	if s.child, err = backend.StartChild(launch.Command, spec.LogPath); err != nil {
		s.cleanup()
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.loaded.PID, s.loaded.LoadNS = s.child.PID(), clock.Mono()-began
	s.loaded.SharedClock = true // all stamps are taken on this side
	s.loaded.Image = s.child.Image()
	if s.loaded.Tier == "" {
		s.loaded.Tier = backend.TierClient
		if _, ok := e.(Counted); ok {
			s.loaded.Tier = backend.TierCounters
		}
	}
	return s, nil
}

// freePort finds a port of the loopback address that is not in use now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port on the loopback address: %w", err)
	}
	defer l.Close()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("%v is not a TCP address", l.Addr())
	}
	return addr.Port, nil
}

// healthEvery is how often a starting server is polled.
const healthEvery = 200 * time.Millisecond

// ready waits for the server, and queries its description.
func (s *Session) ready(outer context.Context) error {
	limited, cancel := context.WithTimeout(outer, s.opt.StartTimeout)
	defer cancel()
	vital := s.child.Vital(s.opt.StallTimeout, false) // it is silent while it loads
	ctx, unwatch := vital.Watch(limited)
	defer unwatch()
	asking, stop := context.WithCancel(ctx) // another program on the port may never answer
	defer stop()
	go func() {
		select {
		case <-s.child.Exited():
			stop()
		case <-asking.Done():
		}
	}()
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	last := "nothing listens on " + s.address
	for {
		select {
		case <-s.child.Exited():
			return s.child.Failure(s.engine.Name(), "starting")
		case <-ctx.Done():
			if outer.Err() != nil {
				return context.Cause(outer)
			}
			if stalled, ok := errors.AsType[*watch.Stalled](context.Cause(ctx)); ok {
				return s.stopped(stalled, "starting")
			}
			return &note.Failure{Class: codes.ClassStartTimeout, LogTail: s.child.LogTail(),
				Message: fmt.Sprintf("%s was not ready within %v: %s", s.engine.Name(), s.opt.StartTimeout, last),
				Next:    "see engine.log for what it was doing"}
		case <-tick.C:
		}
		_, err := s.ask(asking, "GET", s.launch.Health, nil)
		if err == nil {
			break
		}
		// A request cut short by the time limit, or by the engine's end, is not evidence about the server.
		if timeout, ok := errors.AsType[net.Error](err); asking.Err() == nil && (!ok || !timeout.Timeout()) {
			last = err.Error()
		}
	}
	if processes := s.child.Notice(); len(processes) > 0 { // the client of a container may not report its process
		if err := portowner.Check(s.engine.Name(), s.port, processes); err != nil {
			return err
		}
	}
	if d, ok := s.engine.(Describer); ok {
		if err := d.Describe(ctx, s.ask, &s.loaded); err != nil {
			return s.failed(ctx, err, "describing itself")
		}
	}
	return nil
}

// askTimeout bounds a short request, maxAnswer its answer.
const (
	askTimeout = 10 * time.Second
	maxAnswer  = 64 << 20
)

// ask sends one short request on a separate connection.
func (s *Session) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := dial(ctx, s.address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer func() {
		if stop() {
			_ = c.Close()
		}
	}()
	status, err := c.send(method, path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	text, err := c.rest(maxAnswer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	case status != 200:
		return nil, &refusedError{method + " " + path, status, bytes.TrimSpace(text)}
	}
	return text, nil
}

// refusedError is an answer other than 200.
type refusedError struct {
	request string
	status  int
	text    []byte
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("%s: the server answered %d: %.200s", e.request, e.status, e.text)
}

// failed returns the failure that caused an error of a request: the end of the server, if that was the cause.
func (s *Session) failed(ctx context.Context, err error, doing string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// A dying server closes its connections a moment before it is gone.
	select {
	case <-s.child.Exited():
		return s.child.Failure(s.engine.Name(), doing)
	case <-time.After(500 * time.Millisecond):
	}
	if f, ok := errors.AsType[*note.Failure](err); ok {
		return f
	}
	return &note.Failure{Class: codes.ClassEngine, Message: s.engine.Name() + " failed while " + doing, Err: err,
		Next: "see engine.log", LogTail: s.child.LogTail()}
}

// Loaded implements backend.Session.
func (s *Session) Loaded() backend.Loaded { return s.loaded }

// Adapt implements backend.Adapter. The settings that a server was started with stay; only requests can change.
func (s *Session) Adapt(_ context.Context, spec backend.Spec) error {
	old := s.spec
	same := old.Path == spec.Path && old.Synthetic == spec.Synthetic && old.DType == spec.DType &&
		old.Seed == spec.Seed &&
		old.SampleSeed() == spec.SampleSeed() && old.BatchSize == spec.BatchSize && old.MaxContext == spec.MaxContext &&
		bytes.Equal(old.Options, spec.Options) && reflect.DeepEqual(old.Container, spec.Container)
	if !same {
		return backend.NeedsRestart("%s was started with other settings", s.engine.Name())
	}
	s.spec = spec
	return nil
}

// Tokenize implements backend.Session.
func (s *Session) Tokenize(ctx context.Context, texts []string) ([][]int32, error) {
	t, ok := s.engine.(Tokenizer)
	if !ok {
		return nil, note.Failf(codes.ClassConfig, "use workload.dataset: synthetic, which consists of token ids",
			"%s cannot turn texts into token ids", s.engine.Name())
	}
	out := make([][]int32, len(texts))
	for i, text := range texts {
		ids, err := t.Tokenize(ctx, s.ask, text)
		if err != nil {
			return nil, s.failed(ctx, err, fmt.Sprintf("tokenizing text %d", i+1))
		}
		out[i] = ids
	}
	return out, nil
}

// Template implements chat.Templater.
func (s *Session) Template(ctx context.Context, conversations []chat.Conversation) ([][]int32, error) {
	t, ok := s.engine.(Templater)
	if !ok {
		return nil, chat.Unable(s.engine.Name())
	}
	out := make([][]int32, len(conversations))
	for i, c := range conversations {
		ids, err := t.Template(ctx, s.ask, c)
		if _, ok := errors.AsType[*refusedError](err); ok {
			return nil, &note.Failure{Class: codes.ClassConfig, Err: err,
				Message: fmt.Sprintf("%s cannot put a prompt into the chat template of its model", s.engine.Name()),
				Next:    "use workload.chat_template: none, or a data set whose turns the template accepts"}
		}
		if err != nil {
			return nil, s.failed(ctx, err, fmt.Sprintf("putting conversation %d into the chat template", i+1))
		}
		out[i] = ids
	}
	return out, nil
}

// Run implements backend.Session.
func (s *Session) Run(ctx context.Context, w backend.Workload) (*backend.Log, error) {
	if err := w.Check(s.spec.MaxContext, s.loaded.Vocab); err != nil {
		return nil, err
	}
	if err := s.forget(ctx); err != nil {
		return nil, err
	}
	c := &client{engine: s.engine, spec: s.spec, address: s.address, solo: soloStreams,
		streams: cmp.Or(w.Concurrency, s.opt.Streams),
		vital:   s.child.Vital(s.opt.StallTimeout, true),
		vocab:   s.loaded.Vocab}
	ctx, dead := context.WithCancelCause(ctx)
	defer dead(nil)
	stop := make(chan struct{})
	defer close(stop)
	go func() { // streams of a server that is gone are not waited for
		select {
		case <-s.child.Exited():
			dead(errExited)
		case <-stop:
		}
	}()
	polling, hurry := context.WithCancel(ctx)
	defer hurry()
	counters := s.sample(polling)
	log, err := c.run(ctx, w)
	if err != nil { // a stalled server would delay each request
		hurry()
	}
	readings := counters()
	if err == nil {
		if w.Finished != nil {
			w.Finished()
		}
		startedAtOnce(log.Requests, c.most(w, log.Requests), cmp.Or(s.spec.BatchSize, s.launch.Together), readings)
		log.Steps, log.StepClock = steps(readings, log), "counters"
		return log, s.brokenFormat(log)
	}
	switch stalled, ok := errors.AsType[*watch.Stalled](err); {
	case ok:
		return nil, s.stopped(stalled, "running, with requests under way")
	case errors.Is(err, errExited):
		return nil, s.child.Failure(s.engine.Name(), "running")
	}
	return nil, s.failed(ctx, err, "running")
}

// stopped ends a stalled server, and returns its failure.
func (s *Session) stopped(why *watch.Stalled, doing string) error {
	wait := s.opt.StopTimeout
	if len(why.Stopped) > 0 { // they could not handle a signal
		wait = 0
	}
	s.child.Stop(wait)
	f := why.Failure(s.engine.Name(), doing)
	f.LogTail = s.child.LogTail()
	return f
}

// errExited reports that the server's process has ended.
var errExited = errors.New("the server has exited")

// brokenFormat returns the failure of a run in which no answer could be parsed.
func (s *Session) brokenFormat(log *backend.Log) error {
	why := ""
	for _, q := range log.Requests {
		if q.OK {
			return nil
		}
		why = q.Failure
	}
	return s.failed(context.Background(), errors.New(why), "running: it completed no request")
}

// Close implements backend.Session. It returns when no process of the engine is left.
func (s *Session) Close() error {
	var err error
	s.closing.Do(func() {
		err = s.child.Close(s.engine.Name(), s.opt.StopTimeout)
		s.cleanup()
	})
	return err
}

func (s *Session) cleanup() {
	if s.launch.Cleanup != nil {
		s.launch.Cleanup()
	}
}
