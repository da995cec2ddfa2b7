package backend

import (
	"time"

	"github.com/llenergymeasure/llem/internal/kin"
	"github.com/llenergymeasure/llem/internal/watch"
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

// Notice returns the processes of the engine. They are remembered, to be ended by Close.
func (c *Child) Notice() kin.Family { return c.p.family() }

// Vital tells whether the engine, which sends something all the time that it works, still does
// something. One that does not for the limit stands still.
func (c *Child) Vital(limit time.Duration) *watch.Engine { return c.p.vital(limit, true) }

// Stop sends TERM to the group, waits that long and sends KILL.
func (c *Child) Stop(wait time.Duration) { c.p.terminate(0, wait) }

// Failure explains the end of a process that nobody asked to end.
func (c *Child) Failure(name, doing string) *note.Failure { return c.p.exitFailure(name, doing) }

// LogTail is the end of what it printed.
func (c *Child) LogTail() string { return c.p.logTail() }

// Close stops the engine and returns when none of its processes is left. It removes a log
// that nobody asked to keep.
func (c *Child) Close(name string, wait time.Duration) error { return c.p.close(name, 0, wait) }
