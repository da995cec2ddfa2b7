// Package guardian ends an engine whose program is gone.
//
// The kernel kills an engine's first process when its parent ends (PR_SET_PDEATHSIG), but not the processes it
// started, nor a container. A guardian does: it is this program started again, in its own session, and reads from
// a pipe that only the program holds open. When the program has ended the engine, it tells the guardian, which
// exits. When the pipe ends without that message, the program was killed: the guardian ends all processes of the
// engine, or removes its container, deletes its temporary files and exits. While it waits it uses no processor
// time.
//
// A program whose main does not hand over to the guardian cannot be started again as one. It has no guardian, and
// processes that its engines started may outlive it if it is killed.
package guardian

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/llenergymeasure/llem/internal/kin"
)

// Name is the argument that starts a guardian: PROGRAM worker guardian.
const Name = "guardian"

// handsOver reports that main hands over to [Main]. Only the program knows this; it is set once.
var handsOver atomic.Bool

// HandsOver declares that this program becomes a guardian when it is started as one.
func HandsOver() { handsOver.Store(true) }

// container is the container of an engine.
type container struct {
	// Client is the client program that started it.
	Client string `json:"client"`
	// Name is the container's name.
	Name string `json:"name"`
}

// charge is what a guardian has to end.
type charge struct {
	// Engine identifies the engine's processes; the client of a container is in its group.
	Engine kin.Engine `json:"engine"`
	// Container is the engine's container; nil for a process of this machine.
	Container *container `json:"container,omitempty"`
	// Remove are temporary files and folders.
	Remove []string `json:"remove,omitempty"`
	// Over reports that the program has ended the engine itself.
	Over bool `json:"over,omitempty"`
}

// guard is the program's end of a guardian; nil without one.
type guard struct{ pipe *os.File }

// chargeFD is the file descriptor that a guardian reads from.
const chargeFD = 3

// newGuard starts a guardian. It returns nil if that is not possible.
func newGuard() *guard {
	path, err := os.Executable()
	if err != nil || !handsOver.Load() {
		return nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil
	}
	defer read.Close()
	c := exec.Command(path, "worker", Name)
	c.Env, c.Dir, c.ExtraFiles = environment(os.Environ()), "/", []*os.File{read}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		write.Close()
		return nil
	}
	go func() { _ = c.Wait() }() // its exit status does not matter
	return &guard{write}
}

// environment returns the guardian's environment: what clients of containers need, and its own mark.
func environment(environ []string) []string {
	out := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return !slices.Contains([]string{"PATH", "HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME",
			"TMPDIR", "LD_LIBRARY_PATH"}, name) &&
			!strings.HasPrefix(name, "DOCKER_") && !strings.HasPrefix(name, "CONTAINER")
	})
	return append(out, "LLEM_WORKER="+Name, kin.MarkName+"="+Name, "GOMAXPROCS=1")
}

// watch sends the guardian its charge, which replaces the previous one.
func (g *guard) watch(c charge) {
	if g == nil {
		return
	}
	line, err := json.Marshal(c)
	if err == nil {
		_, _ = g.pipe.Write(append(line, '\n')) // a guardian that was killed cannot guard
	}
}

// release reports the end of the engine to the guardian, which then exits.
func (g *guard) release() {
	if g == nil {
		return
	}
	g.watch(charge{Over: true})
	g.pipe.Close()
}

// Main runs a guardian until it exits.
func Main() error {
	syscall.CloseOnExec(chargeFD)
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT) // it ends with the program
	pipe := os.NewFile(chargeFD, "charge")
	if _, err := pipe.Stat(); err != nil {
		return err
	}
	var c charge
	for r := bufio.NewReader(pipe); ; {
		line, err := r.ReadBytes('\n')
		if err != nil { // the program is gone; a torn line carries no message
			break
		}
		var next charge
		if json.Unmarshal(line, &next) == nil {
			c = next
		}
	}
	if !c.Over {
		c.end()
	}
	return nil
}

const (
	// termTime is the time between TERM and KILL.
	termTime = 2 * time.Second
	// hungUpTime is how long a container may take to end itself: the shell inside also sees the end of the program.
	hungUpTime = 5 * time.Second
	// goneWithin bounds the wait for the end of an engine's processes: a driver takes seconds to clean up after a
	// killed process.
	goneWithin = 30 * time.Second
	// askTimeout bounds a command of a container's client.
	askTimeout = 20 * time.Second
)

// end ends the engine.
func (c charge) end() {
	known := c.Engine.Find()
	wait := termTime
	if c.Container != nil {
		// A client that dies now may leave a container that its service is about to create.
		wait = hungUpTime
	} else {
		c.Engine.Signal(syscall.SIGTERM)
	}
	alone := c.ends(wait)
	c.Container.remove()
	_ = c.Engine.End("", known, goneWithin) // nobody to report to
	if !alone {                             // a client that was killed may just have created it
		c.Container.remove()
	}
	for _, path := range c.Remove {
		_ = os.RemoveAll(path)
	}
}

// ends waits for the engine's processes, and reports whether they are gone.
func (c charge) ends(within time.Duration) bool {
	for began := time.Now(); len(c.Engine.Find().Living()) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > within {
			return false
		}
	}
	return true
}

// remove kills and removes the container, if there is one and it is still there.
func (c *container) remove() {
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	run := exec.CommandContext(ctx, c.Client, "rm", "--force", c.Name)
	run.WaitDelay = time.Second
	_ = run.Run() // its service may be gone, too
}
