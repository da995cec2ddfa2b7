// Package metering measures the energy of things that llem does not run as an engine: a command, a process, or the
// marked part of a program.
//
//	sensors ─▶ Open ─▶ Idle ─▶ Begin ─▶ End ─▶ the folder of a study, one run for each window
//	                             ▲         ▲
//	                   command, process, or marks from a socket
//
// A window is measured as the window of a study: sampling around it, counters read at their changes, the idle power
// before it, and the same computation (package join) from the same files. Its run has no requests, so it has no
// latencies; with marked steps it has phases and energy per token.
package metering

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/gpulock"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/sampling"
	"github.com/llenergymeasure/llem/internal/secret"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Options are the options of a measurement.
type Options struct {
	// Name is what the results call the thing that is measured.
	Name string
	// Argv is the command; empty for a process or marks.
	Argv []string
	// PID is a process that runs already and whose work is measured, or whose marks; 0 for a command.
	PID int
	// Sensors chooses what is read.
	Sensors machine.Sensors
	// AllowShared reports the energy of a GPU that others used, too, instead of refusing it.
	AllowShared bool
	// BaselineS is how long the idle machine is measured before the first window, in seconds; 0 means not at all.
	BaselineS float64
	// Results is the folder in which the measurement gets a folder.
	Results string
	// Tell, if set, receives what happens, in a line.
	Tell func(string)
}

// Meter measures windows, one after another, and keeps them in a folder.
type Meter struct {
	options  Options
	desk     sampling.Desk
	missing  []power.Unavailable
	profiles map[string]*power.Profile
	plan     study.Study
	dir      *store.Dir
	close    []func()
	idle     idle
	windows  int
}

// idle is the idle machine.
type idle struct {
	sampling.Stretch
	// known has the idle powers by device for windows after the first; nil before.
	known map[string]result.Idle
	at    time.Time
}

// NoSensorError is a machine without a sensor that could be read.
type NoSensorError struct{ Missing []power.Unavailable }

// Error names what cannot be read, and why.
func (e *NoSensorError) Error() string {
	parts := []string{"no power sensor can be read, so there is nothing to measure with"}
	for _, u := range e.Missing {
		parts = append(parts, fmt.Sprintf("%s: %s", u.Source, u.Message))
	}
	return strings.Join(parts, "; ")
}

// NextStep returns how a sensor can be read.
func (e *NoSensorError) NextStep() string {
	var steps []string
	for _, u := range e.Missing {
		if u.Next != "" && !slices.Contains(steps, u.Next) {
			steps = append(steps, u.Next)
		}
	}
	steps = append(steps, "llem doctor shows the sensors")
	if !strings.Contains(strings.Join(steps, " "), "--estimate") {
		steps = append(steps, "--estimate models the CPU's power instead")
	}
	return strings.Join(steps, "; ")
}

