package backend_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/enginefake"
	"github.com/llenergymeasure/llem/internal/kin"
	"github.com/llenergymeasure/llem/note"
)

// testBackend starts this test binary as a worker of some kind.
type testBackend struct {
	mode string
	opt  backend.WorkerOptions
}

func (b testBackend) Name() string { return b.mode }

func (b testBackend) Probe(ctx context.Context) (backend.Info, error) {
	return backend.ProbeWorker(ctx, self(b.mode), b.opt)
}

func (b testBackend) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	return backend.StartWorker(ctx, b.mode, self(b.mode), spec, b.opt)
}

func TestConformance(t *testing.T) {
	backendtest.Run(t, backendtest.Suite{
		Backend:  testBackend{mode: "fake"},
		Noisy:    testBackend{mode: "noisy"},
		Spec:     backend.Spec{Model: "fake", DType: "float32"},
		Tokens:   enginefake.FakeTokens,
		Template: enginefake.FakeTemplate,

		Parallel: true,
	})
}

// impatient gives a worker that hangs on purpose little time.
var impatient = backend.WorkerOptions{StopTimeout: 50 * time.Millisecond}

// patient gives a well-behaved worker time to end, and does not wait the default five seconds for a stopped one.
var patient = backend.WorkerOptions{StopTimeout: time.Second}

// start starts a worker and closes it at the end.
func start(t *testing.T, mode string, opt backend.WorkerOptions) backend.Session {
	t.Helper()
	s, err := testBackend{mode, opt}.Start(t.Context(), backend.Spec{Model: "fake", BatchSize: 2, MaxContext: 1 << 20})
	if err != nil {
		t.Fatalf("start %s: %v", mode, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		checkGone(t, s.Loaded().PID)
	})
	return s
}

// work is a workload with prompts of one token.
func work(requests, output int) backend.Workload {
	w := backend.Workload{OutputTokens: output}
	for i := range requests {
		w.Requests = append(w.Requests, backend.Prompt{ID: i + 1, Tokens: []int32{65}})
	}
	return w
}

// failure is what a user reads.
type failure struct {
	class         note.Class
	message, hint string
	log           string // expected in the log tail
}

func (want failure) check(t *testing.T, err error) *note.Failure {
	t.Helper()
	f, ok := errors.AsType[*note.Failure](err)
	if !ok {
		t.Fatalf("error = %v, want a failure", err)
	}
	if f.Class != want.class {
		t.Errorf("class = %s, want %s (%v)", f.Class, want.class, f)
	}
	if !strings.Contains(f.Error(), want.message) {
		t.Errorf("message = %q, want %q in it", f.Error(), want.message)
	}
	if f.Next == "" || !strings.Contains(f.Next, want.hint) {
		t.Errorf("hint = %q, want %q in it", f.Next, want.hint)
	}
	if !strings.Contains(f.LogTail, want.log) {
		t.Errorf("log tail = %.200q, want %q in it", f.LogTail, want.log)
	}
	if !utf8.ValidString(f.LogTail) || len(f.LogTail) > 3*8<<10 {
		t.Errorf("log tail of %d bytes, valid %v, want little and valid text", len(f.LogTail),
			utf8.ValidString(f.LogTail))
	}
	return f
}

// promptly is the limit for everything that must not wait for a worker; the workers that hang do so for an hour.
const promptly = time.Minute

