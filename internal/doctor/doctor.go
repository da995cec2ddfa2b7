// Package doctor tests the power sensors of a machine: which of them respond, how often and how late, whether
// they agree, what they average over, and thus which windows and phases a measurement can resolve.
//
//	calls → ring → refresh → idle agreement →
//	[ steady load → pulses → other readings → swept pulses → polling rate ] →
//	client of server engines → verdict
//
// The tests in brackets need a load whose edges are known; without one they are skipped with the reason. The
// result is a [Report], whose profiles later measurements use.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
)

// Load keeps a device busy in pulses with known edges.
type Load interface {
	// Name describes the load and its device.
	Name() string
	// Devices are the UUIDs of the GPUs under load; empty for a processor.
	Devices() []string
	// Pulse runs a pattern and returns the edges of its pulses.
	Pulse(ctx context.Context, pattern []backend.Pulse) ([]backend.Edge, error)
	Close() error
}

// Options are the options of a self-test.
type Options struct {
	Meters  []power.Meter
	Missing []power.Unavailable
	// Facts describe GPUs by device.
	Facts map[string]sensor.GPUFacts
	// Loads start the loads, one after the other. NoLoad is why there is none.
	Loads  []func(ctx context.Context) (Load, error)
	NoLoad string
	// Client measures how exact the client of server engines is; nil skips it.
	Client func(context.Context) (*load.Client, error)
	// Quick skips the tests that need a load.
	Quick bool
	// Say receives a line at the start of every test.
	Say func(string)
	// Now returns CLOCK_MONOTONIC in nanoseconds; Sleep waits.
	Now   func() int64
	Sleep func(context.Context, time.Duration) error
}

// Report is the outcome of a self-test.
type Report struct {
	SchemaVersion int                 `json:"schema_version"`
	When          time.Time           `json:"when"`
	Loads         []string            `json:"loads"`
	Devices       []*Device           `json:"devices"`
	Missing       []power.Unavailable `json:"missing"`
	// Client is how exact the client of server engines is; nil if that was not tested.
	Client *load.Client `json:"client,omitempty"`
	// Skipped lists tests that were skipped, with the reason.
	Skipped []Skipped `json:"skipped"`
	Verdict []Finding `json:"verdict"`
}

// Skipped is a skipped test.
type Skipped struct {
	// Test is its name.
	Test string `json:"test"`
	note.Note
}

// UnmarshalJSON also accepts the keys of earlier versions: reason for message and fix for next.
func (s *Skipped) UnmarshalJSON(text []byte) error {
	type plain Skipped
	if err := json.Unmarshal(text, (*plain)(s)); err != nil {
		return err
	}
	return s.ReadEarlier(text)
}

// Level is the severity of a finding.
type Level string