// Open opens the sensors and locks the GPUs. The caller closes the meter.
func Open(ctx context.Context, o Options) (*Meter, error) {
	found, err := o.Sensors.Open(ctx)
	if err != nil {
		return nil, err
	}
	m := New(o, found.Meters, tick.Clock{})
	m.missing = found.Missing
	m.close = append(m.close, found.Close)
	if len(m.desk.Devices()) == 0 {
		m.Close()
		return nil, &NoSensorError{found.Missing}
	}
	release, err := gpulock.Lock(gpulock.Dir(), found.Meters, gpulock.Holder{Shares: o.AllowShared})
	if err != nil {
		m.Close()
		return nil, err
	}
	m.close = append(m.close, release)
	if err := m.begin(ctx); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// New returns a meter that reads the given sensors.
func New(o Options, meters []power.Meter, clock tick.Clock) *Meter {
	m := &Meter{options: o, desk: sampling.Desk{Meters: meters, Clock: clock}}
	m.plan = study.Study{Name: "meter", Execution: study.Execution{Cycles: 1, Order: terms.Sequential},
		Experiments: []study.Experiment{o.experiment()}}
	return m
}

// begin makes the folder, with the description of the machine and the self-test of its sensors.
func (m *Meter) begin(ctx context.Context) error {
	cache, err := model.DefaultCacheDir()
	if err != nil {
		return err
	}
	snapshot, err := machine.Snapshot(ctx, m.desk.Meters, engine.Descriptors{})
	if err != nil {
		return err
	}
	var selfTest any
	m.profiles, selfTest = machine.Profiles(m.desk.Meters, cache)
	if m.dir, err = store.Create(m.options.Results, "meter", m.desk.Clock.Time()); err != nil {
		return err
	}
	m.close = append(m.close, func() { m.dir.Close() })
	err = errors.Join(m.dir.WriteJSON(nodes.EnvFile, snapshot), m.dir.WriteStudy(&m.plan))
	if err == nil && selfTest != nil {
		err = m.dir.WriteJSON(store.DoctorFile, selfTest)
	}
	return err
}

// Close releases the sensors and the folder, which is removed if no window was stored in it.
func (m *Meter) Close() {
	if m.dir != nil && m.windows == 0 {
		_ = os.RemoveAll(m.dir.Path())
	}
	for _, f := range slices.Backward(m.close) {
		f()
	}
	m.close = nil
}

// Dir is the folder of the results.
func (m *Meter) Dir() string { return m.dir.Path() }

// Run is the folder of the newest window.
func (m *Meter) Run() string {
	return filepath.Join(m.dir.Path(), filepath.FromSlash(result.RunPath(m.plan.Experiments[0].ID(), m.windows)))
}

// section is what is measured, in the section of the experiment.
type section struct {
	Argv []string `json:"argv,omitempty"`
	PID  int      `json:"pid,omitempty"`
}

// experiment describes the measurement as a study would.
func (o Options) experiment() study.Experiment {
	argv := make([]string, len(o.Argv))
	for i, a := range o.Argv {
		argv[i] = secret.Text(a)
	}
	text, err := json.Marshal(section{Argv: argv, PID: o.PID})
	if err != nil {
		panic(fmt.Sprintf("encode a command: %v", err)) // strings marshal
	}
	return study.Experiment{Model: secret.Text(o.Name), Backend: terms.Command, DType: terms.DTypeAuto,
		Baseline: study.Baseline{Seconds: o.BaselineS},
		Energy:   study.Energy{Sources: "auto", AllowShared: o.AllowShared, PUE: 1}, Section: engine.JSON(text)}
}

// Idle measures the idle machine. Without it, there is no net energy.
func (m *Meter) Idle(ctx context.Context) error {
	seconds := m.options.BaselineS
	if seconds == 0 {
		return nil
	}
	m.tell(fmt.Sprintf("measuring the idle power for %g s (--baseline 0 leaves it out)", seconds))
	var err error
	m.idle.Stretch, err = m.desk.Rest(ctx, func(ctx context.Context) error {
		return m.desk.Clock.Sleep(ctx, digits.Duration(seconds))
	}, func() { m.tell(fmt.Sprintf("the idle power is still falling, another %g s", seconds)) })
	m.idle.at = m.desk.Clock.Time()
	return err
}

func (m *Meter) tell(text string) {
	if m.options.Tell != nil {
		m.options.Tell(text)
	}
}

// remember keeps the idle power for the windows after the first.
func (m *Meter) remember(devices []result.Device) {
	if m.options.BaselineS == 0 || m.idle.known != nil {
		return
	}
	m.idle.known = map[string]result.Idle{}
	for _, d := range devices {
		if d.Bare != nil {
			m.idle.known[d.Device] = *d.Bare
		}
	}
}

// aged returns the remembered idle powers with their age; nil for the first window.
func (m *Meter) aged() map[string]result.Idle {
	if m.idle.known == nil {
		return nil
	}
	out := map[string]result.Idle{}
	for id, i := range m.idle.known {
		i.AgeS = max(m.desk.Clock.Time().Sub(m.idle.at).Seconds(), 1e-3)
		out[id] = i
	}
	return out
}

// record returns the record of a window before it is measured.
func (m *Meter) record() *result.Record {
	e := m.plan.Experiments[0]
	return &result.Record{SchemaVersion: result.SchemaVersion, Program: host.CurrentBuild().Name(), ID: e.ID(),
		Cycle: m.windows + 1, Config: e, Backend: result.Backend{Name: terms.Command, Runner: terms.RunProcess},
		Energy:   result.Energy{Provenance: result.None, Sources: []string{}, Devices: []result.Device{}},
		Memory:   result.Memory{Reason: "the memory of a metered command is not measured"},
		Warnings: m.doubts(), Files: map[string]string{}}
}

// doubts are the doubts of the meters.
func (m *Meter) doubts() note.List {
	out := note.List{}
	for _, meter := range m.desk.Meters {
		if w, ok := meter.(power.Warner); ok {
			out = append(out, w.Warnings()...)
		}
		for _, d := range meter.Devices() {
			if d.Kind == power.GPU && d.Modelled {
				out.Warn(codes.Simulated, "simulated: the GPU does not exist")
			}
		}
	}
	return out
}

// gpus returns the GPUs of this machine that are read.
func (m *Meter) gpus() (uuids []string, names []string) {
	for _, d := range m.desk.Devices() {
		if d.Kind != power.GPU || d.OverNetwork {
			continue
		}
		if d.UUID != "" {
			uuids = append(uuids, d.UUID)
		}
		if !slices.Contains(names, d.Name) {
			names = append(names, d.Name)
		}
	}
	return uuids, names
}

// listed returns the GPUs whose processes the driver lists.
func (m *Meter) listed() (ids []string) {
	for _, d := range m.desk.Devices() {
		if d.Kind == power.GPU && !d.OverNetwork && tenants.Listed(m.desk.Meters, d.ID) {
			ids = append(ids, d.ID)
		}
	}
	return ids
}
