package llem

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/doctor"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/self"
	"github.com/llenergymeasure/llem/note"
)

// DoctorOptions of a sensor self-test.
type DoctorOptions struct {
	// Quick leaves out what needs a load.
	Quick bool
	// Load is what keeps the sensors' devices busy: auto (also the empty string) takes
	// whatever there is, the name of an engine that can (pytorch) matrix products on the
	// GPUs, cpu arithmetic on the processor, none nothing.
	Load string
	// Python is the interpreter for the load; empty looks for one.
	Python string
	// Say receives a line at the beginning of every test.
	Say func(string)
}

// Level is how bad a [Finding] is.
type Level string

// Levels of findings.
const (
	// Good is what is as it should be.
	Good Level = "ok"
	// Warn is what makes results doubtful.
	Warn Level = "warn"
	// Fail is what makes measuring impossible.
	Fail Level = "fail"
)

// Finding is one sentence about this machine.
type Finding struct {
	// Level is how bad it is.
	Level Level
	// Device is the metered device that it is about; empty is all.
	Device string
	note.Note
}

// SelfTest is what [Doctor] found. As JSON it is the document that `llem doctor --json`
// prints.
type SelfTest struct {
	// Verdict is what the sensors are good for.
	Verdict []Finding
	report  *doctor.Report
}

// Text prints the self-test for a person.
func (t *SelfTest) Text(w io.Writer) { t.report.Text(w) }

// MarshalJSON returns the whole report.
func (t *SelfTest) MarshalJSON() ([]byte, error) { return document(t.report) }

// document is the JSON of a document as it is, without escapes for HTML.
func document(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// Unfit reports whether energy cannot be measured on this machine.
func (t *SelfTest) Unfit() bool { return t.report.Unfit() }

// Doctor tests the power sensors of this machine. What it learns of a GPU is kept in
// the cache folder for later measurements.
func Doctor(ctx context.Context, o DoctorOptions) (*SelfTest, error) {
	if err := self.Check(); err != nil {
		return nil, err
	}
	o.Load = cmp.Or(o.Load, machine.LoadAuto)
	if loads := machine.Loads(); !slices.Contains(loads, o.Load) {
		return nil, fmt.Errorf("the load %q of a self-test is unknown: use one of %s", o.Load,
			strings.Join(loads, ", "))
	}
	engines := machine.Loaders(o.Python)
	cache, err := model.DefaultCacheDir()
	if err != nil {
		return nil, err
	}
	meters, missing := machine.Meters(ctx, false)
	defer machine.Close(meters)
	// A load would be in the energy of whoever measures, and theirs in every finding.
	release, err := campaign.LockGPUs(campaign.LockDir(), meters)
	if err != nil {
		return nil, err
	}
	defer release()
	facts := machine.Facts(meters)
	t := doctor.Options{Meters: meters, Missing: missing, Facts: facts, Quick: o.Quick, Say: o.Say, Now: clock.Mono,
		Sleep: clock.Sleep}
	gpu, cpu := machine.OnGPU(meters), machine.OnCPU(meters)
	i := slices.IndexFunc(engines, func(e machine.Loader) bool {
		return o.Load == machine.LoadAuto || o.Load == e.Name()
	})
	if gpu && i >= 0 {
		t.Loads = append(t.Loads, func(ctx context.Context) (doctor.Load, error) {
			return engines[i].StartLoad(ctx, "cuda")
		})
	}
	if cpu && (o.Load == machine.LoadAuto || o.Load == machine.LoadCPU) {
		t.Loads = append(t.Loads, func(context.Context) (doctor.Load, error) {
			// One core stays free for the sampler.
			return doctor.Spin{Cores: max(1, runtime.NumCPU()-1), Now: clock.Mono, Sleep: clock.Sleep}, nil
		})
	}
	if len(t.Loads) == 0 {
		t.NoLoad = noLoad(o.Load, gpu || cpu)
	}
	r, err := doctor.Run(ctx, t)
	if err != nil {
		return nil, err
	}
	out := &SelfTest{report: r}
	for _, f := range r.Verdict {
		out.Verdict = append(out.Verdict, Finding{Level: Level(f.Level), Device: f.Device, Note: f.Note})
	}
	keys := machine.Keys(meters, facts)
	return out, r.Save(cache, func(device string) string { return keys[device] })
}

// noLoad reports why there is no load.
func noLoad(asked string, sensors bool) string {
	switch {
	case asked == machine.LoadNone:
		return "--load none"
	case asked == machine.LoadCPU && sensors:
		return "--load cpu: there is no sensor of a processor"
	case asked != machine.LoadAuto && sensors:
		return "--load " + asked + ": there is no NVIDIA GPU with a sensor"
	}
	return "there is no sensor whose device could be kept busy"
}
