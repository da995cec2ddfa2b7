// Package ending ends the work of the program when a signal asks for it, or when nobody reads its
// output any more: engines
// are stopped and results are written before.
package ending

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/llenergymeasure/llem/internal/kin"
)

// ExitCode is the exit code of an interrupted program, part of the contract with scripts.
const ExitCode = 130

// ErrInterrupted is the cause of a context that a signal ended.
var ErrInterrupted = errors.New("interrupted")

// stopGrace is how long stopping an engine and writing what there is may take
// after an interrupt.
const stopGrace = 30 * time.Second

// endings are the signals that end the program: Ctrl-C, a request to end, and the end of its
// terminal, as of an ssh connection that is lost. nohup starts a program with the last one
// ignored, and it stays so.
func endings() []os.Signal {
	list := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	return list
}

// interruptible ends the context at the first of these signals, so that the engine is
// stopped and results are written, and the process at the second, unless that is a SIGHUP.
func interruptible(parent context.Context) (context.Context, context.CancelFunc) {
	kin.Adopt() // what an engine leaves behind when it ends is found
	ctx, cancel := context.WithCancelCause(parent)
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, endings()...)
	go func() {
		select {
		case <-ch:
		case <-ctx.Done():
			return
		}
		cancel(ErrInterrupted)
		// Something may not end, such as reading from a pipe that nobody fills.
		for grace := time.After(stopGrace); ; {
			select {
			case s := <-ch:
				if s == syscall.SIGHUP { // the kernel and the shell each send it
					continue
				}
			case <-grace:
			}
			// Engines end with this process (see internal/guardian).
			os.Exit(ExitCode)
		}
	}()
	return ctx, func() { signal.Stop(ch); cancel(nil) }
}
