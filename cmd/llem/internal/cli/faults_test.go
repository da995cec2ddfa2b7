package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// program is a running llem whose engine is at work.
type program struct {
	cmd     *exec.Cmd
	results string
	out     bytes.Buffer
	engine  int // process id of the engine
}

// longRun starts llem on work that lasts until it is stopped, and waits until the
// engine is in the measured window.
func longRun(t *testing.T, engine string, extra ...string) *program {
	t.Helper()
	t.Parallel()
	if engine == "embedded" && !engineBuilt() {
		t.Skip("the embedded engine is not in this build (CGO_ENABLED=0)")
	}
	path, err := exec.LookPath("llem") // testscript.Main put it there
	if err != nil {
		t.Fatal(err)
	}
	p := &program{results: filepath.Join(t.TempDir(), "the results")}
	args := append([]string{"run", "-b", engine, "-m", "random:tiny-llama", "-n", "8", "--input-tokens", "16",
		"--output-tokens",
		"30000", "-s", "warmup.runs=0", "-s", "energy.sources=none", "-v", "-o", p.results}, extra...)
	if engine == "embedded" {
		args = append(args, "-s", "embedded.threads=1")
	}
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = append(os.Environ(), "LLEM_CACHE="+sharedCache(t))
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	waitFor(t, "the engine to start", func() bool {
		p.engine = childOf(p.cmd.Process.Pid)
		return p.engine != 0
	})
	time.Sleep(1500 * time.Millisecond) // into the window
	return p
}

// sharedCache keeps the tiny model between tests of one process.
func sharedCache(t *testing.T) string {
	t.Helper()
	dir := cacheFolder()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func cacheFolder() string {
	return filepath.Join(os.TempDir(), "llem-test-cache-"+strconv.Itoa(os.Getpid()))
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 600 {
		if done() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("timed out waiting for %s", what)
}

// childOf finds the first child of a process.
func childOf(pid int) int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// pid (command) state ppid …
		_, rest, ok := strings.Cut(string(b), ") ")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 2 || fields[1] != strconv.Itoa(pid) || fields[0] == "Z" {
			continue
		}
		// Others than the engine come and go while the machine is described.
		command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if !strings.Contains(string(command), "\x00worker\x00") || strings.Contains(string(command), "guardian") {
			continue
		}
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		return n
	}
	return 0
}

func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(b), ") Z ")
}

// end waits for llem and returns its exit code; the engine must be gone.
func (p *program) end(t *testing.T) int {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	var err error
	select {
	case err = <-done:
	case <-time.After(2 * time.Minute):
		t.Fatalf("llem did not end; its output:\n%s", p.out.String())
	}
	waitFor(t, "the engine to be gone", func() bool { return !alive(p.engine) })
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return 0
}

// studyDir is the one study in the results.
func (p *program) studyDir(t *testing.T) string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(p.results, "*"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("results = %v, %v, want one study; output:\n%s", dirs, err, p.out.String())
	}
	return dirs[0]
}

// wantRow checks that the one run is on record with a class, and that nothing
// half-written is left.
func (p *program) wantRow(t *testing.T, status result.Status, class string) *result.Record {
	t.Helper()
	dir := p.studyDir(t)
	var rows []*result.Record
	for rec, err := range store.Records(dir) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, rec)
	}
	if len(rows) != 1 || rows[0].Status != status || rows[0].Failure == nil || string(rows[0].Failure.Class) != class {
		t.Fatalf("rows = %+v, want one %s row of class %s; output:\n%s", rows, status, class, p.out.String())
	}
	if rows[0].Failure.Message == "" || rows[0].Failure.Next == "" {
		t.Errorf("failure = %+v, want a message and a hint", rows[0].Failure)
	}
	if half, _ := filepath.Glob(filepath.Join(dir, result.RunsDir, "*.partial")); len(half) > 0 {
		t.Errorf("half-written: %v", half)
	}
	if _, err := result.ReadStudy(dir); err != nil {
		t.Errorf("summary: %v", err)
	}
	return rows[0]
}