// Levels of findings.
const (
	Good Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Finding is one statement of the verdict.
type Finding struct {
	Level Level `json:"level"`
	// Device is empty if the finding concerns the machine.
	Device string `json:"device,omitempty"`
	note.Note
}

// UnmarshalJSON also accepts the keys of earlier versions: text for message and fix for next.
func (f *Finding) UnmarshalJSON(text []byte) error {
	type plain Finding
	if err := json.Unmarshal(text, (*plain)(f)); err != nil {
		return err
	}
	return f.ReadEarlier(text)
}

// Device is one metered device.
type Device struct {
	Device string `json:"device"`
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	UUID   string `json:"uuid,omitempty"`
	// When is the time of this device's test in merged reports.
	When     *time.Time `json:"when,omitempty"`
	Modelled bool       `json:"modelled,omitempty"`
	Calls    []CallCost `json:"calls"`
	Refresh  []Refresh  `json:"refresh"`
	// Ring is the driver's ring of samples; null if there is none.
	Ring *Ring `json:"ring"`
	// Clock is how well the ring's stamps map to CLOCK_MONOTONIC.
	Clock  *power.ClockInfo `json:"clock"`
	Idle   *Agreement       `json:"idle"`
	Steady *Agreement       `json:"steady"`
	// Sensor is how the series responds to a load, Others how the other ways to read do, including the
	// counter's differences.
	Sensor *SensorKernel  `json:"sensor"`
	Others []SensorKernel `json:"others"`
	// Duty is how much the counter's response to pulses of a quarter of its period depends on their phase.
	Duty *Duty `json:"duty"`
	// Polling compares a counter that is read once, 20 and 100 times a second.
	Polling     *Polling `json:"polling"`
	Neighbours  []int    `json:"neighbours"`
	Throttled   int64    `json:"throttled"` // NVML's clocks event reasons
	ECC         *bool    `json:"ecc"`
	Persistence *bool    `json:"persistence"`
	PowerLimitW *float64 `json:"power_limit_w"`
	DefaultW    *float64 `json:"power_limit_default_w"`
	// For1PctS and For5PctS are the window lengths for a total within ±1 and ±5 % (95 %), in seconds.
	For1PctS *float64 `json:"for_1_pct_s"`
	For5PctS *float64 `json:"for_5_pct_s"`
	// PhaseMS is the shortest phase that a few dozen repetitions resolve, in milliseconds.
	PhaseMS *float64 `json:"shortest_phase_ms"`

	index  int    // in the order of nvidia-smi
	series string // the source of the series
	edgeS  float64
}

// CallCost is the cost of one way to read.
type CallCost struct {
	Call     string  `json:"call"`
	Source   string  `json:"source"`
	MedianUS float64 `json:"median_us"`
	P95US    float64 `json:"p95_us"`
	MaxUS    float64 `json:"max_us"`
	Error    string  `json:"error,omitempty"`
}

// Refresh is how often a value changes.
type Refresh struct {
	Source   string  `json:"source"`
	Changes  int     `json:"changes"`
	MedianMS float64 `json:"median_ms"`
	P10MS    float64 `json:"p10_ms"`
	P90MS    float64 `json:"p90_ms"`
	// PeriodMS is the mean, much finer than the distance of two polls.
	PeriodMS  float64 `json:"period_ms"`
	Histogram []Bin   `json:"histogram"`
}

// Bin counts distances of two changes from FromMS to, but not including, ToMS.
type Bin struct {
	FromMS float64 `json:"from_ms"`
	ToMS   float64 `json:"to_ms"`
	Count  int     `json:"count"`
}

// Ring is the driver's ring of timestamped samples.
type Ring struct {
	Entries   int     `json:"entries"`
	SpacingMS float64 `json:"spacing_ms"` // median
	DepthS    float64 `json:"depth_s"`    // from the oldest to the newest entry
	// AgeMS is the age of the newest entry when the ring is read: median and maximum.
	AgeMS    float64 `json:"age_ms"`
	AgeMaxMS float64 `json:"age_max_ms"`
}

// Agreement compares counter and series over one interval.
type Agreement struct {
	Seconds       float64  `json:"seconds"`
	Series        string   `json:"series"`
	SeriesW       float64  `json:"series_w"`
	CounterW      *float64 `json:"counter_w"`
	DifferencePct *float64 `json:"difference_pct"`
	Reason        string   `json:"reason,omitempty"`
}

// SensorKernel is how the series responds to the load.
type SensorKernel struct {
	Source string `json:"source"`
	// Energy reports whether a value is the mean between two updates of a counter.
	Energy     bool    `json:"energy,omitempty"`
	WindowMS   float64 `json:"window_ms"`
	WindowSDMS float64 `json:"window_sd_ms"`
	FilterMS   float64 `json:"filter_ms"`
	FilterSDMS float64 `json:"filter_sd_ms"`
	LagMS      float64 `json:"lag_ms"`
	LagSDMS    float64 `json:"lag_sd_ms"`
	LowW       float64 `json:"low_w"`
	HighW      float64 `json:"high_w"`
	ResidualW  float64 `json:"residual_w"` // standard deviation of the residuals
	Pulses     int     `json:"pulses"`
}

// Duty is the result of the swept pulses.
type Duty struct {
	Phases   int     `json:"phases"`
	SwingPct float64 `json:"swing_pct"` // half of the range
	// ControlPct is the swing that the same number of trains out of phase would show by chance: the variation
	// of the load itself.
	ControlPct float64 `json:"control_pct"`
	DoubtPct   float64 `json:"doubt_pct"` // from the timing of the counter, 95 %
	AddedW     float64 `json:"added_w"`   // mean power of the pulses minus idle
}

// Polling is the effect of the polling rate.
type Polling struct {
	SlowRatio  float64 `json:"slow_ratio"` // counter to series, read once a second
	FastRatio  float64 `json:"fast_ratio"` // read 20 times a second
	ChangePct  float64 `json:"change_pct"`
	SamplerPct float64 `json:"fast_cpu_pct"` // in percent of a core
	// Fastest is 100 times a second, or as fast as a read allows; nil in reports of earlier versions.
	FastestRatio     *float64 `json:"fastest_ratio"`
	FastestChangePct *float64 `json:"fastest_change_pct"`
	FastestPct       *float64 `json:"fastest_cpu_pct"`
}

// Run executes the self-test. The error is the cause of ctx; anything that cannot be tested is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	t := &tester{Options: o, report: &Report{SchemaVersion: 1, When: time.Now().UTC(), Loads: []string{},
		Devices: []*Device{}, Missing: append([]power.Unavailable{}, o.Missing...), Skipped: []Skipped{}}}
	for _, m := range o.Meters {
		for _, d := range m.Devices() {
			t.report.Devices = append(t.report.Devices,
				&Device{Device: d.ID, Kind: string(d.Kind), Name: d.Name, UUID: d.UUID, Modelled: d.Modelled,
					Calls: []CallCost{}, Refresh: []Refresh{}, Others: []SensorKernel{}, Neighbours: []int{}})
		}
	}
	if len(t.report.Devices) > 0 {
		if err := t.all(ctx); err != nil {
			return nil, err
		}
	}
	if err := t.client(ctx); err != nil {
		return nil, err
	}
	t.report.judge()
	return t.report, nil
}