func TestStartFailures(t *testing.T) {
	fast := backend.WorkerOptions{HelloTimeout: 300 * time.Millisecond, StopTimeout: 50 * time.Millisecond}
	slowLoad := backend.WorkerOptions{LoadTimeout: time.Second, StopTimeout: 50 * time.Millisecond}
	tests := []struct {
		mode string
		opt  backend.WorkerOptions
		want failure
	}{
		{"silent", fast, failure{codes.ClassStartTimeout, "silent engine did not answer within 300ms", "engine.log",
			""}},
		{"exits", impatient, failure{codes.ClassVersion, "exited with status 1 while starting: ModuleNotFoundError",
			"separate environment", "No module named 'torch'"}},
		{"version", impatient,
			failure{codes.ClassProtocol, "speaks protocol 2, this llem speaks 1", "belongs to this llem", ""}},
		{"hello error", impatient, failure{codes.ClassNotInstalled, "torch is missing", "pip install torch", ""}},
		{"exits loading", impatient,
			failure{codes.ClassUnsupportedDType, "exited with status 3 while loading the model: ", "this GPU",
				"CUDA error: no kernel image is available"}},
		{"hangs loading", slowLoad,
			failure{codes.ClassStartTimeout, "did not load the model within 1s", "engine.log", "reading shard 1"}},
		{"load error", impatient, failure{codes.ClassGated, "the model is gated", "ask for access", "HTTP 403"}},
		{"error without content", impatient,
			failure{codes.ClassProtocol, `event "error" while loading`, "bug in the worker", ""}},
		{"loaded without content", impatient,
			failure{codes.ClassProtocol, "without content", "bug in the worker", ""}},
		{"wrong event", impatient,
			failure{codes.ClassProtocol, `event "tokens" while loading`, "bug in the worker", ""}},
		{"loud", impatient, failure{codes.ClassCrashed, "exited with status 1", "log_tail", "the last words"}},
		{"loud lines", impatient,
			failure{codes.ClassCrashed, "exited with status 1", "log_tail", "東京 �\nthe last words"}},
		{"illegal", impatient, failure{codes.ClassIllegal, "was ended by signal illegal instruction", "rebuild", ""}},
		{"illegal in go", impatient,
			failure{codes.ClassIllegal, "was ended by signal illegal instruction", "rebuild",
				"SIGILL: illegal instruction"}},
		{"aborts", impatient, failure{codes.ClassCrashed, "was ended by signal aborted", "log_tail",
			"ggml: assertion failed"}},
		{"closes its pipe", impatient,
			failure{codes.ClassCrashed, "closed its protocol pipe while loading", "log_tail", ""}},
	}
	for _, test := range tests {
		t.Run(test.mode, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			_, err := testBackend{test.mode, test.opt}.Start(t.Context(), backend.Spec{Model: "fake"})
			if took := time.Since(began); took > promptly {
				t.Errorf("start failed after %v, want promptly", took)
			}
			test.want.check(t, err)
		})
	}
}