func TestInterrupt(t *testing.T) {
	for engine, sig := range map[string]syscall.Signal{"embedded": syscall.SIGINT, "fake": syscall.SIGTERM} {
		t.Run(engine, func(t *testing.T) {
			p := longRun(t, engine)
			start := time.Now()
			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if code := p.end(t); code != exitInterrupted {
				t.Errorf("exit code %d, want %d; output:\n%s", code, exitInterrupted, p.out.String())
			}
			if took := time.Since(start); took > time.Minute {
				t.Errorf("it took %v to end", took)
			}
			p.wantRow(t, result.Interrupted, "interrupted")
			p.wantResumed(t)
		})
	}
}

// wantResumed checks that the line after an interruption has a command that a shell can run: it names the study, whose
// folder has a blank in it.
func (p *program) wantResumed(t *testing.T) {
	t.Helper()
	m := regexp.MustCompile("llem: interrupted; finished runs are kept; to continue:\n  (llem run --resume=.*)\n").
		FindStringSubmatch(p.out.String())
	if m == nil {
		t.Errorf("no command continues the study:\n%s", p.out.String())
		return
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", m[1]+" --dry-run")
	cmd.Env = p.cmd.Env
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "1 experiment") {
		t.Errorf("%s: %v\n%s", m[1], err, out)
	}
}

// TestInterruptTwice: an engine that does not react keeps nobody waiting.
func TestInterruptTwice(t *testing.T) {
	p := longRun(t, "fake")
	if err := syscall.Kill(p.engine, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if code := p.end(t); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
}

// TestKilled: even a killed llem leaves no engine behind.
func TestKilled(t *testing.T) {
	p := longRun(t, "embedded")
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.end(t)
}

func TestEngineKilled(t *testing.T) {
	p := longRun(t, "fake")
	if err := syscall.Kill(p.engine, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	rec := p.wantRow(t, result.Failed, "oom_host")
	if !strings.Contains(rec.Failure.Message, "killed") {
		t.Errorf("message %q does not report that the engine was killed", rec.Failure.Message)
	}
	if !strings.Contains(p.out.String(), "next:") {
		t.Errorf("output gives no next step:\n%s", p.out.String())
	}
}

func TestEngineHangs(t *testing.T) {
	p := longRun(t, "fake", "--timeout", "12s")
	if err := syscall.Kill(p.engine, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	p.wantRow(t, result.Failed, "timeout")
}

// TestDiskFull: results of earlier runs survive, and nothing half-written is
// left. It needs a small file system of its own.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if !engineBuilt() {
		t.Skip("the embedded engine is not in this build (CGO_ENABLED=0)")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=320k"); err != nil {
		t.Skipf("TestDiskFull needs the right to mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	path, err := exec.LookPath("llem")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "run", "-m", "random:tiny-llama", "-n", "8", "--input-tokens", "16", "--output-tokens",
		"300",
		"-s", "warmup.runs=0", "-s", "energy.sources=none", "-s", "embedded.threads=1", "--cycles", "40", "-q", "-o",
		filepath.Join(dir, "results"))
	cmd.Env = append(os.Environ(), "LLEM_CACHE="+sharedCache(t))
	out, err := cmd.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != exitFailed {
		t.Fatalf("a full disk gave %v, want exit code %d; output:\n%s", err, exitFailed, out)
	}
	if !bytes.Contains(out, []byte("no space left")) || !bytes.Contains(out, []byte("--output")) {
		t.Errorf("output does not name the cause and the next step:\n%s", out)
	}
	studies, _ := filepath.Glob(filepath.Join(dir, "results", "*"))
	if len(studies) != 1 {
		t.Fatalf("studies = %v", studies)
	}
	n := 0
	for rec, err := range store.Records(studies[0]) {
		if err != nil || rec.Status != result.OK {
			t.Errorf("an earlier run is damaged: %v", err)
		}
		n++
	}
	if n == 0 {
		t.Error("no run was finished before the disk was full; the test needs a larger file system")
	}
	if half, _ := filepath.Glob(filepath.Join(studies[0], result.RunsDir, "*.partial")); len(half) > 0 {
		t.Errorf("half-written: %v", half)
	}
}