// tester is the state of a self-test.
type tester struct {
	Options
	report *Report
}

func (t *tester) say(format string, args ...any) {
	if t.Say != nil {
		t.Say(fmt.Sprintf(format, args...))
	}
}

func (t *tester) skip(test, reason string) { t.report.skip(test, reason, "") }

// skip records a skipped test.
func (r *Report) skip(test, reason, next string) {
	r.Skipped = append(r.Skipped,
		Skipped{Test: test, Note: note.Note{Code: codes.TestSkipped, Message: reason, Next: next}})
}

// failed records a test that ended with an error, with the error's next step.
func (t *tester) failed(test, what string, err error) {
	f := fault.As(err)
	t.report.skip(test, what+f.Message, f.Next)
}

// device returns a device by id.
func (t *tester) device(id string) *Device {
	for _, d := range t.report.Devices {
		if d.Device == id {
			return d
		}
	}
	return nil
}

func (t *tester) all(ctx context.Context) error {
	t.say("cost of each call")
	t.calls()
	t.rings()
	t.facts(ctx)
	t.say("refresh period of each value")
	if err := t.refresh(ctx); err != nil {
		return err
	}
	seconds := 8.0
	if t.Quick {
		seconds = 4
	}
	t.say("counter and series on the idle machine (%.0f s)", seconds)
	if err := t.agree(ctx, seconds, nil, func(d *Device, a *Agreement) { d.Idle = a }); err != nil {
		return err
	}
	return t.loaded(ctx)
}

// loadTests are the tests that need a load.
const loadTests = "steady load, pulses (window, filter and lag), other readings, swept pulses (duty), polling rate"

// loaded runs the tests that need a load, under every load.
func (t *tester) loaded(ctx context.Context) error {
	switch {
	case t.Quick:
		t.skip(loadTests, "--quick")
		return nil
	case len(t.Loads) == 0:
		t.skip(loadTests, t.NoLoad)
		return nil
	}
	for _, start := range t.Loads {
		if err := t.underLoad(ctx, start); err != nil {
			return err
		}
	}
	return nil
}

// underLoad runs the tests under one load. The error is the cause of ctx.
func (t *tester) underLoad(ctx context.Context, start func(context.Context) (Load, error)) error {
	t.say("starting a load")
	load, err := start(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		t.failed(loadTests, "the load could not be started: ", err)
		return nil
	}
	defer func() { _ = load.Close() }() // an error of closing does not matter: the pulses are over
	t.report.Loads = append(t.report.Loads, load.Name())
	for _, test := range []func(context.Context, Load) error{t.steady, t.pulses, t.others, t.swept, t.rate} {
		if err := test(ctx, load); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			t.failed("the rest of: "+loadTests, "", err)
			return nil
		}
	}
	return nil
}
