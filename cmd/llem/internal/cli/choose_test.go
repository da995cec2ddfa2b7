package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/engine/engines"
)

func TestAsk(t *testing.T) {
	names := []string{"embedded", "pytorch"}
	const again = "answer with a number from 1 to 2, or with a name: embedded, pytorch"
	for _, q := range []struct{ in, want, says string }{
		{"\n", "embedded", ""},
		{"2\n", "pytorch", ""},
		{"pytorch\n", "pytorch", ""},
		{" PyTorch \n", "pytorch", ""},
		{"", "embedded", ""},
		{"7\n1\n", "embedded", `"7" is not a backend in this list: ` + again},
		{"x\n2\n", "pytorch", `"x" is not a backend in this list: ` + again},
		{"fake\n1\n", "embedded", "fake is a simulation and runs with --backend fake only: " + again},
		{"vllm\n1\n", "embedded", "vllm cannot run here (`llem config` has the reason): " + again},
		{"x", "", ""},
		{"x\ny", "", `"x" is not a backend in this list: ` + again},
	} {
		var out strings.Builder
		got, err := ask(strings.NewReader(q.in), &out, names, engines.All())
		if usage, wrong := errors.AsType[*usageError](err); got != q.want || wrong != (q.want == "") {
			t.Errorf("ask(%q) = %q, %v, want %q", q.in, got, err, q.want)
		} else if wrong && (!strings.Contains(usage.Error(), "is not a backend in this list") || usage.next != again) {
			t.Errorf("ask(%q): %v, %s", q.in, err, usage.next)
		}
		if !strings.Contains(out.String(), "--backend") || !strings.Contains(out.String(), q.says) {
			t.Errorf("ask(%q) says %q, want %q", q.in, out.String(), q.says)
		}
	}
}

// TestOffered: no simulation is offered, and the default stands first.
func TestOffered(t *testing.T) {
	all := offered(engines.All(), func(string) bool { return true })
	if slices.Contains(all, "fake") || all[0] != engines.All()[0].Name || len(all) != len(engines.All())-1 {
		t.Errorf("offered: %v", all)
	}
	got := offered(engines.All(), func(name string) bool { return name == "fake" || name == "embedded" })
	if len(got) != 1 {
		t.Errorf("offered: %v", got)
	}
}

// terminal is a pseudo terminal: what a program sees, and the end of the person before it.
func terminal(t *testing.T) (program, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return program, person
}

// TestNoQuestionOfASimulation: where only the embedded engine and the simulation can run, a run on a
// terminal asks nothing.
func TestNoQuestionOfASimulation(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("llem")
	if err != nil {
		t.Fatal(err)
	}
	program, person := terminal(t)
	empty := t.TempDir()
	cmd := exec.CommandContext(t.Context(), path, "run", "-m", "random:tiny-llama", "-n", "2", "--dry-run")
	cmd.Env = []string{"PATH=" + empty, "HOME=" + empty, "TERM=xterm", "LLEM_CACHE=" + sharedCache(t)}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait(); program.Close() }()
	text := make(chan string, 1)
	go func() {
		var all strings.Builder
		buffer := make([]byte, 4096)
		for {
			n, err := person.Read(buffer)
			all.Write(buffer[:n])
			if err != nil || strings.Contains(all.String(), "Which one?") {
				text <- all.String()
				return
			}
		}
	}()
	select {
	case said := <-text:
		if strings.Contains(said, "Which one?") || !strings.Contains(said, "no run was started") {
			t.Errorf("it says\n%s", said)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for an answer")
	}
	if err := cmd.Process.Kill(); err == nil {
		<-done
	}
}