func TestRunFailures(t *testing.T) {
	tests := []struct {
		mode string
		want failure
	}{
		{"garbage", failure{codes.ClassProtocol, "Traceback (most recent call last)", "bug in the worker", ""}},
		{"torn", failure{codes.ClassCrashed, "exited normally while running", "log_tail", ""}},
		{"no done", failure{codes.ClassCrashed, "exited normally while running", "log_tail", ""}},
		{"endless log", failure{codes.ClassProtocol, "requests and 0 steps in its log", "bug in the worker", ""}},
		{"done only", failure{codes.ClassProtocol, "never finished", "bug in the worker", ""}},
		{"finished without content", failure{codes.ClassProtocol, "without content", "bug in the worker", ""}},
		{"dies in the log", failure{codes.ClassCrashed, "was ended by signal segmentation fault", "log_tail", ""}},
	}
	for _, test := range tests {
		t.Run(test.mode, func(t *testing.T) {
			t.Parallel()
			s := start(t, test.mode, impatient)
			_, err := s.Run(t.Context(), work(1, 1))
			first := test.want.check(t, err)
			// The session is over, and every later call repeats the reason.
			_, err = s.Run(t.Context(), work(1, 1))
			if again := test.want.check(t, err); again.Message != first.Message {
				t.Errorf("second run = %q, want %q", again.Message, first.Message)
			}
			_, err = s.Tokenize(t.Context(), []string{"a"})
			test.want.check(t, err)
		})
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	info, err := testBackend{mode: "fake"}.Probe(t.Context())
	want := backend.Info{Version: "1", Device: "cpu", Notes: []string{"a fake: it computes nothing"}}
	if diff := cmp.Diff(want, info); err != nil || diff != "" {
		t.Errorf("probe: %v (-want +got):\n%s", err, diff)
	}
	_, err = testBackend{"hello error", impatient}.Probe(t.Context())
	failure{codes.ClassNotInstalled, "torch is missing", "pip install torch", ""}.check(t, err)
}

func TestOtherClock(t *testing.T) {
	t.Parallel()
	s := start(t, "other clock", impatient)
	if s.Loaded().SharedClock {
		t.Error("a worker on another clock passed the handshake")
	}
	if log, err := s.Run(t.Context(), work(1, 1)); err != nil || len(log.Requests) != 1 {
		t.Errorf("run = %+v, %v, want a log all the same", log, err)
	}
}

func TestPanicBecomesFailure(t *testing.T) {
	t.Parallel()
	s := start(t, "panics", impatient)
	_, err := s.Run(t.Context(), work(1, 1))
	f, ok := errors.AsType[*note.Failure](err)
	if !ok || f.Class != codes.ClassEngine || f.Message != "engine failed in run: tensor of the wrong shape" {
		t.Errorf("run = %v, want the panic as a failure", err)
	}
	if !strings.Contains(f.LogTail, "panic in run") || !strings.Contains(f.LogTail, "main_test.go") {
		t.Errorf("log tail = %q, want the stack of the panic", f.LogTail)
	}
	if _, err := s.Run(t.Context(), work(1, 1)); err != nil {
		t.Errorf("run after a panic: %v", err)
	}
}

func TestTokenListsMustMatch(t *testing.T) {
	t.Parallel()
	_, err := start(t, "raw", impatient).Tokenize(t.Context(), []string{"a", "b"})
	failure{codes.ClassProtocol, "0 token lists for 2 texts", "bug in the worker", ""}.check(t, err)
}

// TestStubbornWorker: a worker that ignores stop and TERM is killed, with its children.
func TestStubbornWorker(t *testing.T) {
	t.Parallel()
	s := start(t, "stubborn", impatient)
	if n := len(backendtest.Live(t, s.Loaded().PID)); n != 2 {
		t.Fatalf("%d processes in the worker's group, want it and its child", n)
	}
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if took := time.Since(began); took > promptly {
		t.Errorf("close took %v", took)
	}
	checkGone(t, s.Loaded().PID)
}

// TestGrandchild: processes that a dead engine leaves behind are killed, and nothing waits for them.
func TestGrandchild(t *testing.T) {
	t.Parallel()
	_, err := testBackend{"grandchild", impatient}.Start(t.Context(), backend.Spec{})
	f := failure{codes.ClassCrashed, "exited with status 7", "log_tail", "leader"}.check(t, err)
	var pid int
	if _, err := fmt.Sscanf(f.LogTail, "leader %d", &pid); err != nil || pid <= 0 {
		t.Fatalf("log tail = %q, want a process id", f.LogTail)
	}
	checkGone(t, pid)
}

// TestEscapedGrandchild: nothing waits for a process that left the group and holds the pipe.
func TestEscapedGrandchild(t *testing.T) {
	t.Parallel()
	began := time.Now()
	_, err := testBackend{"escaped grandchild", impatient}.Start(t.Context(), backend.Spec{})
	if took := time.Since(began); took > promptly {
		t.Errorf("the exit was noticed after %v", took)
	}
	f := failure{codes.ClassCrashed, "exited with status 7", "log_tail", "grandchild"}.check(t, err)
	var pid int
	if _, err := fmt.Sscanf(f.LogTail, "grandchild %d", &pid); err != nil || pid <= 0 {
		t.Fatalf("log tail = %q, want a process id", f.LogTail)
	}
	if p, ok := kin.Read(pid); ok && !p.Dead() {
		t.Errorf("the grandchild is still there: %+v", p)
	}
}

// TestCancelledStart: a cancel during the start does not wait for a busy engine.
func TestCancelledStart(t *testing.T) {
	for _, mode := range []string{"silent", "hangs loading"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err := testBackend{mode, backend.WorkerOptions{StopTimeout: time.Hour}}.Start(ctx, backend.Spec{})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("start = %v, want %v: the limit was the caller's", err, context.DeadlineExceeded)
			}
			if took := time.Since(began); took > promptly {
				t.Errorf("start returned after %v", took)
			}
		})
	}
}

// TestCancelWhileWriting: a worker that reads nothing does not delay a cancel, however long the command is.
func TestCancelWhileWriting(t *testing.T) {
	t.Parallel()
	s := start(t, "deaf", impatient)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := s.Run(ctx, work(5_000, 1)) // more than a pipe holds
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > promptly {
		t.Errorf("run = %v after %v, want %v promptly", err, took, context.DeadlineExceeded)
	}
	_, err = s.Run(t.Context(), work(1, 1))
	failure{codes.ClassHung, "did not read its commands while running", "again", ""}.check(t, err)
}

