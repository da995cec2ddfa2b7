package guardian

import (
	"maps"
	"sync"

	"github.com/llenergymeasure/llem/internal/kin"
)

// Ward is an engine under guard, as the program that runs it sees it. Notice may be called
// at any time.
type Ward struct {
	charge charge
	guard  *guard
	mu     sync.Mutex // guards known
	// known are its processes as they were at some times: not all can be told later.
	known kin.Family
}

// Process puts an engine that is about to be started under guard. Its processes must have
// the ward's mark. A killed program's temporary files are removed.
func Process(temporary ...string) *Ward {
	return post(charge{Engine: kin.Engine{Mark: kin.NewMark()}, Remove: temporary})
}

// Contained does the same for an engine in a container. Others than the client start its
// processes: they have no mark.
func Contained(client, name string, temporary ...string) *Ward {
	return post(charge{Container: &container{client, name}, Remove: temporary})
}

func post(c charge) *Ward {
	c.Engine.Since = kin.Now()
	w := &Ward{charge: c, guard: newGuard(), known: kin.Family{}}
	w.guard.watch(w.charge)
	return w
}

// Mark is what the environment of the engine must have, NAME=VALUE.
func (w *Ward) Mark() string { return w.charge.Engine.Mark }

// Started tells the process that was started, which leads a group of its own: the engine, or
// the client of its container.
func (w *Ward) Started(pid int) {
	w.charge.Engine.Group = pid
	w.guard.watch(w.charge)
}

// engine is the engine with its process group, 0 if that is not known any more. In a
// container it is not the client's.
func (w *Ward) engine(group int) kin.Engine {
	e := w.charge.Engine
	e.Group = group
	return e
}

// Notice looks for the engine's processes, remembers them and returns all so far.
func (w *Ward) Notice(group int) kin.Family {
	found := w.engine(group).Find()
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.Copy(w.known, found)
	return maps.Clone(w.known)
}

// Bury ends what is left of an engine that has been stopped, and releases the guardian. Group
// is the engine's from before it was stopped, 0 if it had exited by then.
func (w *Ward) Bury(name string, group int) error {
	defer w.Release()
	w.mu.Lock()
	known := maps.Clone(w.known)
	w.mu.Unlock()
	return w.engine(group).Bury(name, known, goneWithin)
}

// Release ends the guardian of an engine that has ended, or could not be started.
func (w *Ward) Release() { w.guard.release() }
