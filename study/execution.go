package study

import (
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/source"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
)

// Execution sets how often, in which order and within which limits experiments run. The zero value of a field
// means that it is not set, unless the field says otherwise. Nothing here is part of an experiment's ID.
type Execution struct {
	// Cycles is how often every experiment runs; at least 1.
	Cycles int `json:"cycles"`
	// Order is balanced, sequential, interleave, shuffle, reverse or latin_square.
	Order string `json:"order"`
	// Seed of the order shuffle; derived from the experiments if none is given.
	Seed uint64 `json:"seed"`
	// Restart is when an engine is started again: needed or always.
	Restart string `json:"restart,omitempty"`
	// Placement is where the cycles of an experiment are executed by several workers: spread, the default, or same.
	Placement string `json:"placement,omitempty"`
	// Canary is which workers execute the first experiment once more before their first run: auto, the default, means
	// all workers if they are on several machines; always, or never.
	Canary string `json:"canary,omitempty"`
	// Profile is quick, standard or publication: the name of the set of values used for keys that no source gave.
	Profile string `json:"profile,omitempty"`
	// Gap is the pause between two runs.
	Gap Gap `json:"gap_seconds,omitzero"`
	// Rest is when a gap by condition ends; zero fields mean 3 degrees, 3 percent and 3 minutes.
	Rest Rest `json:"rest,omitzero"`
	// Until requests more cycles than Cycles, until a metric is known precisely enough.
	Until Until `json:"until,omitzero"`
	// RunTimeout bounds one run, and StudyTimeout the study, over all parts of a resumed one: when it ends, the
	// current run is ended and no other is started.
	RunTimeout Duration `json:"run_timeout,omitempty"`
	// StudyTimeout bounds the whole study.
	StudyTimeout Duration `json:"study_timeout,omitempty"`
	// MaxFailures is the number of consecutive failures of one model on one backend after which their remaining runs
	// are skipped; 0 never skips.
	MaxFailures int `json:"max_failures,omitempty"`
}

// Gap is the pause between two runs.
type Gap struct {
	// Mode is what ends the pause: fixed after Seconds, or condition when the machine is back in its state before the
	// first run; empty if not set.
	Mode string
	// Seconds of a fixed gap; 0 means no gap.
	Seconds float64
}

// Rest is how close to its state before the first run a machine must return, and the maximum time to wait for
// that. A machine that is always warm needs larger values.
type Rest struct {
	// Degrees is how much warmer than before the first run a device may be, in degrees Celsius.
	Degrees float64 `json:"degrees,omitempty"`
	// PowerPct is how much more power it may draw, in percent.
	PowerPct float64 `json:"power_pct,omitempty"`
	// AtMost bounds the pause.
	AtMost Duration `json:"at_most,omitempty"`
}

// MarshalJSON writes a gap as a study file does: a number of seconds, or "auto".
func (g Gap) MarshalJSON() ([]byte, error) {
	switch g.Mode {
	case "":
		return []byte("null"), nil
	case terms.GapFixed:
		return fmt.Appendf(nil, "%v", g.Seconds), nil
	case terms.GapByCondition:
		return []byte(`"` + keys.Auto + `"`), nil
	}
	return nil, fmt.Errorf("unknown gap mode %q", g.Mode)
}

// Until is a goal for the cycles of an experiment. They end after the cycle in which the half width of the
// metric's 95 % interval over all cycles is at most RelativeHalfWidth of its mean, and after MaxCycles at the
// latest. Execution.Cycles is the minimum. MaxCycles is 0 without a goal.
type Until struct {
	// Metric is one of the metrics in docs/studies.md.
	Metric string `json:"metric,omitempty"`
	// RelativeHalfWidth is half the width of the 95 % interval, relative to the mean.
	RelativeHalfWidth float64 `json:"relative_half_width,omitempty"`
	// MaxCycles is the maximum number of cycles.
	MaxCycles int `json:"max_cycles,omitempty"`
}

// defaultUntil completes a partly given goal, and is the goal of the profile publication.
var defaultUntil = Until{Metric: "energy.per_output_token_j", RelativeHalfWidth: 0.02, MaxCycles: 20}

