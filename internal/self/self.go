// Package self starts the running program again as the process of an engine, and
// keeps such a process from starting itself in turn.
//
// A program that uses llem must enter the engine first thing in main. Where it
// does not, its engine would be the whole program once more, which starts an
// engine, and so on without an end. Each process that is started through [Command]
// therefore carries a mark in its environment, and [Check] refuses where it finds it.
package self

import (
	"errors"
	"fmt"
	"os"

	"github.com/llenergymeasure/llem/backend"
)

// Mark is the variable that a process started by [Command] carries.
const Mark = "LLEM_WORKER"

// ErrNoWorkerMain reports that this process was started as an engine and went on
// as a program of its own.
var ErrNoWorkerMain = errors.New("this process was started as the engine of another one, and its main " +
	"function did not hand over to the engine: call llem.WorkerMain first in main")

// Check returns [ErrNoWorkerMain] in a process that was started as an engine.
func Check() error {
	if os.Getenv(Mark) != "" {
		return fmt.Errorf("%w (%s is set)", ErrNoWorkerMain, Mark)
	}
	return nil
}

// Command starts this program again as the worker of an engine.
func Command(engine string) (backend.Command, error) {
	if err := Check(); err != nil {
		return backend.Command{}, err
	}
	path, err := os.Executable()
	if err != nil {
		return backend.Command{}, fmt.Errorf("find this program to start the %s engine: %w", engine, err)
	}
	return backend.Command{Path: path, Args: []string{"worker", engine}, Env: []string{Mark + "=" + engine}}, nil
}
