// Package backendtest is the conformance suite that every backend passes. It checks what the rest of llem relies
// on: exact token counts, steps that cover the requests, forced output lengths, ordered stamps within the parent's
// window, a cancel within two seconds, and that a crash, a hang or noise on standard output leaves nothing behind.
package backendtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Suite describes the backend under test.
type Suite struct {
	// Backend is the backend under test.
	Backend backend.Backend
	// Spec loads a small model. The suite sets BatchSize and MaxContext.
	Spec backend.Spec
	// Noisy, if set, is the same backend with noise on standard output.
	Noisy backend.Backend
	// Tokens, if set, returns what Tokenize must return for a text.
	Tokens func(text string) []int32
	// Template, if set, returns the token ids of a conversation in the model's chat template. Without it the engine
	// must refuse.
	Template func(chat.Conversation) []int32
	// Schedules reports that the engine takes requests while it works. A worker without it must refuse them.
	Schedules bool
	// Serves reports that the engine is a server, whose client has tests of its own for arrivals.
	Serves bool
	// StepSlack tolerates step limits that come from another clock (CUDA events).
	StepSlack time.Duration
	// Parallel runs the parts of the suite concurrently: for an engine that waits more than it computes.
	Parallel bool
}

// maxContext leaves room for a run that is long enough to be cancelled.
const maxContext = 4096

// longOutput is the output length of a run that lasts until it is stopped.
const longOutput = maxContext - 64

// cancelWithin is the limit in the contract of backend.Session.Run.
const cancelWithin = 2 * time.Second

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	run := func(name string, part func(*testing.T)) {
		t.Run(name, func(t *testing.T) {
			if s.Parallel {
				t.Parallel()
			}
			part(t)
		})
	}
	run("Probe", s.probe)
	run("Tokenize", s.tokenize)
	run("Template", s.template)
	run("Log", s.log)
	run("SingleToken", s.singleToken)
	run("Repeatable", s.repeatable)
	run("Adapt", s.adapt)
	run("Refuses", s.refuses)
	if s.Schedules {
		run("Arrivals", s.arrivals)
	} else if !s.Serves {
		run("RefusesArrivals", s.refusesArrivals)
	}
	run("Cancel", s.cancel)
	run("Crash", s.crash)
	run("Hang", s.hang)
	run("Close", s.close)
	if s.Noisy != nil {
		run("Noise", s.noise)
	}
}