// Duration is a time span that is written like 90s, 30m or 1h30m.
type Duration time.Duration

// String returns the shortest form that can be read back.
func (d Duration) String() string { return grammar.DurationText(time.Duration(d)) }

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("read a duration: %w", err)
	}
	*d = Duration(v)
	return nil
}

// defaultExecution runs everything once, with experiments that one engine can serve side by side.
func defaultExecution() Execution {
	return Execution{Cycles: 1, Order: terms.Balanced, Seed: 1, Restart: terms.RestartNeeded}
}

var profiles = map[string]Execution{
	terms.Quick:    {Cycles: 1, Gap: Gap{Mode: terms.GapFixed}, Restart: terms.RestartNeeded},
	terms.Standard: {Cycles: 3, Gap: Gap{Mode: terms.GapByCondition}, Restart: terms.RestartNeeded},
	terms.Publication: {Cycles: 5, Gap: Gap{Mode: terms.GapByCondition}, Restart: terms.RestartAlways,
		Until: defaultUntil},
	terms.Endpoints: {Cycles: 1, Gap: Gap{Mode: terms.GapFixed}, Restart: terms.RestartNeeded},
}

// executionKey is one key of the execution section.
type executionKey struct {
	*keys.Field
	put func(*Execution, grammar.Value)
}

func executionField(key, help string, k grammar.Kind, put func(*Execution, grammar.Value)) executionKey {
	return executionKey{&keys.Field{Key: key, Help: help, Kind: k, Slot: -1}, put}
}

