package backend

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/note"
)

// Child is an engine's process in a group of its own that dies with this one: what a
// worker and a server have in common.
type Child struct{ p *process }

// StartChild starts a process whose output goes to logPath, or to a file that Close
// removes if it is empty.
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

// PID of the process, or of the first one in its container; 0 if that is not known. It is for an engine
// that has answered.
func (c *Child) PID() int { return c.p.answered() }

// Image is what the process runs from; nil outside of containers.
func (c *Child) Image() *Image { return c.p.image() }

// Exited is closed when the process is gone.
func (c *Child) Exited() <-chan struct{} { return c.p.exited }

// Notice returns the numbers of the engine's processes. They are remembered, to be ended by Close.
func (c *Child) Notice() []int { return slices.Sorted(maps.Keys(c.p.family())) }

// Vital tells whether the engine still does something: Watch returns a context that ends when it
// has not for the limit, and the function that ends watching. An engine that talks sends
// something all the time that it works, or computes a prompt: Heard notes when it did, in
// nanoseconds of CLOCK_MONOTONIC.
func (c *Child) Vital(limit time.Duration, talks bool) interface {
	Watch(parent context.Context) (ctx context.Context, end func())
	Heard(at int64)
} {
	return c.p.vital(limit, talks)
}

// Stop sends TERM to the group, waits that long and sends KILL.
func (c *Child) Stop(wait time.Duration) { c.p.terminate(0, wait) }

// Failure explains the end of a process that nobody asked to end.
func (c *Child) Failure(name, doing string) *note.Failure { return c.p.exitFailure(name, doing) }

// LogTail is the end of what it printed.
func (c *Child) LogTail() string { return c.p.logTail() }

// Close stops the engine and returns when none of its processes is left. It removes a log
// that nobody asked to keep.
func (c *Child) Close(name string, wait time.Duration) error { return c.p.close(name, 0, wait) }