func TestIgnoredCancel(t *testing.T) {
	t.Parallel()
	s := start(t, "ignores cancel", impatient)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := s.Run(ctx, work(1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("run = %v, want %v", err, context.Canceled)
	}
	checkGone(t, s.Loaded().PID)
	_, err := s.Run(t.Context(), work(1, 1))
	failure{codes.ClassHung, "did not stop within", "again", ""}.check(t, err)
}

func TestCommandTooLong(t *testing.T) {
	t.Parallel()
	s := start(t, "fake", impatient)
	_, err := s.Tokenize(t.Context(), []string{strings.Repeat("x", 65<<20)})
	failure{codes.ClassConfig, "protocol line is too long", "fewer or shorter prompts", ""}.check(t, err)
	if _, err := s.Run(t.Context(), work(1, 1)); err != nil {
		t.Errorf("run after a command that could not be sent: %v", err)
	}
}

// TestLateReplies: replies to an abandoned command are discarded.
func TestLateReplies(t *testing.T) {
	for mode, giveUp := range map[string]func(context.Context, backend.Session) error{
		"late tokens": func(ctx context.Context, s backend.Session) error {
			_, err := s.Tokenize(ctx, []string{"a"})
			return err
		},
		"late log": func(ctx context.Context, s backend.Session) error {
			_, err := s.Run(ctx, work(1, 1))
			return err
		},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := start(t, mode, impatient)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if err := giveUp(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("call that was given up = %v, want %v", err, context.DeadlineExceeded)
			}
			log, err := s.Run(t.Context(), work(1, 1))
			if err != nil {
				t.Fatalf("next run: %v", err)
			}
			if len(log.Requests) != 1 || log.Requests[0].ID != 2 || log.EndNS != 2 {
				t.Errorf("log of the next run = %+v, want its own request 2 alone", log)
			}
		})
	}
}

// TestCancelMeetsFailure: a cancel and a failure that come together leave the session alive.
func TestCancelMeetsFailure(t *testing.T) {
	t.Parallel()
	s := start(t, "fails after progress", impatient)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		w := work(1, 1)
		w.Progress = func(int, int) {
			time.Sleep(2 * time.Millisecond) // the failure arrives
			cancel()
		}
		if _, err := s.Run(ctx, w); !errors.Is(err, context.Canceled) {
			t.Fatalf("run = %v, want %v", err, context.Canceled)
		}
		cancel()
	}
	_, err := s.Run(t.Context(), work(1, 1))
	if f, ok := errors.AsType[*note.Failure](err); !ok || f.Class != codes.ClassOOMGPU {
		t.Errorf("run = %v, want the worker's own failure", err)
	}
}

func TestCancelledBeforehand(t *testing.T) {
	t.Parallel()
	s := start(t, "fake", impatient)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Run(ctx, work(1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("run = %v, want %v", err, context.Canceled)
	}
	if _, err := s.Tokenize(ctx, []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("tokenize = %v, want %v", err, context.Canceled)
	}
	if _, err := s.Run(t.Context(), work(1, 1)); err != nil {
		t.Errorf("run afterwards: %v", err)
	}
}

// TestManyRuns: short runs and cancels in a row do not affect each other.
func TestManyRuns(t *testing.T) {
	t.Parallel()
	s := start(t, "fast", impatient)
	for i := range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		w := work(1+i%3, 1+i%5)
		if i%4 == 0 {
			w.Finished = cancel // at the same time as the end
		}
		before := clock.Mono()
		log, err := s.Run(ctx, w)
		switch {
		case err == nil:
			backendtest.CheckLog(t, w, log, before, clock.Mono(), 0)
		case i%4 != 0 || !errors.Is(err, context.Canceled):
			t.Fatalf("run %d: %v", i, err)
		}
		cancel()
	}
}

