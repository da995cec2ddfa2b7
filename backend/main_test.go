package backend_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/enginefake"
	"github.com/llenergymeasure/llem/internal/guardian"
)

// workerEnv turns the test binary into a worker of the kind it names.
const workerEnv = "LLEM_TEST_WORKER"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[2] == guardian.Name {
		if err := guardian.Main(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	mode := os.Getenv(workerEnv)
	if mode == "" {
		os.Exit(m.Run())
	}
	if err := workerMain(mode); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// workerMain runs a worker with one kind of good or bad behaviour.
func workerMain(mode string) error {
	fake := &enginefake.FakeEngine{StepTime: 200 * time.Microsecond}
	switch mode {
	case "fake":
		return backend.ServeWorker(fake)
	case "fast":
		return backend.ServeWorker(&enginefake.FakeEngine{})
	case "noisy":
		go noise()
		return backend.ServeWorker(fake)
	case "panics":
		return backend.ServeWorker(&fragile{FakeEngine: fake})
	case "parent":
		return parentMain(os.Args[1])
	case "docker":
		os.Exit(dockerMain(os.Args[1:]))
	}
	w := newRawWorker()
	if err, ok := w.early(mode); ok {
		return err
	}
	return w.serve(mode)
}

// noise fills standard output with lines that look like replies.
func noise() {
	for id := 0; ; id++ {
		fmt.Printf("{\"id\":%d,\"event\":\"done\"}\n{\"id\":%d,", id%10, id%10)
		fmt.Fprintln(os.Stderr, "warning: noise")
		if id%100 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// fragile panics in its first run.
type fragile struct {
	*enginefake.FakeEngine
	runs int
}

func (f *fragile) Run(ctx context.Context, w backend.Workload) (*backend.Log, error) {
	f.runs++
	if f.runs == 1 {
		panic("tensor of the wrong shape")
	}
	return f.FakeEngine.Run(ctx, w)
}

// parentMain starts a worker of some kind, prints its process id, and waits to be killed.
func parentMain(kind string) error {
	guardian.HandsOver()
	spec := backend.Spec{LogPath: os.DevNull}
	if inside := os.Getenv(dockerEnv) != ""; inside {
		spec.Container = box()
	}
	s, err := backend.StartWorker(context.Background(), kind, self(kind), spec, backend.WorkerOptions{})
	if err != nil {
		return err
	}
	fmt.Println(s.Loaded().PID)
	time.Sleep(time.Hour)
	return nil
}

// self is the test binary as a worker. A data race ends it at once, because its report would go unseen.
func self(mode string) backend.Command {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return backend.Command{Path: path,
		Env: []string{workerEnv + "=" + mode, "GORACE=halt_on_error=1 atexit_sleep_ms=0"}}
}

// message is the part of a command that the raw worker reads.
type message struct {
	ID int64  `json:"id"`
	Op string `json:"op"`
}

// rawWorker writes the protocol by hand, so that it can break it.
type rawWorker struct {
	in     *bufio.Reader
	out    *os.File
	pulses int // commands to run a load so far
}

func newRawWorker() *rawWorker {
	return &rawWorker{in: bufio.NewReader(os.NewFile(3, "commands")), out: os.NewFile(4, "replies")}
}

func (w *rawWorker) read() message {
	line, err := w.in.ReadString('\n')
	var m message
	if err != nil || json.Unmarshal([]byte(line), &m) != nil {
		os.Exit(0) // the parent is gone
	}
	return m
}

func (w *rawWorker) say(format string, args ...any) { fmt.Fprintf(w.out, format+"\n", args...) }

// early implements the modes that send no hello.
func (w *rawWorker) early(mode string) (error, bool) {
	switch mode {
	case "silent":
		fmt.Fprintln(os.Stderr, "importing torch")
		time.Sleep(time.Hour)
	case "exits":
		return fmt.Errorf("ModuleNotFoundError: No module named 'torch'"), true
	case "version":
		w.say(`{"v":2,"id":%d,"event":"hello","clock_ns":%d}`, w.read().ID, clock.Mono())
	case "hello error":
		w.say(`{"id":%d,"event":"error","failure":{"class":"not_installed","message":"torch is missing",`+
			`"hint":"pip install torch"}}`, w.read().ID)
	default:
		return nil, false
	}
	_, err := io.Copy(io.Discard, w.in)
	return err, true
}

// serve answers correctly until the mode requires otherwise.
func (w *rawWorker) serve(mode string) error {
	for {
		m := w.read()
		if w.misbehave(mode, m) {
			continue
		}
		switch m.Op {
		case "hello":
			now := clock.Mono()
			if mode == "other clock" {
				now = 12345
			}
			w.say(`{"v":1,"id":%d,"event":"hello","clock_ns":%d,"info":{"version":"1","device":"cpu"}}`, m.ID, now)
		case "load":
			w.say(`{"id":%d,"event":"loaded","loaded":{"vocab":9,"text_vocab":9,"pid":%d}}`, m.ID, os.Getpid())
		case "tokenize":
			w.say(`{"id":%d,"event":"tokens","tokens":[]}`, m.ID)
		case "run":
			w.run(m.ID, 1)
		case "adapt":
			w.say(`{"id":%d,"event":"loaded","loaded":{"vocab":9,"text_vocab":9,"pid":%d}}`, m.ID, os.Getpid())
		case "pulse":
			w.pulse(mode, m.ID)
		case "stop":
			w.say(`{"id":%d,"event":"bye"}`, m.ID)
			return nil
		}
	}
}

// run sends the log of a run with one request.
func (w *rawWorker) run(id int64, request int) {
	w.say(`{"id":%d,"event":"finished","finished":{"start_ns":1,"end_ns":2}}`, id)
	w.say(`{"id":%d,"event":"requests","requests":[{"id":%d,"ok":true}]}`, id, request)
	w.say(`{"id":%d,"event":"done"}`, id)
}

// misbehave acts as the mode requires instead of answering m. It reports whether m is dealt with.
func (w *rawWorker) misbehave(mode string, m message) bool {
	if mode == "stops at "+m.Op {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(time.Hour) // the signal may reach another thread first
	}
	switch mode + "/" + m.Op {
	case "exits loading/load":
		fmt.Fprintln(os.Stderr, "CUDA error: no kernel image is available")
		os.Exit(3)
	case "hangs loading/load":
		w.say(`{"id":%d,"event":"progress","phase":"read","fraction":0.5}`, m.ID)
		fmt.Fprintln(os.Stderr, "reading shard 1")
		time.Sleep(time.Hour)
	case "load error/load":
		fmt.Fprintln(os.Stderr, "HTTP 403")
		w.say(`{"id":%d,"event":"error","failure":{"class":"gated_auth","message":"the model is gated",`+
			`"next":"ask for access"}}`, m.ID)
	case "error without content/load":
		w.say(`{"id":%d,"event":"error"}`, m.ID)
	case "loaded without content/load":
		w.say(`{"id":%d,"event":"loaded"}`, m.ID)
	case "wrong event/load":
		w.say(`{"id":%d,"event":"tokens"}`, m.ID)
	case "loud/load":
		line := strings.Repeat("東\xff", 1<<20/4)
		fmt.Fprint(os.Stderr, line+" the last words\n")
		os.Exit(1)
	case "loud lines/load":
		fmt.Fprint(os.Stderr, strings.Repeat("Größe 東京 \xff\n", 1<<16)+"the last words\n")
		os.Exit(1)
	case "illegal/load":
		w.shell("kill -ILL $$")
	case "illegal in go/load":
		_ = syscall.Kill(os.Getpid(), syscall.SIGILL)
		time.Sleep(time.Hour)
	case "aborts/load":
		w.shell("echo 'ggml: assertion failed' >&2; kill -ABRT $$")
	case "grandchild/load":
		// The grandchild keeps the group and the protocol pipe.
		w.grandchild(false)
		fmt.Fprintln(os.Stderr, "leader", os.Getpid())
		os.Exit(7)
	case "escaped grandchild/load":
		fmt.Fprintln(os.Stderr, "grandchild", w.grandchild(true))
		os.Exit(7)
	case "closes its pipe/load":
		w.out.Close()
		time.Sleep(time.Hour)
	case "forks/load":
		w.grandchild(true)
		w.grandchild(false)
		return false
	case "stops after load/load":
		w.say(`{"id":%d,"event":"loaded","loaded":{"pid":%d}}`, m.ID, os.Getpid())
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(time.Hour)
	case "sleeps/run":
		time.Sleep(time.Hour)
	case "computes/run":
		for began := time.Now(); time.Since(began) < 4*stallLimit; {
		}
		return false
	case "waits for a stopped one/run":
		c := exec.Command("sleep", "3600")
		_ = c.Start()
		_ = syscall.Kill(c.Process.Pid, syscall.SIGSTOP)
		for {
			_ = time.Now() // uses processor time
		}
	case "stubborn/load":
		signal.Ignore(syscall.SIGTERM)
		w.grandchild(false)
		return false
	case "stubborn/stop", "deaf/load":
		if m.Op == "load" {
			w.say(`{"id":%d,"event":"loaded","loaded":{"pid":%d}}`, m.ID, os.Getpid())
		}
		time.Sleep(time.Hour)
	case "finished without content/run":
		w.say(`{"id":%d,"event":"finished"}`, m.ID)
	case "done only/run":
		w.say(`{"id":%d,"event":"done"}`, m.ID)
	case "endless log/run":
		for {
			w.say(`{"id":%d,"event":"requests","requests":[{"id":1,"ok":true}]}`, m.ID)
		}
	case "garbage/run":
		w.say("Traceback (most recent call last):")
	case "torn/run":
		fmt.Fprintf(w.out, `{"id":%d,"event":"fini`, m.ID)
		os.Exit(0)
	case "no done/run":
		w.say(`{"id":%d,"event":"finished","finished":{"start_ns":1,"end_ns":2}}`, m.ID)
		os.Exit(0)
	case "dies in the log/run":
		w.say(`{"id":%d,"event":"finished","finished":{"start_ns":1,"end_ns":2}}`, m.ID)
		w.say(`{"id":%d,"event":"requests","requests":[{"id":1,"ok":true}]}`, m.ID)
		fmt.Fprintf(w.out, `{"id":%d,"event":"steps","steps":[{"start_ns":1,`, m.ID)
		w.shell("kill -SEGV $$")
	default:
		return w.late(mode, m)
	}
	return true
}

// late implements the modes whose replies come after nobody waits for them.
func (w *rawWorker) late(mode string, m message) bool {
	switch mode + "/" + m.Op {
	case "late tokens/tokenize":
		// The answer comes with the next command.
		next := w.read()
		w.say(`{"id":%d,"event":"tokens","tokens":[[1]]}`, m.ID)
		w.say(`{"id":%d,"event":"error","failure":{"class":"crashed","message":"late"}}`, m.ID)
		w.run(next.ID, 2)
	case "late log/run":
		if w.read().Op != "cancel" {
			os.Exit(9)
		}
		w.say(`{"id":%d,"event":"progress","done":1}`, m.ID)
		w.run(m.ID, 1)
		w.say(`{"id":%d,"event":"error","failure":{"class":"interrupted","message":"late"}}`, m.ID)
		next := w.read()
		w.run(m.ID, 1)
		w.run(next.ID, 2)
	case "fails after progress/run":
		w.say(`{"id":%d,"event":"progress","done":1}`, m.ID)
		w.say(`{"id":%d,"event":"error","failure":{"class":"oom_gpu","message":"no memory"}}`, m.ID)
	case "ignores cancel/run":
		return w.read().Op == "cancel"
	default:
		return false
	}
	return true
}

// shell replaces this process by a shell that runs the script.
func (w *rawWorker) shell(script string) {
	fmt.Fprintln(os.Stderr, syscall.Exec("/bin/sh", []string{"sh", "-c", script}, os.Environ()))
	os.Exit(1)
}

// grandchild starts a process that outlives this one and holds its reply pipe.
func (w *rawWorker) grandchild(own bool) int {
	c := exec.Command("sleep", "3600")
	c.ExtraFiles = []*os.File{w.out}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: own}
	if err := c.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return c.Process.Pid
}
