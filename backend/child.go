package backend

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/note"
)

// Child is an engine process in its own process group that dies with this process: the common part of workers and
// servers.
type Child struct{ p *process }

// StartChild starts a process whose output goes to logPath, or to a temporary file, removed by Close, if logPath
// is empty.
func StartChild(cmd Command, logPath string) (*Child, error) {
	if cmd.Container != nil {
		return startInside(cmd, logPath)
	}
	p, err := spawn(cmd, logPath, nil)
	if err != nil {
		return nil, err
	}
	return &Child{p}, nil
}

func startInside(cmd Command, logPath string) (*Child, error) {
	box, err := enclose(cmd.Container)
	if err != nil {
		return nil, err
	}
	p, err := box.start(cmd, logPath, false)
	if err != nil {
		return nil, err
	}
	return &Child{p}, nil
}

// PID returns the process id, or the id of the first process in the container; 0 if unknown. Call it only after
// the engine has answered.
func (c *Child) PID() int { return c.p.answered() }

// Image returns the container image of the process; nil outside of containers.
func (c *Child) Image() *Image { return c.p.image() }

// Exited returns a channel that is closed when the process is gone.
func (c *Child) Exited() <-chan struct{} { return c.p.exited }

// Notice returns the ids of the engine's processes and remembers them, so that Close can end them.
func (c *Child) Notice() []int { return slices.Sorted(maps.Keys(c.p.family())) }

// Vital watches whether the engine makes progress. Watch returns a context that ends after limit without progress,
// and a function that stops watching. An engine that talks sends data whenever it works, or computes a prompt;
// Heard records when it last did, in nanoseconds of CLOCK_MONOTONIC.
func (c *Child) Vital(limit time.Duration, talks bool) interface {
	Watch(parent context.Context) (ctx context.Context, end func())
	Heard(at int64)
} {
	return c.p.vital(limit, talks)
}

// Stop sends TERM to the group, waits up to the given time and sends KILL.
func (c *Child) Stop(wait time.Duration) { c.p.terminate(0, wait) }

// Failure returns the failure of a process that ended without being asked to.
func (c *Child) Failure(name, doing string) *note.Failure { return c.p.exitFailure(name, doing) }

// LogTail returns the end of the process's output.
func (c *Child) LogTail() string { return c.p.logTail() }

// Close stops the engine and returns when none of its processes is left. It removes a temporary log.
func (c *Child) Close(name string, wait time.Duration) error { return c.p.close(name, 0, wait) }
