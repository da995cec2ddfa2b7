package campaign

import (
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/measure"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/study"
)

// Options is what a campaign needs.
type Options struct {
	Study    *study.Study
	Backends map[string]backend.Backend
	Meters   []power.Meter
	Missing  []power.Unavailable
	Store    model.Store
	// Results is the folder below which the study's folder is made.
	Results string
	// Baselines remembers idle power from run to run.
	Baselines *measure.Baselines
	// Profiles are what a self-test found about the sensors, by device.
	Profiles map[string]*power.Profile
	// SelfTest, if set, is written beside the results as doctor.json: what a self-test
	// found, or why there is none.
	SelfTest any
	// Snapshot describes the machine; it is completed with what engines report.
	Snapshot *host.Snapshot
	// Timeout bounds one run; 0 bounds its phases by what they are expected to take.
	Timeout time.Duration
	// Expected is about how long a run takes at most, 0 where that is not known.
	Expected func(study.Experiment) time.Duration
	// FailFast ends the study with the first run that fails.
	FailFast bool
	// Resume is the folder of an earlier study to continue; finished runs are skipped.
	// RetryFailed repeats the ones that failed.
	Resume      string
	RetryFailed bool
	// NoGaps leaves the pauses between runs out.
	NoGaps bool
	Emit   func(event.Event)
	// Clock is the time of the study, of its meters and of its engines.
	Clock tick.Clock
}

func (o *Options) emit(e event.Event) {
	if o.Emit != nil {
		o.Emit(e)
	}
}
