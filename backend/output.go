package backend

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/llenergymeasure/llem/internal/printed"
	"github.com/llenergymeasure/llem/internal/secret"
)

// Output runs a short command with additional arguments to its end, such as a request for the version, and returns
// its output. A command that prints more than [printed.MostAnswer] is ended. With a container it runs in a
// separate one from the same image.
func (c Command) Output(ctx context.Context, args ...string) (stdout, stderr []byte, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.Args = slices.Concat(c.Args, args)
	run := exec.CommandContext(ctx, c.Path, c.Args...)
	run.Env, run.WaitDelay = append(secret.Env(os.Environ()), c.Env...), time.Second
	// The command ends with this process, and everything it started ends with ctx. The death signal comes when the
	// thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	run.Cancel = func() error { return syscall.Kill(-run.Process.Pid, syscall.SIGKILL) }
	if c.Container != nil {
		box, err := enclose(c.Container)
		if err != nil {
			return nil, nil, err
		}
		defer box.remove()
		client := box.command(c, false)
		run = exec.CommandContext(ctx, client.Path, client.Args[1:]...)
		// The pipe never ends: its end would end the container.
		in, keep, err := os.Pipe()
		if err != nil {
			return nil, nil, fmt.Errorf("pipe for a container: %w", err)
		}
		defer in.Close()
		run.Stdin, box.stdin = in, keep
		// A client that dies, by Ctrl-C in a terminal or with ctx, may leave a container that its service is about to
		// create.
		run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		run.WaitDelay = madeWithin
		run.Cancel = func() error { box.hangUp(); return nil }
	}
	out, said, err := printed.Output(run, printed.MostAnswer, cancel)
	if f := notStarted(err, string(said)); f != nil && c.Container != nil {
		err = f
	}
	return out, said, err
}
