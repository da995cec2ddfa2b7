// Package plan describes what a study will do: its points, the needs of each, the order of the runs, and what
// prevents them. It starts nothing and writes nothing.
//
//	study ─▶ varying keys ─▶ points (memory, time, energy) ─▶ order of the runs ─▶ totals
package plan

import (
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/extent"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// Plan of a study.
type Plan struct {
	Name string `json:"name"`
	// Axes are the keys whose values differ between the points.
	Axes []Axis `json:"axes"`
	// Points is the number of experiments; the first Shown of them are described.
	Points int     `json:"points"`
	Shown  []Point `json:"shown"`
	// Runs is the total number of runs; the first ones are listed in order.
	Runs     int    `json:"runs"`
	Division        // of a shard
	Order    string `json:"order"`
	Cycles   int    `json:"cycles"`
	FirstRun []Run  `json:"first_runs"`
	// Starts is how often an engine is started over all runs of the planned cycles: one engine serves successive runs
	// where possible. Null if there are too many runs to count.
	Starts *int `json:"starts"`
	// SequentialStarts is how many engine starts the order sequential would need; null if it would not need fewer.
	SequentialStarts *int `json:"sequential_starts,omitempty"`
	// MoreCycles is how many cycles may be added until the requested precision is reached.
	MoreCycles int `json:"more_cycles"`
	// Totals are over all points, and null if one of them cannot be estimated, for the reason Missing.
	Totals  *Totals `json:"totals"`
	Missing string  `json:"totals_missing,omitempty"`
	// Load is what the loads of all runs ask together; null if no requests arrive by themselves.
	Load *Load `json:"load,omitempty"`
	// Canary is what each worker or shard executes before its first run; null if nothing.
	Canary *Canary `json:"canary,omitempty"`
	// Points that are left out of the study.
	Merged int `json:"merged"`
	// Duplicates are the first of the merged points.
	Duplicates []study.Duplicate `json:"duplicates"`
	Filtered   int               `json:"filtered"`
	Refused    int               `json:"refused"`
	Invalid    []study.Invalid   `json:"invalid"`
	Unused     []string          `json:"unused"`
	// Findings are what prevents the study, and what deserves attention.
	Findings []Finding `json:"findings"`
	// Runnable counts points without an error. If not all points are estimated, it is extrapolated from the estimated
	// ones.
	Runnable int    `json:"runnable"`
	Device   string `json:"device"`
	// Unfit counts the estimated points that do not fit into memory.
	Unfit int `json:"unfit"`
	// naming names the points.
	naming naming.Naming
}

// Axis is a key whose values differ.
type Axis struct {
	Key    string   `json:"key"`
	Values []string `json:"values"` // the first few, as they first appear
	Count  int      `json:"count"`
}

// Point is one experiment.
type Point struct {
	ID     string            `json:"id"`
	Label  string            `json:"label"`
	Values map[string]string `json:"values"` // of the axes
	// Need is the estimate; null if there is none, for Reason.
	Need   *Need  `json:"need"`
	Reason string `json:"reason,omitempty"`
	// Load is what its load asks; null if no requests arrive by themselves.
	Load *Load `json:"load,omitempty"`
	// Problems are all reasons why it cannot run; whether it fits is in Need.
	Problems []string `json:"problems"`
	// model is the name of its model. unknown reports that it is unknown whether it fits into memory.
	model   string
	unknown bool
	// short are the problems in a word each, and names the values of the columns that name the point.
	short, names []string
}

// Need is an estimate. All of it is modelled.
type Need struct {
	Bytes int64 `json:"bytes"` // the peak, on each device
	// Needed is the memory that must be free on each device, in bytes: the peak, with what the driver and the
	// libraries take there.
	Needed int64  `json:"needed_bytes"`
	Parts  string `json:"parts"`
	// Parameters is the number of parameters of the model, followed by the parameters that a token passes (without
	// experts that it does not visit, and without a vision tower), and the parameters of a vision tower.
	Parameters       int64 `json:"parameters"`
	ActiveParameters int64 `json:"active_parameters"`
	VisionParameters int64 `json:"vision_parameters,omitempty"`
	// Counted describes which part of a model with a vision tower is counted, and Stored how the files hold the
	// weights if they decide.
	Counted string `json:"counted,omitempty"`
	Stored  string `json:"stored,omitempty"`
	// WeightBytes and CacheBytes are the sizes of the weights, and of the key/value cache or state, on each device.
	WeightBytes int64 `json:"weight_bytes"`
	CacheBytes  int64 `json:"cache_bytes"`
	// FLOPsPrefill and FLOPsDecode are the operations of running the workload once.
	FLOPsPrefill float64 `json:"flops_prefill"`
	FLOPsDecode  float64 `json:"flops_decode"`
	// lookup counts parameters of an embedding, of which a token uses one row.
	lookup int64
	// DeviceBytes is the memory that each device will show as used: a server takes more than it needs.
	DeviceBytes int64  `json:"device_bytes"`
	Fits        bool   `json:"fits"`
	Tight       bool   `json:"tight,omitempty"` // it fits by less than the estimate's uncertainty
	Why         string `json:"why,omitempty"`   // why it does not fit
	Next        string `json:"next,omitempty"`  // what would make it fit
	// Unknown reports that the available memory is unknown: Fits then only means that nothing speaks against it.
	Unknown bool `json:"unknown,omitempty"`
	// Batch is the largest batch that fits, if this one does not; 0 if none does.
	Batch   int     `json:"largest_batch,omitempty"`
	Seconds float64 `json:"seconds"` // one run, including everything
	Joules  float64 `json:"joules"`  // of all devices
	// StartSeconds is the part of Seconds that a running engine saves: the idle machine and the start.
	StartSeconds float64 `json:"start_seconds"`
	// SecondsRange and JoulesRange are rough intervals.
	SecondsRange [2]float64 `json:"seconds_range"`
	JoulesRange  [2]float64 `json:"joules_range"`
	Basis        string     `json:"basis"`
	// Device is what the estimate is for, and Devices how many of them it takes.
	Device  string `json:"device"`
	Devices int    `json:"devices"`
	// Warnings name what makes the estimate less accurate than usual.
	Warnings []string `json:"warnings,omitempty"`
	// InFlight is the modelled mean number of requests in flight of a load, the highest of its stretches; null without
	// one. Behind reports that more requests arrive than the engine is modelled to complete, CompletedPerS.
	InFlight      *float64 `json:"in_flight,omitempty"`
	Behind        bool     `json:"behind,omitempty"`
	CompletedPerS float64  `json:"completed_per_s,omitempty"`
}

// Totals of all runs.
type Totals struct {
	Seconds float64  `json:"seconds"`
	KWh     float64  `json:"kwh"`
	Cost    *float64 `json:"cost"`
	// Currency is the code of the cost's currency; empty if not set.
	Currency string `json:"currency,omitempty"`
	// SecondsRange and KWhRange add up the ends of the intervals: an effect of the machine on one run affects all.
	SecondsRange [2]float64 `json:"seconds_range"`
	KWhRange     [2]float64 `json:"kwh_range"`
	// Basis lists the bases of the estimates and their devices.
	Basis string `json:"basis"`
	// Sample is how many points were estimated, spread evenly over all of them; 0 means all.
	Sample int `json:"sample,omitempty"`
	// starting is the part of Seconds before an engine has its model loaded.
	starting float64
}

// Run is a place in the order. Start reports that an engine is started for it.
type Run struct {
	Index int    `json:"index"`
	ID    string `json:"id"`
	Cycle int    `json:"cycle"`
	Label string `json:"label"`
	Start bool   `json:"start"`
}

// Finding is something to know before the study starts. An error stops the points it names; a warning stops
// nothing.
type Finding struct {
	Error bool `json:"error"`
	note.Note
	// Short is a word for a table.
	Short string `json:"-"`
}

// Options of a plan.
type Options struct {
	Study *study.Study
	// Shard is the part of the study to plan; the zero value is the whole study.
	Shard shard.Shard
	// Limit is how many points and runs are described; 0 means all.
	Limit int
	// Only describes points whose label or values contain it.
	Only string
	// Device is the device that the points are estimated for. Estimate returns the needs of one point, or nil with the
	// reason.
	Device   string
	Estimate func(study.Experiment) (*Need, string)
	// Sample is how many points are estimated for the totals, spread evenly; 0 means all.
	Sample int
	// Problems are the results of checking the machine and the models: for all points, or the points of one backend or
	// model.
	Problems []Problem
	// Files reads the traces of loads; nil reads them again.
	Files *extent.Files
	// Price per kWh, 0 if unknown.
	Price    float64
	Currency string
}

// Problem stops the points for which Concerns is true.
type Problem struct {
	Finding
	Concerns func(study.Experiment) bool
}

// New returns the plan.
func New(o Options) *Plan {
	s := o.Study
	if o.Files == nil {
		o.Files = &extent.Files{}
	}
	p := &Plan{Name: s.Name, Points: len(s.Experiments), Shown: []Point{}, FirstRun: []Run{},
		Order: s.Execution.Order, Cycles: s.Execution.Cycles,
		Merged: s.Merged, Duplicates: append([]study.Duplicate{},
			s.Duplicates...), Filtered: s.Filtered, Refused: s.Refused, Invalid: s.Invalid, Unused: s.Unused,
		Findings: []Finding{}, Device: o.Device}
	p.divide(s, o.Shard)
	if most := s.Execution.Until.MaxCycles; most > p.Cycles && o.Shard.Complete(s) {
		p.MoreCycles = most - p.Cycles
	}
	axes := naming.Varying(s.Experiments)
	p.Axes = describe(axes, s.Experiments)
	p.naming = naming.By(axes, s.Experiments)
	p.points(o, axes)
	p.loads(o)
	first := firstOf(s, o.Shard, o.Limit)
	starts := campaign.Starts(s, first)
	for i, r := range first {
		p.FirstRun = append(p.FirstRun,
			Run{Index: i + 1, ID: r.Experiment.ID(), Cycle: r.Cycle, Label: p.naming.Label(r.Experiment),
				Start: starts(i)})
	}
	p.count(s, o.Shard)
	p.Totals.save(p.Starts, p.Runs)
	p.canary(o)
	for _, q := range o.Problems {
		p.Findings = append(p.Findings, q.Finding)
	}
	p.behind()
	return p
}

// save subtracts what runs save that find their engine loaded.
func (t *Totals) save(starts *int, runs int) {
	if t == nil || starts == nil || runs == 0 {
		return
	}
	saved := t.starting * (1 - float64(*starts)/float64(runs))
	for i, q := range t.SecondsRange { // a machine that is faster starts engines faster, too
		t.SecondsRange[i] = max(0, q-saved*min(1, q/t.Seconds))
	}
	t.Seconds -= saved
}

// mostCounted bounds the runs that are examined to count the starts of engines.
const mostCounted = 200_000

// count counts the starts of engines.
func (p *Plan) count(s *study.Study, part shard.Shard) {
	n := p.Runs
	if s.Execution.Restart == terms.RestartAlways {
		p.Starts = &n
		return
	}
	if p.Runs > mostCounted || p.InAll > mostCounted {
		return
	}
	n = starts(s, part)
	p.Starts = &n
	other := *s
	if other.Execution.Order = terms.Sequential; p.Cycles > 1 {
		if fewer := starts(&other, part); fewer < n {
			p.SequentialStarts = &fewer
		}
	}
}

// starts counts the starts of engines in the order of a study.
func starts(s *study.Study, part shard.Shard) (n int) {
	runs := campaign.Part(s, part, campaign.Order(s))
	starts := campaign.Starts(s, runs)
	for i := range runs {
		if starts(i) {
			n++
		}
	}
	return n
}

// fewer describes what the order sequential would save, and what that costs; empty if it saves nothing.
func (p *Plan) fewer() string {
	if p.SequentialStarts == nil {
		return ""
	}
	text := fmt.Sprintf("; sequential would take %d", *p.SequentialStarts)
	if t := p.Totals; t != nil && t.starting > 0 && p.Runs > 0 {
		saved := t.starting * float64(*p.Starts-*p.SequentialStarts) / float64(p.Runs)
		text += fmt.Sprintf(" (%s less)", digits.Rough(digits.Duration(saved)))
	}
	return text + ", but distinguish configurations less well"
}

// Duration returns the duration of the whole study.
func (t Totals) Duration() time.Duration { return digits.Duration(t.Seconds) }
