package guardian

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/kin"
)

// TestMain turns this program into a guardian if it was started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[2] == Name {
		if err := Main(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	HandsOver()
	m.Run()
}

// killed closes the pipe, which is all that a guardian sees of a killed program.
func (w *Ward) killed() { w.guard.pipe.Close() }

// engine starts a shell script in its own group as the engine of a ward, and returns the process whose id it
// prints first.
func engine(t *testing.T, w *Ward, script string, env ...string) (inner int) {
	t.Helper()
	c := exec.Command("sh", "-c", script)
	c.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	w.Started(c.Process.Pid)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if inner, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		_ = syscall.Kill(inner, syscall.SIGKILL)
	})
	return inner
}

// until waits for something that should happen soon.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for began := time.Now(); !happened(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func ended(pid int) func() bool {
	return func() bool {
		p, ok := kin.Read(pid)
		return !ok || p.Dead()
	}
}

func missing(path string) func() bool {
	return func() bool {
		_, err := os.Stat(path)
		return err != nil
	}
}

// guardian finds the guardian of a ward by the end of the pipe that it reads from.
func guardian(t *testing.T, w *Ward) (pid int) {
	t.Helper()
	var pipe unix.Stat_t
	if err := unix.Fstat(int(w.guard.pipe.Fd()), &pipe); err != nil {
		t.Fatal(err)
	}
	until(t, "a guardian is there", func() bool {
		found, _ := filepath.Glob(fmt.Sprintf("/proc/[0-9]*/fd/%d", chargeFD))
		for _, path := range found {
			text, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(path)), "cmdline"))
			var st unix.Stat_t
			if err == nil && strings.Contains(string(text), "worker\x00"+Name) && unix.Stat(path, &st) == nil &&
				st.Ino == pipe.Ino {
				pid, _ = strconv.Atoi(strings.Split(path, "/")[2])
				return true
			}
		}
		return false
	})
	return pid
}

// TestKilled: processes of a killed program end themselves or are killed; its temporary files are removed.
func TestKilled(t *testing.T) {
	for name, q := range map[string]struct {
		script string
		marked bool
		said   string
	}{
		"it ends itself": {script: `trap 'sleep 0.3; echo ended > "$SAID"; exit' TERM; echo $$; while :; do ` +
			`sleep 0.05; done`,
			said: "ended\n"},
		"it ignores TERM":             {script: "trap '' TERM; echo $$; while :; do sleep 0.05; done"},
		"a daemon in another session": {script: "setsid sleep 300 & echo $!; sleep 0.2", marked: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			temporary, said := filepath.Join(dir, "temporary"), filepath.Join(dir, "said")
			if err := os.Mkdir(temporary, 0o700); err != nil {
				t.Fatal(err)
			}
			w := Process(temporary)
			env := []string{"SAID=" + said}
			if q.marked {
				env = append(env, w.Mark())
			}
			pid := engine(t, w, q.script, env...)
			time.Sleep(100 * time.Millisecond)
			if ended(pid)() {
				t.Fatal("it ended before the program did")
			}
			w.killed()
			until(t, "the engine ends", ended(pid))
			until(t, "temporary files are removed", missing(temporary))
			if text, _ := os.ReadFile(said); string(text) != q.said {
				t.Errorf("before its end it printed %q, want %q", text, q.said)
			}
		})
	}
}

// TestReleased: after its release a guardian does not touch the engine.
func TestReleased(t *testing.T) {
	t.Parallel()
	temporary := filepath.Join(t.TempDir(), "temporary")
	if err := os.Mkdir(temporary, 0o700); err != nil {
		t.Fatal(err)
	}
	w := Process(temporary)
	pid := engine(t, w, "echo $$; exec sleep 300", w.Mark())
	guard := guardian(t, w)
	w.Release()
	until(t, "the guardian ends", ended(guard))
	if ended(pid)() || missing(temporary)() {
		t.Error("it ended an engine that was released")
	}
}

// TestOutlives: a guardian has its own session and survives what ends its program.
func TestOutlives(t *testing.T) {
	t.Parallel()
	w := Process()
	guard := guardian(t, w)
	if sid, err := unix.Getsid(guard); err != nil || sid != guard {
		t.Errorf("session %d, %v, want its own, %d", sid, err, guard)
	}
	until(t, "it ignores signals", func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", guard))
		_, mask, _ := strings.Cut(string(text), "SigIgn:")
		ignored, _ := strconv.ParseUint(strings.TrimSpace(mask[:min(len(mask), 17)]), 16, 64)
		for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
			if ignored>>(sig-1)&1 == 0 {
				return false
			}
		}
		return true
	})
	w.Release()
	until(t, "the guardian ends", ended(guard))
}

// TestContainer: a container is removed by force, and again if its client had not ended by then.
func TestContainer(t *testing.T) {
	for name, q := range map[string]struct {
		stays bool
		want  string
	}{
		"its client has ended": {false, "rm --force box\n"},
		"its client hangs":     {true, "rm --force box\nrm --force box\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			client, asked, temporary := filepath.Join(dir, "client"), filepath.Join(dir, "asked"), filepath.Join(dir,
				"last")
			script := fmt.Sprintf("#!/bin/sh\necho \"$@\" >> %s\n", asked)
			if err := os.WriteFile(client, []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(temporary, 0o700); err != nil { // it is removed last
				t.Fatal(err)
			}
			w := Contained(client, "box", temporary)
			if q.stays {
				engine(t, w, "echo $$; exec sleep 300")
			}
			w.killed()
			until(t, "it is done", missing(temporary))
			if text, _ := os.ReadFile(asked); string(text) != q.want {
				t.Errorf("the client was asked %q, want %q", text, q.want)
			}
		})
	}
}

// TestEnd: a process that was seen once is ended even if nothing identifies it later. The guardian is then
// released.
func TestEnd(t *testing.T) {
	t.Parallel()
	w := Process()
	guard := guardian(t, w)
	pid := engine(t, w, "env -i setsid sleep 300 & echo $!; wait")
	root := w.charge.Engine.Group
	until(t, "it has left the group", func() bool {
		p, _ := kin.Read(pid)
		return p.Group != root
	})
	if _, ok := w.Notice(root)[pid]; !ok {
		t.Fatal("it was not found")
	}
	_ = syscall.Kill(-root, syscall.SIGKILL)
	until(t, "the first process ends", ended(root))
	if err := w.End("engine", 0); err != nil {
		t.Fatal(err)
	}
	if !ended(pid)() {
		t.Error("it was left alive")
	}
	if _, err := w.guard.pipe.Stat(); err == nil {
		t.Error("its guardian was not released")
	}
	until(t, "the guardian ends", ended(guard))
}
