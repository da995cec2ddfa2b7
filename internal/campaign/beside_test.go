package campaign

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/gpulock"
	"github.com/llenergymeasure/llem/internal/powerfake"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
)

// board is a fake that passes for a sensor of a device of its own.
type board struct {
	*powerfake.Fake
	uuid string
	kind power.Kind
}

func (r board) Devices() []power.Device {
	all := r.Fake.Devices()[:1]
	all[0].Modelled, all[0].UUID, all[0].Kind = false, r.uuid, r.kind
	return all
}

// beside starts a second worker while the first one measures, each with a meter of its own, and returns the notes and
// the error of the second one.
func beside(t *testing.T, shared bool, first, second board) (m *team, notes note.List, err error) {
	t.Helper()
	s := newStudy(t, 2, threeCycles)
	for i := range s.Experiments {
		s.Experiments[i].Energy.AllowShared, s.Experiments[i].Energy.Sources = shared, "auto"
	}
	m = newTeam(t, s)
	worker := func(name string, b board) Options {
		return m.worker(name, func(o *Options, e *stub) {
			b.Fake = powerfake.NewFake(powerfake.FakeOptions{Now: m.clock.Mono})
			o.Meters = []power.Meter{b}
			e.inRun = func(context.Context) { time.Sleep(time.Second) }
		})
	}
	a, b := worker("a", first), worker("b", second)
	joined := make(chan bool)
	var once sync.Once
	a.Emit = func(e event.Event) {
		if _, ok := e.(event.RunStarted); ok {
			once.Do(func() { close(joined) })
		}
	}
	b.Emit = func(e event.Event) {
		if n, ok := e.(event.Note); ok {
			notes = append(notes, note.Note(n))
		}
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		if _, err := Run(t.Context(), a); err != nil {
			t.Error(err)
		}
	})
	<-joined
	_, err = Run(t.Context(), b)
	wait.Wait()
	return m, notes, err
}

// TestWorkersOfOneGPU: a worker whose GPU another one of the study measures is refused before its first run, with the
// name of the other one and what to do; if the study allows sharing, it joins and its runs are marked. Workers with
// GPUs of their own are not disturbed.
func TestWorkersOfOneGPU(t *testing.T) {
	gpu := func(uuid string) board { return board{uuid: uuid, kind: power.GPU} }
	bubble(t, func(t *testing.T) {
		m, _, err := beside(t, false, gpu("GPU-1"), gpu("GPU-1"))
		var busy *gpulock.BusyError
		if !errors.As(err, &busy) || !strings.Contains(err.Error(), "the worker a of this study") ||
			!strings.Contains(busy.NextStep(), "CUDA_VISIBLE_DEVICES=") {
			t.Errorf("%v", err)
		}
		for _, r := range m.complete(6).Rows {
			if r.Worker != "a" {
				t.Errorf("a run of %s", r.Worker)
			}
		}
	})
	bubble(t, func(t *testing.T) {
		m, notes, err := beside(t, true, gpu("GPU-1"), gpu("GPU-1"))
		if n, ok := notes.Find(codes.GPUSharedAllowed); err != nil || !ok || !strings.Contains(n.Message, "worker a ") {
			t.Errorf("%v, %v", err, notes)
		}
		marked := 0
		for _, r := range m.complete(6).Rows {
			if is := slices.Contains(r.Warnings, codes.GPUSharedAllowed); is != (r.Worker == "b") {
				t.Errorf("a run of %s has %v", r.Worker, r.Warnings)
			} else if is {
				marked++
			}
		}
		if marked == 0 {
			t.Error("no run is marked")
		}
	})
	bubble(t, func(t *testing.T) {
		m, notes, err := beside(t, false, gpu("GPU-1"), gpu("GPU-2"))
		if _, told := notes.Find(codes.HostShared); err != nil || told {
			t.Errorf("%v, %v", err, notes)
		}
		m.complete(6)
	})
}

// TestWorkersOfOneMachine: before its first run, a worker is told who else counts the energy of the same processors.
func TestWorkersOfOneMachine(t *testing.T) {
	cpu := board{kind: power.CPU}
	bubble(t, func(t *testing.T) {
		m, notes, err := beside(t, false, cpu, cpu)
		if n, ok := notes.Find(codes.HostShared); err != nil || !ok || !strings.Contains(n.Message, "worker a;") {
			t.Errorf("%v, %v", err, notes)
		}
		m.complete(6)
	})
}
