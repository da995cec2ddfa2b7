package metering

import (
	"cmp"
	"context"
	"errors"
	"os"
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/sampling"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// Window is a window that is being measured.
type Window struct {
	meter     *Meter
	sampler   *power.Sampler
	processes *tenants.Processes
	cpu       *tenants.HostCPU
	spent     sampling.Spent
	anchor    clock.Anchor
	from      int64
	pid       int
}

// Begin starts sampling and returns at a change of the counters. One window is open at a time; the caller ends or
// drops it.
func (m *Meter) Begin(ctx context.Context) (*Window, error) {
	w := &Window{meter: m, sampler: m.desk.Sampler(), processes: &tenants.Processes{Clock: m.desk.Clock}}
	if m.options.PID > 0 {
		w.Runs(m.options.PID)
	}
	w.processes.Add(m.idle.Trace.Processes)
	w.processes.Poll(ctx, m.desk.Meters)
	if m.options.PID == 0 {
		w.processes.EngineStarts()
	}
	before, _ := m.desk.Margins()
	w.sampler.Start(ctx)
	if err := m.desk.Clock.Sleep(ctx, before); err != nil {
		w.Drop(ctx)
		return nil, err
	}
	w.anchor = m.desk.Clock.Anchor()
	sampling.Mark(ctx, w.sampler)
	w.follow()
	w.from = m.desk.Clock.Mono()
	return w, nil
}

// Runs sets the process that works in the window, which may become known after its beginning.
func (w *Window) Runs(pid int) {
	w.pid = pid
	w.processes.EngineLoaded(pid)
}

// follow reads the processor times at the beginning.
func (w *Window) follow() {
	w.cpu = tenants.FollowCPU(cmp.Or(w.pid, os.Getpid()))
	w.spent.From = sampling.ReadCPU(w.cpu)
}

// Drop ends sampling without a result.
func (w *Window) Drop(ctx context.Context) { sampling.Stopped(ctx, w.sampler) }

// Ended notes the end of a window.
func (w *Window) Ended() (at int64) {
	at = w.meter.desk.Clock.Mono()
	w.spent.To = sampling.ReadCPU(w.cpu)
	w.spent.Newcomers = w.cpu.Newcomers()
	return at
}

// End reads the counters at their next change, ends sampling, and stores the window with its marks and doubts. Marks
// that cannot be right are an error, and the window is then not stored.
func (w *Window) End(ctx context.Context, marks Marks, doubts ...note.Note) (*result.Record, error) {
	m := w.meter
	ctx = context.WithoutCancel(ctx) // what was measured is kept
	_, after := m.desk.Margins()
	sampling.Mark(ctx, w.sampler)
	now := m.desk.Clock.Mono()
	err := m.desk.Clock.Sleep(ctx, after)
	trace := sampling.Stopped(ctx, w.sampler)
	if err = errors.Join(err, marks.check(w.from, now)); err != nil {
		return nil, err
	}
	w.processes.Poll(ctx, m.desk.Meters)
	w.processes.Add(trace.Processes)
	if w.pid > 0 {
		w.processes.EngineLoaded(w.pid) // what came up to now may be it
	}
	rec := m.record()
	rec.Warnings = append(rec.Warnings, doubts...)
	rec.Harness = w.spent.Harness(trace.Cost, w.anchor)
	rec.Window = &result.Window{Start: w.anchor.Time(marks.StartNS), End: w.anchor.Time(marks.EndNS), Repeats: 1}
	rec.Timing.WindowS = float64(marks.EndNS-marks.StartNS) / 1e9
	rec.Timing.BaselineS = m.idle.Window.Duration().Seconds()
	material := w.material(marks, trace)
	rows := join.Compute(material, rec, nil)
	rec.Warnings = append(rec.Warnings, w.processes.Warnings(m.counted(rec), material.Window)...)
	rec.Status = result.OK
	m.remember(rec.Energy.Devices)
	return rec, m.store(rec, rows)
}

// material is the input of the computation.
func (w *Window) material(marks Marks, trace power.Trace) *join.Material {
	m := w.meter
	out := &join.Material{Steps: marks.steps(), Window: attribute.Window{Start: marks.StartNS, End: marks.EndNS},
		Missing: m.missing, Engine: join.Engine{Tier: backend.TierExact, Device: "cpu"}}
	uuids, names := m.gpus()
	if len(names) > 0 {
		out.Engine.Device, out.Engine.GPUs = strings.Join(names, ", "), uuids
	}
	for _, s := range out.Steps {
		out.Given += int64(s.PrefillTokens)
		out.Asked += int64(s.DecodeTokens)
	}
	known := m.aged()
	if known == nil {
		out.Bare, trace = m.idle.Window, join.Traces(m.idle.Trace, trace)
	}
	out.SetTrace(trace)
	out.SetDevices(m.desk.Devices(), known, m.profiles)
	m.desk.Tenants(out, w.processes)
	return out
}

// counted returns the counted GPUs whose processes can be listed.
func (m *Meter) counted(rec *result.Record) (ids []string) {
	listed := m.listed()
	for _, d := range rec.Energy.Devices {
		for _, id := range listed {
			if d.Counted && d.Device == id {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// store writes the run and the summary of all windows.
func (m *Meter) store(rec *result.Record, rows series.All) error {
	if m.dir == nil {
		return nil
	}
	run, err := m.dir.Begin(rec.ID, rec.Cycle)
	if err != nil {
		return err
	}
	if err := run.Commit(rec, rows); err != nil {
		return errors.Join(err, run.Abort())
	}
	m.windows++
	if m.plan.Execution.Cycles < m.windows {
		m.plan.Execution.Cycles = m.windows
		if err := m.dir.WriteStudy(&m.plan); err != nil {
			return err
		}
	}
	summary, err := store.Summarize(m.dir.Path(), &m.plan, m.desk.Clock.Time())
	if err != nil {
		return err
	}
	return m.dir.WriteSummary(summary)
}
