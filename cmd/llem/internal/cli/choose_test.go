package cli

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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