// executionFields is the grammar of the execution section.
func executionFields() []executionKey {
	return []executionKey{
		executionField("execution.profile",
			"sets the keys that are not given: quick is 1 cycle without gaps, standard 3 "+
				"cycles with gaps by condition, publication 5 or more, each run on a new engine, until "+
				"energy per "+
				"output token is known to 2 %; endpoints has the points of MLPerf Endpoints",
			grammar.Choice(terms.Quick, terms.Standard, terms.Publication, terms.Endpoints), func(x *Execution,
				v grammar.Value) {
				x.Profile = v.Text
			}),
		executionField("execution.cycles", "how often every experiment runs", grammar.Integer(1, 1000),
			func(x *Execution, v grammar.Value) { x.Cycles = int(v.Whole) }),
		executionField("execution.order",
			"balanced ABBAAB with experiments that one engine can serve side by side, sequential AAABBB, "+
				"interleave ABABAB, shuffle differently in each cycle, reverse ABBAAB, or latin_square",
			grammar.Choice(terms.Orders()...), func(x *Execution, v grammar.Value) { x.Order = v.Text }),
		executionField("execution.seed",
			"seed of the order shuffle; if left out, it comes from the ids of the experiments",
			grammar.Integer(0, 1<<53), func(x *Execution, v grammar.Value) { x.Seed = uint64(v.Whole) }),
		executionField("execution.gap_seconds",
			"pause between runs: 0 is none, auto waits until the machine is in its state "+
				"before the first run", keys.Gap(), func(x *Execution, v grammar.Value) {
				if v.Text == keys.Auto {
					x.Gap = Gap{Mode: terms.GapByCondition}
				} else {
					x.Gap = Gap{Mode: terms.GapFixed, Seconds: v.Number}
				}
			}),
		executionField("execution.restart",
			"when an engine is started again: needed lets one engine serve successive runs whose only differences "+
				"are settings it can change while its model stays loaded; always starts one for every run",
			grammar.Choice(terms.RestartNeeded, terms.RestartAlways), func(x *Execution,
				v grammar.Value) {
				x.Restart = v.Text
			}),
		executionField("execution.placement",
			"where several workers execute the cycles of an experiment: spread over their machines (the default), or "+
				"same for one machine, so that its cycles differ less and a machine may stand for an experiment",
			grammar.Choice(terms.PlaceSpread, terms.PlaceSame), func(x *Execution, v grammar.Value) {
				x.Placement = v.Text
			}),
		executionField("execution.canary",
			"which workers execute the first experiment before their first run, so that machines can be told apart: "+
				"auto (the default) all if they are on several machines, and each shard; always also on one machine; "+
				"or never; it is not in the means",
			grammar.Choice(terms.CanaryAuto, terms.CanaryAlways, terms.CanaryNever),
			func(x *Execution, v grammar.Value) { x.Canary = v.Text }),
		executionField("execution.until.metric", "the metric that decides when there are enough cycles",
			grammar.Choice(terms.Metrics()...), func(x *Execution, v grammar.Value) { x.Until.Metric = v.Text }),
		executionField("execution.until.relative_half_width",
			"half the width of the metric's 95 % interval over its mean, at which cycles end; 0.02 is 2 %",
			grammar.Float(0.0001, 1), func(x *Execution, v grammar.Value) { x.Until.RelativeHalfWidth = v.Number }),
		executionField("execution.until.max_cycles", "the maximum number of cycles; execution.cycles is the minimum",
			grammar.Integer(2, 1000),
			func(x *Execution, v grammar.Value) { x.Until.MaxCycles = int(v.Whole) }),
		executionField("execution.rest.degrees",
			"a gap by condition ends when GPUs are at most this much warmer than before the first run, in °C; "+
				"default 3", grammar.Float(0.1, 50), func(x *Execution,
				v grammar.Value) {
				x.Rest.Degrees = v.Number
			}),
		executionField("execution.rest.power_pct", "and draw at most this much more power, in percent; default 3",
			grammar.Float(0.1, 100), func(x *Execution, v grammar.Value) { x.Rest.PowerPct = v.Number }),
		executionField("execution.rest.at_most", "the maximum length of a gap by condition; default 3m",
			grammar.TimeSpan(),
			func(x *Execution, v grammar.Value) { x.Rest.AtMost = Duration(v.Whole) }),
		executionField("execution.run_timeout", "time limit of one run", grammar.TimeSpan(),
			func(x *Execution, v grammar.Value) { x.RunTimeout = Duration(v.Whole) }),
		executionField("execution.study_timeout",
			"time limit of the study over all its parts: the current run is ended, and run again when the study is "+
				"resumed", grammar.TimeSpan(), func(x *Execution,
				v grammar.Value) {
				x.StudyTimeout = Duration(v.Whole)
			}),
		executionField("execution.max_failures",
			"consecutive failures of one model on one backend after which their other runs are skipped; 0 is never",
			grammar.Integer(0, 1000), func(x *Execution, v grammar.Value) { x.MaxFailures = int(v.Whole) }),
	}
}

// resolveExecution applies explicit keys over the profile over the defaults.
func resolveExecution(settings map[string]source.Placed) (Execution, *grammar.Error) {
	x := defaultExecution()
	if p, ok := settings["execution.profile"]; ok {
		profile := profiles[p.V.Text]
		x.Profile, x.Cycles, x.Gap, x.Restart, x.Until = p.V.Text, profile.Cycles, profile.Gap, profile.Restart,
			profile.Until
	}
	for _, f := range executionFields() {
		if s, ok := settings[f.Key]; ok && f.Key != "execution.profile" {
			f.put(&x, s.V)
		}
	}
	if x.Until == (Until{}) {
		return x, nil
	}
	if x.Until.Metric == "" {
		x.Until.Metric = defaultUntil.Metric
	}
	if x.Until.RelativeHalfWidth == 0 {
		x.Until.RelativeHalfWidth = defaultUntil.RelativeHalfWidth
	}
	given, explicit := settings["execution.until.max_cycles"]
	if !explicit {
		x.Until.MaxCycles = max(defaultUntil.MaxCycles, x.Cycles)
	} else if x.Until.MaxCycles < x.Cycles {
		at := *given.At
		at.Note = note.Note{Code: codes.Mistake, Next: "raise it, or lower execution.cycles",
			Message: fmt.Sprintf("execution.until.max_cycles is %d, less than the minimum of %d cycles",
				x.Until.MaxCycles, x.Cycles)}
		return x, &at
	}
	return x, nil
}
