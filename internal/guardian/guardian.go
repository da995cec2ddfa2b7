// Package guardian ends an engine when the program that started it is gone.
//
// The kernel kills an engine's first process when its parent ends (PR_SET_PDEATHSIG), but
// not what that process has started, nor a container. A guardian does: this program started
// again, in a session of its own, which reads from a pipe that the program alone holds open.
// When the program has ended the engine, it says so, and the guardian exits. When the pipe
// ends without that, the program was killed: the guardian ends all processes of the engine,
// or removes its container, deletes its temporary files and exits. It reads and waits, and
// uses no processor meanwhile.
//
// A program that does not hand over to the guardian in main cannot be started again: it has
// none, and what its engines have started may outlive a kill of it.
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

// Name is the word of the command line that starts a guardian: PROGRAM worker guardian.
const Name = "guardian"

// handsOver says that main hands over to [Main]. It is a fact about the program, which
// nothing but the program can tell, and is set once.
var handsOver atomic.Bool

// HandsOver says that this program, started again as a guardian, becomes one.
func HandsOver() { handsOver.Store(true) }

// container is what runs an engine that is in a container.
type container struct {
	// Client is the program that started it, Name that of the container.
	Client string `json:"client"`
	// Name is the container's name.
	Name string `json:"name"`
}

// charge is what a guardian has to end.
type charge struct {
	// Engine tells its processes; the client of a container is in its group.
	Engine kin.Engine `json:"engine"`
	// Container is where it runs; nil is on this machine.
	Container *container `json:"container,omitempty"`
	// Remove are temporary files and folders.
	Remove []string `json:"remove,omitempty"`
	// Over says that the program has ended the engine itself.
	Over bool `json:"over,omitempty"`
}

// guard is a program's end of a guardian; nil where there is none.
type guard struct{ pipe *os.File }

// chargeFD is the file descriptor that a guardian reads from.
const chargeFD = 3

// newGuard starts a guardian. It returns nil where there can be none.
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
	go func() { _ = c.Wait() }() // how it ends matters to nobody
	return &guard{write}
}

// environment is that of a guardian: what clients of containers need, and a mark of its own.
func environment(environ []string) []string {
	out := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return !slices.Contains([]string{"PATH", "HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME",
			"TMPDIR", "LD_LIBRARY_PATH"}, name) &&
			!strings.HasPrefix(name, "DOCKER_") && !strings.HasPrefix(name, "CONTAINER")
	})
	return append(out, "LLEM_WORKER="+Name, kin.MarkName+"="+Name, "GOMAXPROCS=1")
}

// watch tells the guardian what it has to end, in place of what it was told before.
func (g *guard) watch(c charge) {
	if g == nil {
		return
	}
	line, err := json.Marshal(c)
	if err == nil {
		_, _ = g.pipe.Write(append(line, '\n')) // a guardian that was killed guards no more
	}
}

// release says that the engine has ended, and ends the guardian.
func (g *guard) release() {
	if g == nil {
		return
	}
	g.watch(charge{Over: true})
	g.pipe.Close()
}

// Main is the whole life of a guardian.
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
		if err != nil { // the program is gone; a torn line says nothing
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
	// hungUpTime is how long a container may take to end by itself: the shell inside sees
	// the end of the program, too.
	hungUpTime = 5 * time.Second
	// goneWithin bounds the wait for the end of an engine's processes: a driver that cleans
	// up after a killed one takes seconds.
	goneWithin = 30 * time.Second
	// askTimeout bounds a command of a container's client.
	askTimeout = 20 * time.Second
)

// end ends the engine.
func (c charge) end() {
	known := c.Engine.Find()
	wait := termTime
	if c.Container != nil {
		// A client that dies now may leave a container that its service is about to make.
		wait = hungUpTime
	} else {
		c.Engine.Signal(syscall.SIGTERM)
	}
	alone := c.ends(wait)
	c.Container.remove()
	_ = c.Engine.Bury("", known, goneWithin) // there is nobody to tell
	if !alone {                              // a client that was killed may just have made it
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
