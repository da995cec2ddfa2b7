package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/result"
)

// forking is an engine that starts three processes which ignore TERM, and serves then: one
// in its group, one in a session of its own, and a daemon whose parents are gone. A second
// daemon has nothing in its environment.
const forking = `#!/bin/sh
if [ "$1" != --version ] && [ "$1" != --help ] && [ "$1" != --list-devices ]; then
	sh -c 'trap "" TERM HUP; echo $$ >"$0.group"; while :; do sleep 300; done' "$0" &
	setsid sh -c 'trap "" TERM HUP; echo $$ >"$0.session"; while :; do sleep 300; done' "$0" &
	(setsid sh -c 'trap "" TERM HUP; echo $$ >"$0.daemon"; while :; do sleep 300; done' "$0" &) &
	(setsid env -i sh -c 'echo $$ >"$0.bare"; exec sleep 300' "$0" &) &
	while [ ! -s "$0.bare" ] || [ ! -s "$0.group" ] || [ ! -s "$0.session" ] || [ ! -s "$0.daemon" ]; do
		sleep 0.01
	done
fi
exec "$LLEM_TEST_SERVER" "$@"
`

// family is a llem whose engine forks.
type family struct {
	root string
	cmd  *exec.Cmd
}

// out is what it has printed.
func (f *family) out() string {
	b, _ := os.ReadFile(filepath.Join(f.root, "out"))
	return string(b)
}

// start starts llem; before is put before its command line.
func (f *family) start(t *testing.T, output int, before ...string) {
	t.Helper()
	llem, err := exec.LookPath("llem") // testscript.Main put it there
	stub, stubErr := exec.LookPath("llama-server")
	if err = errors.Join(err, stubErr); err != nil {
		t.Fatal(err)
	}
	f.root = t.TempDir()
	engine := filepath.Join(f.root, "engine")
	if err := os.WriteFile(engine, []byte(forking), 0o700); err != nil {
		t.Fatal(err)
	}
	args := append(before, llem, "run", "-b", "llamacpp", "-m", "random:tiny-llama", "-n", "1", "--input-tokens", "8",
		"--output-tokens", strconv.Itoa(output), "-s", "warmup.runs=0", "-s", "energy.sources=none", "-v",
		"-o", filepath.Join(f.root, "results"))
	f.cmd = exec.CommandContext(t.Context(), args[0], args[1:]...)
	f.cmd.Env = append(os.Environ(), "LLEM_CACHE="+sharedCache(t), "TMPDIR="+f.root, "LLEM_LLAMA_SERVER="+engine,
		"LLEM_TEST_SERVER="+stub, "LLEM_TEST_STUB=llamacpp,,10ms")
	out, err := os.Create(filepath.Join(f.root, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	f.cmd.Stdout, f.cmd.Stderr = out, out
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, pid := range f.alive() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	waitFor(t, "the engine's window", func() bool { return strings.Contains(f.out(), " measure ") })
	time.Sleep(100 * time.Millisecond)
}

// alive are the processes that were started with the folder in their environment: llem, its
// engine, all that it has started, and the guardian.
func (f *family) alive() []int {
	var out []int
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err == nil && bytes.Contains(b, []byte("TMPDIR="+f.root+"\x00")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			out = append(out, pid)
		}
	}
	return out
}

// ended waits for llem and for everything that belonged to it, and returns the exit code, -1
// where a signal ended it.
func (f *family) ended(t *testing.T) int {
	t.Helper()
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](f.cmd.Wait()); ok {
		code = exit.ExitCode()
	}
	left := func() (names []string) {
		for _, pid := range f.alive() {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			names = append(names, fmt.Sprintf("%d %.80q", pid, line))
		}
		return names
	}
	for range 400 {
		if len(left()) == 0 {
			return code
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("left behind: %s\n%s", left(), f.out())
	return code
}

// TestEnds: however llem ends, nothing of its engine is left: neither what ignores TERM, nor
// what is in a session of its own, nor a daemon, nor a guardian, nor a temporary file. A
// signal that can be handled leaves the run on record.
func TestEnds(t *testing.T) {
	t.Parallel()
	// Where the tests themselves run under nohup, a child would ignore HUP, too: what has a handler is as
	// usual in a child.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hup) })
	for name, q := range map[string]struct {
		sig  syscall.Signal
		code int
	}{
		"by itself": {0, exitOK},
		"Ctrl-C":    {syscall.SIGINT, exitInterrupted},
		"HUP":       {syscall.SIGHUP, exitInterrupted},
		"TERM":      {syscall.SIGTERM, exitInterrupted},
		"KILL":      {syscall.SIGKILL, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &family{}
			output := 10_000
			if q.sig == 0 {
				output = 30
			}
			f.start(t, output)
			if n := len(f.alive()); q.sig != 0 && n < 6 {
				t.Errorf("%d processes, want llem, its engine, three that it has started, and a guardian", n)
			}
			if q.sig != 0 {
				_ = f.cmd.Process.Signal(q.sig)
			}
			if q.sig == syscall.SIGHUP { // the shell sends it, and the kernel
				_ = f.cmd.Process.Signal(q.sig)
			}
			if code := f.ended(t); code != q.code {
				t.Errorf("exit code %d, want %d\n%s", code, q.code, f.out())
			}
			f.noBareDaemon(t, q.sig == syscall.SIGKILL)
			if temporary, _ := filepath.Glob(filepath.Join(f.root, "llem-*")); len(temporary) > 0 {
				t.Errorf("left behind: %q", temporary)
			}
			if q.code == exitInterrupted {
				f.wantInterrupted(t)
			}
		})
	}
}

// noBareDaemon checks that the daemon without an environment is gone. A guardian cannot tell
// that it is the engine's; llem can, whose child it has become.
func (f *family) noBareDaemon(t *testing.T, killed bool) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.root, "engine.bare"))
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || convErr != nil {
		t.Fatalf("no daemon: %q, %v", text, err)
	}
	switch {
	case killed:
		_ = syscall.Kill(pid, syscall.SIGKILL)
	case alive(pid):
		t.Errorf("the daemon %d without an environment is left", pid)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// wantInterrupted checks that the run is on record.
func (f *family) wantInterrupted(t *testing.T) {
	t.Helper()
	dirs, _ := filepath.Glob(filepath.Join(f.root, "results", "*"))
	if len(dirs) != 1 {
		t.Fatalf("folders of results %q", dirs)
	}
	s, err := result.ReadStudy(dirs[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Rows) != 1 || s.Rows[0].Class != codes.ClassInterrupted || s.Ended != result.EndInterrupted {
		t.Errorf("ended %q with %+v, want one interrupted run", s.Ended, s.Rows)
	}
}

// TestNohup: a program that is started with SIGHUP ignored outlives its terminal.
func TestNohup(t *testing.T) {
	t.Parallel()
	f := &family{}
	f.start(t, 150, "sh", "-c", `trap "" HUP; exec "$@"`, "sh")
	_ = f.cmd.Process.Signal(syscall.SIGHUP)
	if code := f.ended(t); code != exitOK || !strings.Contains(f.out(), "8→150 tokens x 1") {
		t.Errorf("exit code %d\n%s", code, f.out())
	}
}
