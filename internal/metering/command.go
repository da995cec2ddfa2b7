package metering

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// Exit codes of a shell for commands that it cannot run.
const (
	notExecutable = 126
	notFound      = 127
	// bySignal is added to the number of a signal that ended a command.
	bySignal = 128
)

// ExitError is the exit code of the command, which llem ends with, too.
type ExitError struct {
	// Code of the command, or as a shell would have it.
	Code int
	// Err is why the command could not be started, or its result not be stored; nil otherwise.
	Err  error
	next string
}

// Error returns why the command could not be started, why its result could not be stored, or its code.
func (e *ExitError) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("the command ended with exit code %d", e.Code)
}

// NextStep returns what to give instead.
func (e *ExitError) NextStep() string { return e.next }

// Find returns the program of a command, before anything is measured.
func Find(argv []string) (string, error) {
	path, err := exec.LookPath(argv[0])
	switch {
	case err == nil || errors.Is(err, exec.ErrDot):
		return path, nil
	case errors.Is(err, fs.ErrPermission):
		return "", &ExitError{notExecutable, fmt.Errorf("%s cannot be executed", argv[0]), "chmod +x it"}
	}
	return "", &ExitError{notFound, fmt.Errorf("%s: command not found", argv[0]),
		"check its name and PATH; the command after -- is started without a shell"}
}

// Streams are the standard streams of the command, which it gets as they are.
type Streams struct{ In, Out, Err *os.File }

// Command runs the command in a window. Signals go to the command. The error is an [*ExitError] if the command ended
// with another code than 0.
func (m *Meter) Command(ctx context.Context, path string, s Streams) (*result.Record, error) {
	ctx = context.WithoutCancel(ctx)
	got := make(chan os.Signal, 8)
	signal.Notify(got, passed()...)
	defer signal.Stop(got)
	w, err := m.Begin(ctx)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: path, Args: m.options.Argv, Stdin: s.In, Stdout: s.Out, Stderr: s.Err}
	if err := cmd.Start(); err != nil {
		w.Drop(ctx)
		return nil, &ExitError{notExecutable, err, "check that the file is a program of this machine"}
	}
	w.Runs(cmd.Process.Pid)
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case sig := <-got:
				if !fromTerminal(sig) {
					_ = cmd.Process.Signal(sig) // it may just have ended
				}
			case <-ended:
				return
			}
		}
	}()
	_ = cmd.Wait() // its code is below
	at := w.Ended()
	close(ended)
	code := codeOf(cmd.ProcessState)
	var doubts note.List
	if code != 0 {
		doubts.Warn(codes.CommandFailed, fmt.Sprintf("the command ended with exit code %d", code))
	}
	rec, err := w.End(ctx, Marks{StartNS: w.from, EndNS: at}, doubts...)
	if code != 0 { // also if the result could not be stored
		err = &ExitError{Code: code, Err: err, next: nextOf(err)}
	}
	return rec, err
}

// codeOf returns the exit code of a command as a shell does.
func codeOf(s *os.ProcessState) int {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return bySignal + int(status.Signal())
	}
	return s.ExitCode()
}

// passed are the signals that are passed on to the command.
func passed() []os.Signal {
	list := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		list = append(list, syscall.SIGHUP)
	}
	return list
}

// fromTerminal reports whether a signal comes from the keyboard of the terminal, which then sends it to the command
// itself: they are in one process group in the foreground.
func fromTerminal(sig os.Signal) bool {
	if sig != syscall.SIGINT && sig != syscall.SIGQUIT {
		return false
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	front, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && front == unix.Getpgrp()
}
