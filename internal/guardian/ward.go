package guardian

import (
	"maps"
	"sync"

	"github.com/llenergymeasure/llem/internal/kin"
)

// Ward is the program's handle on a guarded engine. Notice may be called concurrently.
type Ward struct {
	charge charge
	guard  *guard
	mu     sync.Mutex // guards known
	// known are the engine's processes found so far: some cannot be identified later.
	known kin.Family
}

// Process guards an engine that is about to be started. Its processes must have the ward's mark. The temporary
// files of a killed program are removed.
func Process(temporary ...string) *Ward {
	return post(charge{Engine: kin.Engine{Mark: kin.NewMark()}, Remove: temporary})
}

// Contained guards an engine in a container. Its processes are not started by the client and have no mark.
func Contained(client, name string, temporary ...string) *Ward {
	return post(charge{Container: &container{client, name}, Remove: temporary})
}

func post(c charge) *Ward {
	c.Engine.Since = kin.Now()
	w := &Ward{charge: c, guard: newGuard(), known: kin.Family{}}
	w.guard.watch(w.charge)
	return w
}

// Mark returns the variable that the engine's environment must have, as NAME=VALUE.
func (w *Ward) Mark() string { return w.charge.Engine.Mark }

// Started records the process that was started, the leader of its own group: the engine, or the client of its
// container.
func (w *Ward) Started(pid int) {
	w.charge.Engine.Group = pid
	w.guard.watch(w.charge)
}

// engine returns the engine with its process group; 0 if the group is unknown. In a container it is not the
// client's group.
func (w *Ward) engine(group int) kin.Engine {
	e := w.charge.Engine
	e.Group = group
	return e
}

// Notice finds the engine's processes, remembers them and returns all found so far.
func (w *Ward) Notice(group int) kin.Family {
	found := w.engine(group).Find()
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.Copy(w.known, found)
	return maps.Clone(w.known)
}

// End ends what is left of a stopped engine, and releases the guardian. Group is the engine's group before it was
// stopped; 0 if it had exited by then.
func (w *Ward) End(name string, group int) error {
	defer w.Release()
	w.mu.Lock()
	known := maps.Clone(w.known)
	w.mu.Unlock()
	return w.engine(group).End(name, known, goneWithin)
}

// Release ends the guardian of an engine that has ended or could not be started.
func (w *Ward) Release() { w.guard.release() }
