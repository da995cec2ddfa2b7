// Package running keeps the state of a running study in a small file of its folder: what it does now, the power of each
// device, how long it still takes. Whoever watches a study reads that file, in this process or another one; what
// finished runs measured is in the journal.
//
//	event ─ Observe ─▶ Recorder ─ at most twice a second ─▶ live-SYSTEM.PID.state ─ Read ─▶ State
//
// [Recorder.Observe] only takes note, because meters and engines wait for it. A goroutine of the recorder writes the
// file: whole, by a rename, and not synced, since nothing needs it after a crash. It is removed when the study ends. A
// process that was killed leaves it, and [State.Standing] finds out by the process id with its start time.
package running

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/kin"
	"github.com/llenergymeasure/llem/internal/pace"
)

// schemaVersion is the version of the file.
const schemaVersion = 1

// State is what a process does for a study. Every number of it is provisional: the record of a run has the results.
type State struct {
	// SchemaVersion is 1.
	SchemaVersion int `json:"schema_version"`
	// Process runs the study.
	Process Process `json:"process"`
	// Worker is its name if it is one of several that execute the study.
	Worker string `json:"worker,omitempty"`
	// Began is when the process began with the study, and Written when the state was written.
	Began   time.Time `json:"began"`
	Written time.Time `json:"written"`
	// Name is the name of the study.
	Name string `json:"name"`
	// Planned, Finished and Failed count the runs of the study; Finished includes failed ones and runs that were left
	// out.
	Planned  int `json:"planned"`
	Finished int `json:"finished"`
	Failed   int `json:"failed"`
	// LeftS estimates how long the study still takes, in seconds, from its finished runs; null without any.
	LeftS *float64 `json:"left_s"`
	// PlanS is a rough interval of the same by the plan, from Began on, in seconds; null if there is none.
	PlanS *[2]float64 `json:"plan_s,omitempty"`
	// Phase is what the process does, since when, and how much of it is done, from 0 to 1.
	Phase    event.Phase `json:"phase"`
	Since    time.Time   `json:"since"`
	Fraction float64     `json:"fraction"`
	// Detail describes the work of the phase in a few words.
	Detail string `json:"detail,omitempty"`
	// Run is the current run; null between two runs.
	Run *Run `json:"run"`
	// Devices are the metered devices that have been read, by id.
	Devices []Device `json:"devices"`
	// EveryS is the time between two values of Device.History, in seconds.
	EveryS float64 `json:"every_s"`
	// Warning is the newest warning of the study.
	Warning string `json:"warning,omitempty"`
}

// Process identifies the process that runs a study.
type Process struct {
	// Host is the name of the machine.
	Host string `json:"host"`
	// System identifies the boot and the PID namespace, as [kin.System] does; empty if unknown.
	System string `json:"system"`
	// PID is the process id, and Start when the process began, in clock ticks since the machine started.
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

// Run is the current run.
type Run struct {
	// Index is the position of the run in the study, from 1.
	Index int `json:"index"`
	// ID and Cycle identify the run, and Label is the name of its configuration.
	ID    string `json:"id"`
	Cycle int    `json:"cycle"`
	Label string `json:"label"`
	// Began is when it began.
	Began time.Time `json:"began"`
	// LeftS estimates how long it still takes, in seconds, from finished runs; null if unknown.
	LeftS *float64 `json:"left_s"`
	// Done and Requests count the requests of the window.
	Done     int `json:"requests_done"`
	Requests int `json:"requests"`
	// TokensPerS is the rate of output tokens in the window, from finished requests; null if none has finished.
	TokensPerS *float64 `json:"output_tokens_per_s"`
}

// Device is a metered device.
type Device struct {
	// ID names the device.
	ID string `json:"id"`
	// Origin is "modelled" or "simulated" if the power is not from a sensor.
	Origin string `json:"origin,omitempty"`
	// Watts is the newest power in W; null while the device is not read.
	Watts *float64 `json:"watts"`
	// WindowJ is the energy in J of the window so far, and TotalJ of all that was sampled since the process began. Both
	// add up the displayed power, a few values a second.
	WindowJ *float64 `json:"window_j"`
	TotalJ  float64  `json:"total_j"`
	// History is the power in W at regular times, the newest last; null where it was not read.
	History []*float64 `json:"history"`
}

// names matches the files of states. They are JSON, and not called so, because the checksums of a study cover its files
// with that ending.
var names = regexp.MustCompile(`^live-[0-9a-z]+\.[0-9]+\.state$`)

// file returns the name of a process's file.
func (p Process) file() string {
	system := p.System
	if system == "" {
		system = "unknown"
	}
	return fmt.Sprintf("live-%s.%d.state", system, p.PID)
}

// Limits of what is read: files of a study may be damaged, or not be llem's.
const (
	maxFile  = 1 << 20 // bytes
	maxFiles = 256
)

// Read reads the states in the folder of a study, in the order of their processes' beginnings. Damaged files are left
// out.
func Read(folder fs.FS) ([]State, error) {
	list, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, fmt.Errorf("read the folder of the study: %w", err)
	}
	var out []State
	for _, e := range list {
		if !e.Type().IsRegular() || !names.MatchString(e.Name()) || len(out) == maxFiles {
			continue
		}
		if s, err := readFile(folder, path.Base(e.Name())); err == nil {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b State) int { return a.Began.Compare(b.Began) })
	return out, nil
}

func readFile(folder fs.FS, name string) (s State, err error) {
	f, err := folder.Open(name)
	if err != nil {
		return s, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return s, err
	case len(text) > maxFile:
		return s, fmt.Errorf("%s is larger than any state", name)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("read %s: %w", name, err)
	}
	if s.SchemaVersion != schemaVersion {
		return s, fmt.Errorf("%s is of version %d", name, s.SchemaVersion)
	}
	return s, nil
}

// Work returns what each live worker of a study has in work, for [pace.Pace.Shared]. A worker of another machine counts
// as live: its file is there.
func Work(all []State) (crew []pace.Work) {
	for i := range all {
		s := &all[i]
		if is := s.Standing(); s.Worker == "" || is == Died || is == Paused {
			continue
		}
		w := pace.Work{}
		if s.Run != nil { // both times are of its own clock
			w.ID, w.Spent = s.Run.ID, s.Written.Sub(s.Run.Began)
		}
		crew = append(crew, w)
	}
	return crew
}

// Standing is whether a process still runs its study.
type Standing string

// Standings.
const (
	// Running: the process exists.
	Running Standing = "running"
	// Paused: the process exists and is stopped by a signal.
	Paused Standing = "paused"
	// Died: the process is gone, and has not finished the study.
	Died Standing = "died"
	// Elsewhere: the process is not of this machine or container, so that nothing is known of it.
	Elsewhere Standing = "elsewhere"
)

// Standing returns whether the process of a state still runs. A state's age does not matter: a rest, a download or a
// large model takes as long as it takes.
func (s *State) Standing() Standing { return s.Process.standing(kin.System()) }

func (p Process) standing(here string) Standing {
	if here == "" || p.System != here {
		return Elsewhere
	}
	switch now, ok := kin.Read(p.PID); {
	case !ok || now.Start != p.Start || now.Dead():
		return Died
	case strings.ContainsRune("Tt", rune(now.State)):
		return Paused
	}
	return Running
}
