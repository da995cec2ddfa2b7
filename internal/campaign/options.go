package campaign

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/claim"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/measure"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/study"
)

// Options are the inputs of a campaign.
type Options struct {
	Study    *study.Study
	Backends map[string]backend.Backend
	Meters   []power.Meter
	Missing  []power.Unavailable
	Store    model.Store
	// Results is the folder in which the study's folder is created.
	Results string
	// Baselines stores idle power from run to run.
	Baselines *measure.Baselines
	// Profiles are the self-test's profiles of the sensors, by device.
	Profiles map[string]*power.Profile
	// SelfTest, if set, is written to the results as doctor.json: the report of a self-test, or why there is
	// none.
	SelfTest any
	// Client is how exact the client of server engines is, for the records of their runs; nil if it is unknown.
	Client *load.Client
	// Snapshot describes the machine; facts from engines are added.
	Snapshot *host.Snapshot
	// Timeout bounds one run; 0 bounds its phases by their expected durations.
	Timeout time.Duration
	// Expected returns about the maximum duration of a run, 0 if unknown.
	Expected func(study.Experiment) time.Duration
	// Absent returns why an experiment cannot run because its engine is not installed here, else nil: its runs are
	// recorded as failed before the first run starts, and workers leave them to others. It may be nil.
	Absent func(study.Experiment) *note.Failure
	// Planned is a rough interval of the duration of all runs; zero if unknown.
	Planned [2]time.Duration
	// FailFast ends the study at the first run that fails.
	FailFast bool
	// Estimate is recorded in a new folder: a resumed study models the power of the CPU again.
	Estimate bool
	// Resume is the folder of an earlier study to continue; finished runs are skipped. RetryFailed repeats
	// failed runs.
	Resume      string
	RetryFailed bool
	// Worker is set if other processes execute runs of the study in the same folder; Resume and Results are ignored.
	Worker *Worker
	// Shard is the part of the study to execute; the zero value is the whole study. In a folder that is resumed, the
	// zero value is the shard of the folder, and any other shard is a [*ResumeError].
	Shard shard.Shard
	// Node names the machine; empty means [claim.Machine]. Only a hash is kept.
	Node string
	// NoGaps skips the pauses between runs.
	NoGaps bool
	Emit   func(event.Event)
	// Clock is the time of the study, its meters and its engines.
	Clock tick.Clock
}

// node identifies the machine without naming it.
func (o *Options) node() string {
	if o.Node == "" {
		return claim.Machine()
	}
	sum := sha256.Sum256([]byte(o.Node))
	return hex.EncodeToString(sum[:8])
}

func (o *Options) emit(e event.Event) {
	if o.Emit != nil {
		o.Emit(e)
	}
}