// start loads the model with a batch size and closes the session at the end.
func (s Suite) start(t *testing.T, b backend.Backend, batch int) backend.Session {
	t.Helper()
	spec := s.Spec
	spec.BatchSize, spec.MaxContext = batch, maxContext
	session, err := b.Start(t.Context(), spec)
	if err != nil {
		t.Fatalf("start %s: %v%s", b.Name(), err, details(err))
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// process returns the engine's process id, which must be known: a signal to 0 would reach the test.
func process(t *testing.T, session backend.Session) int {
	t.Helper()
	pid := session.Loaded().PID
	if pid <= 0 {
		t.Fatalf("the engine's process is %d", pid)
	}
	return pid
}

func details(err error) string {
	if f, ok := errors.AsType[*note.Failure](err); ok {
		return "\nclass: " + string(f.Class) + "\nhint: " + f.Next + "\nlog: " + f.LogTail
	}
	return ""
}

// prompts makes prompts of the given lengths from ids that every model has.
func prompts(lengths ...int) []backend.Prompt {
	out := make([]backend.Prompt, len(lengths))
	for i, n := range lengths {
		ids := make([]int32, n)
		for j := range ids {
			ids[j] = int32(32 + (i*31+j*7)%90)
		}
		out[i] = backend.Prompt{ID: i + 100, Tokens: ids}
	}
	return out
}

func (s Suite) probe(t *testing.T) {
	info, err := s.Backend.Probe(t.Context())
	if err != nil {
		t.Fatalf("probe: %v%s", err, details(err))
	}
	if info.Version == "" || info.Device == "" {
		t.Errorf("probe = %+v, want a version and a device", info)
	}
}

func (s Suite) tokenize(t *testing.T) {
	session := s.start(t, s.Backend, 1)
	if l := session.Loaded(); !l.SharedClock || l.Vocab <= 0 || l.TextVocab <= 0 || l.TextVocab > l.Vocab ||
		l.PID <= 0 {
		t.Errorf("loaded = %+v, want a shared clock, vocabulary sizes and a process id", l)
	}
	if s.Tokens == nil {
		return
	}
	texts := []string{"Hello, world!", "  two  spaces\n\ttab", "naïve Größe 東京 🙂", "a"}
	got, err := session.Tokenize(t.Context(), texts)
	if err != nil {
		t.Fatalf("tokenize: %v", err)
	}
	for i, text := range texts {
		if want := s.Tokens(text); !slices.Equal(got[i], want) {
			t.Errorf("tokenize %q = %v, want %v", text, got[i], want)
		}
	}
}

// template checks that a conversation is returned in the model's chat template. An engine or a model without one
// must refuse, and must still run afterwards.
func (s Suite) template(t *testing.T) {
	session := s.start(t, s.Backend, 1)
	var got [][]int32
	err := error(chat.Unable(s.Backend.Name()))
	all := []chat.Conversation{{{Role: "user", Content: "Hello, 東京!"}},
		{{Role: "system", Content: "Be brief."}, {Role: "user", Content: "a"}}}
	templater, ok := session.(chat.Templater)
	if ok {
		got, err = templater.Template(t.Context(), all)
	}
	switch {
	case s.Template == nil && !refusal(err):
		t.Errorf("template = %v, %v; want a failure", got, err)
	case s.Template != nil && (err != nil || len(got) != len(all)):
		t.Fatalf("template: %v%s, with %d lists of tokens for %d conversations", err, details(err), len(got), len(all))
	}
	for i := range got {
		if want := s.Template(all[i]); !slices.Equal(got[i], want) {
			t.Errorf("template of %v = %v, want %v", all[i], got[i], want)
		}
	}
	if _, err := session.Run(t.Context(), backend.Workload{Requests: prompts(5), OutputTokens: 2}); err != nil {
		t.Errorf("run after the template: %v", err)
	}
}

// log checks a run of mixed lengths with an incomplete last batch, all at once and in rounds.
func (s Suite) log(t *testing.T) {
	session := s.start(t, s.Backend, 4)
	work := backend.Workload{Requests: prompts(5, 17, 1, 33, 9, 20), OutputTokens: 7}
	var finished int64
	work.Finished = func() { finished = clock.Mono() }
	before := clock.Mono()
	log, err := session.Run(t.Context(), work)
	after := clock.Mono()
	if err != nil {
		t.Fatalf("run: %v%s", err, details(err))
	}
	if finished < log.EndNS || finished > after {
		t.Errorf("finished was announced at %d, want between the end %d and the return %d", finished, log.EndNS, after)
	}
	CheckLog(t, work, log, before, after, s.StepSlack)

	work.Round = 2 // the size of the last batch above: an engine may be compiled for its sizes
	before = clock.Mono()
	if log, err = session.Run(t.Context(), work); err != nil {
		t.Fatalf("run in rounds: %v%s", err, details(err))
	}
	CheckLog(t, work, log, before, clock.Mono(), s.StepSlack)
	place := map[int]int{}
	for i, p := range work.Requests {
		place[p.ID] = i / work.Round
	}
	ended := make([]int64, len(work.Requests)/work.Round)
	for _, q := range log.Requests {
		ended[place[q.ID]] = max(ended[place[q.ID]], q.EndNS)
	}
	for _, q := range log.Requests {
		if n := place[q.ID]; n > 0 && q.SubmittedNS+s.StepSlack.Nanoseconds() < ended[n-1] {
			t.Errorf("request %d of round %d started %v before the end of the previous round", q.ID, n+1,
				time.Duration(ended[n-1]-q.SubmittedNS))
		}
	}
}

func (s Suite) singleToken(t *testing.T) {
	session := s.start(t, s.Backend, 2)
	work := backend.Workload{Requests: prompts(3, 4, 5), OutputTokens: 1}
	before := clock.Mono()
	log, err := session.Run(t.Context(), work)
	if err != nil {
		t.Fatalf("run: %v%s", err, details(err))
	}
	CheckLog(t, work, log, before, clock.Mono(), s.StepSlack)
	for _, step := range log.Steps {
		if step.DecodeTokens != 0 {
			t.Errorf("step %+v decodes, but a single token comes from prefill", step)
		}
	}
}

// repeatable checks that a second run starts from a clean cache and gives the same tokens.
func (s Suite) repeatable(t *testing.T) {
	session := s.start(t, s.Backend, 3)
	work := backend.Workload{Requests: prompts(12, 7, 30), OutputTokens: 8}
	first, err := session.Run(t.Context(), work)
	if err != nil {
		t.Fatalf("first run: %v", err)
	}
	second, err := session.Run(t.Context(), work)
	if err != nil {
		t.Fatalf("second run: %v", err)
	}
	for i := range first.Requests {
		if !slices.Equal(first.Requests[i].Output, second.Requests[i].Output) {
			t.Errorf("request %d gave %v, then %v", i, first.Requests[i].Output, second.Requests[i].Output)
		}
	}
}

// adapt checks that an engine accepts its current settings again, that it either adopts another batch size and
// length as if started with them or refuses, and that it refuses other weights.
func (s Suite) adapt(t *testing.T) {
	session := s.start(t, s.Backend, 3)
	adapter, ok := session.(backend.Adapter)
	if !ok {
		t.Fatal("the session is not a backend.Adapter: hidden by a type around it?")
	}
	spec := s.Spec
	spec.BatchSize, spec.MaxContext = 3, maxContext
	work := backend.Workload{Requests: prompts(5, 17, 1, 33), OutputTokens: 7}
	first, err := session.Run(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	if err := adapter.Adapt(t.Context(), spec); err != nil {
		t.Fatalf("the settings it has: %v%s", err, details(err))
	}
	if l := session.Loaded(); !l.SharedClock || l.Vocab <= 0 || l.PID <= 0 {
		t.Errorf("loaded = %+v after adapting", l)
	}
	s.same(t, session, work, first, len(first.Steps))
	spec.BatchSize, spec.MaxContext = 1, 128
	switch err := adapter.Adapt(t.Context(), spec); {
	case err == nil:
		s.same(t, session, work, first, len(work.Requests)*work.OutputTokens)
	case refusal(err):
		t.Logf("another batch size: %v", err)
	default:
		t.Errorf("another batch size: %v, want a failure", err)
	}
	spec.Path += "-another"
	if err := adapter.Adapt(t.Context(), spec); !refusal(err) {
		t.Errorf("another model: %v, want a failure", err)
	}
}

func refusal(err error) bool {
	_, ok := errors.AsType[*note.Failure](err)
	return ok
}

// same runs the work again and checks the number of steps and the tokens.
func (s Suite) same(t *testing.T, session backend.Session, work backend.Workload, want *backend.Log, steps int) {
	t.Helper()
	before := clock.Mono()
	log, err := session.Run(t.Context(), work)
	if err != nil {
		t.Fatalf("run after adapting: %v%s", err, details(err))
	}
	CheckLog(t, work, log, before, clock.Mono(), s.StepSlack)
	// The number of sampled counters depends on the machine.
	if tier := session.Loaded().Tier; (tier == "" || tier == backend.TierExact) && len(log.Steps) != steps {
		t.Errorf("%d steps after adapting, want %d", len(log.Steps), steps)
	}
	for i, q := range log.Requests {
		if !slices.Equal(q.Output, want.Requests[i].Output) {
			t.Errorf("request %d gave %v after adapting, %v before", i, q.Output, want.Requests[i].Output)
		}
	}
}

// refuses checks that impossible work is a failure which leaves the session usable.
func (s Suite) refuses(t *testing.T) {
	session := s.start(t, s.Backend, 1)
	for name, work := range map[string]backend.Workload{
		"too long":  {Requests: prompts(maxContext), OutputTokens: 8},
		"empty":     {Requests: []backend.Prompt{{ID: 1}}, OutputTokens: 8},
		"no output": {Requests: prompts(4), OutputTokens: 0},
		"bad token": {Requests: []backend.Prompt{{ID: 1, Tokens: []int32{1 << 30}}}, OutputTokens: 2},
	} {
		_, err := session.Run(t.Context(), work)
		if _, ok := errors.AsType[*note.Failure](err); !ok {
			t.Errorf("%s: run = %v, want a failure", name, err)
		}
	}
	if _, err := session.Run(t.Context(), backend.Workload{Requests: prompts(4), OutputTokens: 2}); err != nil {
		t.Errorf("run after refused work: %v", err)
	}
}

func (s Suite) cancel(t *testing.T) {
	session := s.start(t, s.Backend, 1)
	pid := process(t, session)
	took, err := cancelledRun(t, session, 300*time.Millisecond)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled run = %v, want context.Canceled", err)
	}
	if took > cancelWithin {
		t.Errorf("run returned %v after the cancel, want at most %v", took, cancelWithin)
	}
	// A live engine stops between two steps and can run again.
	if _, err := session.Run(t.Context(), backend.Workload{Requests: prompts(4), OutputTokens: 2}); err != nil {
		t.Errorf("run after a cancelled run: %v%s", err, details(err))
	}
	_ = session.Close()
	mustBeGone(t, pid)
}

// cancelledRun starts a long run and cancels it after d. It returns the time from the cancel to the return of the
// run, and the run's error.
func cancelledRun(t *testing.T, session backend.Session, d time.Duration) (time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cancelled := make(chan time.Time, 1)
	time.AfterFunc(d, func() { cancelled <- time.Now(); cancel() })
	_, err := session.Run(ctx, longWork())
	select {
	case at := <-cancelled:
		return time.Since(at), err
	default:
		t.Fatalf("the long run ended without a cancel: %v%s", err, details(err))
		return 0, nil
	}
}

// longWork runs until it is stopped.
func longWork() backend.Workload {
	return backend.Workload{Requests: prompts(16, 16, 16, 16, 16, 16, 16, 16), OutputTokens: longOutput}
}

func (s Suite) crash(t *testing.T) {
	session := s.start(t, s.Backend, 1)
	pid := process(t, session)
	time.AfterFunc(300*time.Millisecond, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	start := time.Now()
	_, err := session.Run(t.Context(), longWork())
	f, ok := errors.AsType[*note.Failure](err)
	if !ok || (f.Class != codes.ClassOOMHost && f.Class != codes.ClassCrashed) {
		t.Fatalf("run of a killed engine = %v, want a crash failure", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the crash was noticed after %v", took)
	}
	if !strings.Contains(f.Message, "killed") || f.Next == "" {
		t.Errorf("message %q, hint %q: want how it ended and what to do", f.Message, f.Next)
	}
	_ = session.Close()
	mustBeGone(t, pid)
}

// hang stops the process, so that it cannot answer.
func (s Suite) hang(t *testing.T) {
	session := s.start(t, s.Backend, 1)
	pid := process(t, session)
	time.AfterFunc(200*time.Millisecond, func() { _ = syscall.Kill(pid, syscall.SIGSTOP) })
	took, err := cancelledRun(t, session, 500*time.Millisecond)
	if took > cancelWithin {
		t.Errorf("run of a hung engine returned %v after the cancel, want at most %v", took, cancelWithin)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("run of a hung engine = %v, want context.Canceled", err)
	}
	_ = session.Close()
	mustBeGone(t, pid)
}

func (s Suite) close(t *testing.T) {
	session := s.start(t, s.Backend, 1)
	pid := process(t, session)
	if err := session.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := session.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	mustBeGone(t, pid)
	if _, err := session.Run(t.Context(), backend.Workload{Requests: prompts(4), OutputTokens: 2}); err == nil {
		t.Error("run after close succeeded")
	}
}

func (s Suite) noise(t *testing.T) {
	session := s.start(t, s.Noisy, 2)
	work := backend.Workload{Requests: prompts(5, 6), OutputTokens: 4}
	before := clock.Mono()
	log, err := session.Run(t.Context(), work)
	if err != nil {
		t.Fatalf("run beside noise: %v%s", err, details(err))
	}
	CheckLog(t, work, log, before, clock.Mono(), s.StepSlack)
}

// mustBeGone checks that no process of the engine's group is left. Zombies that their new parent has not reaped
// yet do not count: engines with several processes leave them.
func mustBeGone(t *testing.T, pid int) {
	t.Helper()
	var left []string
	for range 250 {
		if left = Live(t, pid); len(left) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("still alive in group %d: %q", pid, left)
}

// Live lists number, name and state of the running processes of a group, and of its first process in whatever
// group it is. An unknown group fails the test: 0 would mean the kernel's threads.
func Live(t testing.TB, group int) []string {
	t.Helper()
	if group <= 0 {
		t.Errorf("the engine's process group is not known: %d", group)
		return nil
	}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	var out []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended in the meantime
		}
		// The format is: pid (name) state parent group …; the name may contain any character.
		end := strings.LastIndexByte(string(b), ')')
		fields := strings.Fields(string(b[end+1:]))
		id := strconv.Itoa(group)
		member := len(fields) > 2 && (fields[2] == id || strings.HasPrefix(string(b), id+" "))
		if member && fields[0] != "Z" && fields[0] != "X" {
			out = append(out, string(b[:end+1])+" "+fields[0])
		}
	}
	return out
}
