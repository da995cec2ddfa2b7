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
	"github.com/llenergymeasure/llem/internal/clientaudit"
	"github.com/llenergymeasure/llem/internal/doctor"
	"github.com/llenergymeasure/llem/internal/gpulock"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/self"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/note"
)

// DoctorOptions are the options of a sensor self-test.
type DoctorOptions struct {
	// Quick skips the tests that need a load.
	Quick bool
	// Load is what keeps the devices busy: "auto" or "" takes any available load, the name of an engine
	// (pytorch) runs matrix products on the GPUs, "cpu" runs arithmetic on the processor, "none" runs
	// nothing.
	Load string
	// Python is the interpreter for the load; if empty, one is looked for.
	Python string
	// Say receives a line at the start of every test.
	Say func(string)
}

// Level is the severity of a [Finding].
type Level string

// Levels of findings.
const (
	// Good marks a finding without problem.
	Good Level = "ok"
	// Warn marks a finding that makes results doubtful.
	Warn Level = "warn"
	// Fail marks a finding that makes measurements impossible.
	Fail Level = "fail"
)

// Finding is one statement about this machine.
type Finding struct {
	// Level is the severity.
	Level Level
	// Device is the metered device; empty means all.
	Device string
	note.Note
}

// SelfTest is the result of [Doctor]. Its JSON is the document that `llem doctor --json` prints.
type SelfTest struct {
	// Verdict summarises what the sensors are fit for.
	Verdict []Finding
	report  *doctor.Report
}

// Text prints the self-test for a person.
func (t *SelfTest) Text(w io.Writer) { t.report.Text(w) }

// MarshalJSON returns the whole report.
func (t *SelfTest) MarshalJSON() ([]byte, error) { return document(t.report) }

// document returns the indented JSON of v, without HTML escapes.
func document(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// Unfit reports whether energy cannot be measured on this machine.
func (t *SelfTest) Unfit() bool { return t.report.Unfit() }

// Doctor tests the power sensors of this machine. The profiles of GPUs are stored in the cache folder and
// used by later measurements.
func Doctor(ctx context.Context, o DoctorOptions) (*SelfTest, error) {
	if err := self.Check(); err != nil {
		return nil, err
	}
	o.Load = cmp.Or(o.Load, machine.LoadAuto)
	if loads := machine.Loads(); !slices.Contains(loads, o.Load) {
		return nil, fmt.Errorf("unknown load %q for the self-test: use one of %s", o.Load,
			strings.Join(loads, ", "))
	}
	engines := machine.Loaders(o.Python)
	cache, err := model.DefaultCacheDir()
	if err != nil {
		return nil, err
	}
	meters, missing := machine.Meters(ctx, false)
	defer machine.Close(meters)
	// A load would add to the energy of a concurrent measurement, and a measurement would disturb the
	// findings.
	release, err := gpulock.Lock(gpulock.Dir(), meters, gpulock.Holder{})
	if err != nil {
		return nil, err
	}
	defer release()
	facts := machine.Facts(meters)
	t := doctor.Options{Meters: meters, Missing: missing, Facts: facts, Quick: o.Quick, Say: o.Say, Now: clock.Mono,
		Sleep: clock.Sleep, Client: func(ctx context.Context) (*load.Client, error) {
			return clientaudit.Run(ctx, clientaudit.Options{})
		}}
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

// noLoad returns the reason why there is no load.
func noLoad(asked string, sensors bool) string {
	switch {
	case asked == machine.LoadNone:
		return "--load none"
	case asked == machine.LoadCPU && sensors:
		return "--load cpu: no CPU sensor was found"
	case asked != machine.LoadAuto && sensors:
		return "--load " + asked + ": no NVIDIA GPU with a power sensor was found"
	}
	return "no sensor's device can be kept busy"
}