// TestLongLog: a log of many parts arrives complete.
func TestLongLog(t *testing.T) {
	t.Parallel()
	s := start(t, "fast", impatient)
	w := work(160, 400)
	before := clock.Mono()
	log, err := s.Run(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	backendtest.CheckLog(t, w, log, before, clock.Mono(), 0)
}

func TestEngineLog(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	path := filepath.Join(t.TempDir(), "engine.log")
	for _, logPath := range []string{"", path, path} {
		_, err := testBackend{"exits loading", impatient}.Start(t.Context(), backend.Spec{LogPath: logPath})
		// The log reports the cause.
		failure{codes.ClassUnsupportedDType, "status 3", "has no code for this GPU", "CUDA error"}.check(t, err)
	}
	b, err := os.ReadFile(path)
	if got := strings.Count(string(b), "CUDA error"); err != nil || got != 2 {
		t.Errorf("engine log has %d entries (%v), want both kept", got, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%d temporary logs left (%v), want none", len(left), err)
	}
}

// TestDescriptorsAreClosed: no descriptor stays open in the parent, however a session ends.
func TestDescriptorsAreClosed(t *testing.T) {
	open := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	use := func() {
		for _, mode := range []string{"exits", "version", "exits loading", "fake", "absent"} {
			b := testBackend{mode, impatient}
			if mode == "absent" {
				_, err := backend.StartWorker(t.Context(), mode, backend.Command{Path: "/absent"}, backend.Spec{},
					b.opt)
				failure{codes.ClassNotInstalled, "no such file", "may be executed", ""}.check(t, err)
			} else if s, err := b.Start(t.Context(), backend.Spec{}); err == nil {
				s.Close()
			}
		}
	}
	use() // descriptors that the runtime itself opens
	before := open()
	use()
	if after := open(); after > before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
}

// onDyingThread calls f on a thread that ends afterwards, and waits for its end. The main thread, which never
// ends, is kept busy if it comes first.
func onDyingThread(t *testing.T, f func()) {
	t.Helper()
	tid, returned := 0, make(chan struct{})
	go func() {
		defer close(returned)
		runtime.LockOSThread() // without an unlock, the thread ends with the goroutine
		if tid = syscall.Gettid(); tid != os.Getpid() {
			f()
			return
		}
		onDyingThread(t, f)
		runtime.UnlockOSThread()
	}()
	<-returned
	for tid != os.Getpid() {
		if _, err := os.Stat("/proc/self/task/" + strconv.Itoa(tid)); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// TestWorkerOutlivesCallersThread: the death signal is tied to the thread that starts a child; that thread must
// outlive the caller's.
func TestWorkerOutlivesCallersThread(t *testing.T) {
	var s backend.Session
	var err error
	onDyingThread(t, func() {
		s, err = testBackend{"fake", impatient}.Start(context.Background(), backend.Spec{BatchSize: 1, MaxContext: 16})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Run(t.Context(), work(1, 1)); err != nil {
		t.Errorf("run after the end of the thread that started the session: %v", err)
	}
}

// TestParentDeath: a worker dies with its parent, even if the parent could not stop it and the worker reads
// nothing. So do the processes it started.
func TestParentDeath(t *testing.T) {
	for _, kind := range []string{"fake", "raw", "deaf", "forks"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			command := self("parent")
			parent := exec.Command(command.Path, kind)
			mark := kin.NewMark() // the engine's processes have their own mark, and this one
			parent.Env = append(os.Environ(), append(command.Env, "PARENT_"+mark)...)
			parent.Stderr = os.Stderr
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			pid, convErr := strconv.Atoi(strings.TrimSpace(line))
			_ = parent.Process.Kill()
			_ = parent.Wait()
			if err != nil || convErr != nil {
				t.Fatalf("the parent printed %q (%v)", line, err)
			}
			checkGone(t, pid)
			checkNone(t, "PARENT_"+mark)
		})
	}
}

// checkNone checks that no process has this entry in its environment.
func checkNone(t *testing.T, entry string) {
	t.Helper()
	var left []string
	for range 500 {
		left = nil
		all, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, path := range all {
			if b, err := os.ReadFile(path); err == nil && strings.Contains(string(b), entry) {
				left = append(left, path)
			}
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("still alive: %q", left)
}

// checkGone checks that no live process of a worker's group is left.
func checkGone(t *testing.T, pid int) {
	t.Helper()
	var left []string
	for range 500 {
		if left = backendtest.Live(t, pid); len(left) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("still alive in group %d: %q", pid, left)
}

func TestInvalidOptions(t *testing.T) {
	t.Parallel()
	_, err := testBackend{"fake", impatient}.Start(t.Context(), backend.Spec{Options: json.RawMessage("{")})
	failure{codes.ClassProtocol, `send "load" to the fake engine`, "bug in llem", ""}.check(t, err)
}
