// Package loads is what every printer of a study with loads shows: its configurations apart from the load, the
// points of each sorted by load, the line of power over rate, and the cheapest point within an objective. It also
// judges the stored requests of a study by another objective.
//
//	result.StudyResult ── Of ──▶ Study: groups of points ──▶ tables, sentences, charts
//	requests.parquet, SLO ── Judge ──▶ records and means by that objective
package loads

import (
	"cmp"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/loadline"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Metrics of loads.
const (
	OfferedMetric    = "load.offered_rps"
	CompletedMetric  = "load.completed_rps"
	GoodputMetric    = "load.goodput_rps"
	AttainmentMetric = "load.attainment"
	GoodTokenMetric  = "load.per_good_token_j"
	PowerMetric      = "energy.mean_w"
	ResidentMetric   = "energy.resident_w"
	RequestMetric    = "energy.per_request_j"
)

// Study are the loads of a study.
type Study struct {
	Groups []Group
	// SLO is the objective of all points; zero if they have none, or several.
	SLO study.SLO
}

// Group is a configuration apart from its load, with its points from the lowest load to the highest.
type Group struct {
	// Name has the settings that differ from other groups; empty for the only one.
	Name string
	// Base is the configuration without its load.
	Base study.Experiment
	// Over is rate or concurrency.
	Over string
	// Points of the group.
	Points []Point
	// Line is the load line; nil with LineReason.
	Line       *loadline.Line
	LineReason string // see Line
	// Capacity is the highest completed rate of a point that met the objective, and without one of a point below
	// saturation; 0 if there is none.
	Capacity float64
	// Proportionality of the power up to Capacity; NaN if it is not known.
	Proportionality float64
}

// Point is a configuration at a load.
type Point struct {
	// Experiment is its index in the study.
	Experiment int
	// Load is the rate, or the requests in flight.
	Load float64
	// Summary is the configuration over its runs.
	Summary *result.ExperimentSummary
	// Runs are the compared runs of the point.
	Runs []*result.Record
	// Saturated is the number of runs in which the backlog grew.
	Saturated int
	// SLOMet is the verdict of all runs, together if they differ; empty without an objective or a run.
	SLOMet string
}

// Figure returns a metric of the point with its interval: over the runs, or else of the only one.
func (p Point) Figure(metric string) (view.Figure, bool) {
	f, ok := view.FigureOf(p.Summary, metric)
	if ok && f.CI95 == nil && len(p.Runs) == 1 {
		f.CI95 = ownInterval(p.Runs[0], metric)
	}
	return f, ok
}

// ownInterval is the interval that a run has for a metric.
func ownInterval(r *result.Record, metric string) *[2]float64 {
	var q *result.Quantity
	switch l := r.Load; metric {
	case AttainmentMetric:
		if l != nil && l.Attainment != nil {
			return &l.Attainment.CI95
		}
	case GoodTokenMetric:
		if l != nil {
			// Another window of the same load has other requests: the sensors' interval is of this window alone.
			if q = l.LongRunGoodTokenJ; q == nil && l.LongRunOutputTokenJ == nil {
				q = l.PerGoodTokenJ
			}
		}
	case PowerMetric:
		q = r.Energy.MeanW
	case RequestMetric:
		q = r.Energy.PerRequestJ
	}
	if q == nil || q.CI95[1] <= q.CI95[0] {
		return nil
	}
	return &q.CI95
}

// Steady reports whether the point has runs and none of them is saturated.
func (p Point) Steady() bool { return len(p.Runs) > 0 && p.Saturated == 0 }

// Of returns the loads of a study; it has no groups if no run has one. Runs that are not compared are left out.
func Of(s *result.StudyResult) (Study, error) {
	if !hasLoads(s) {
		return Study{}, nil
	}
	runs := map[string][]*result.Record{}
	for r, err := range s.Records() {
		if err != nil {
			return Study{}, err
		}
		if r.Load != nil && r.Comparable() {
			runs[r.ID] = append(runs[r.ID], r)
		}
	}
	var out Study
	if len(runs) == 0 {
		return out, nil
	}
	var bases []study.Experiment
	same := true
	for i := range s.Experiments {
		e := &s.Experiments[i]
		w := e.Config.Workload
		if len(runs[e.ID]) == 0 && !w.Load.Open() && !w.SLO.Set() {
			continue
		}
		p := pointOf(i, e, runs[e.ID])
		base := apart(e.Config)
		at := slices.Index(bases, base)
		if at < 0 {
			at, bases = len(bases), append(bases, base)
			out.Groups = append(out.Groups, Group{Base: base, Over: overOf(w)})
		}
		out.Groups[at].Points = append(out.Groups[at].Points, p)
		same = same && bases[at].Workload.SLO == bases[0].Workload.SLO
	}
	if same {
		out.SLO = bases[0].Workload.SLO
	}
	names := naming.Of(bases)
	for i := range out.Groups {
		g := &out.Groups[i]
		if len(bases) > 1 {
			g.Name = names.Label(bases[i])
		} else {
			g.Name = naming.Trace(bases[i].Workload.Load)
		}
		slices.SortStableFunc(g.Points, func(a, b Point) int { return cmp.Compare(a.Load, b.Load) })
		g.fit()
	}
	return out, nil
}

// hasLoads reports whether a configuration of a study has a load, without reading its runs.
func hasLoads(s *result.StudyResult) bool {
	return slices.ContainsFunc(s.Experiments, func(e result.ExperimentSummary) bool {
		_, ok := e.Metrics.Get(OfferedMetric)
		return ok
	})
}

// apart returns a configuration without its load.
func apart(e study.Experiment) study.Experiment {
	w := &e.Workload
	if w.Load.Open() {
		w.Load.Rate, w.Load.Speed = 0, 0
	} else {
		w.Concurrency = 0
	}
	w.Prompts, w.Load.DurationS = 0, 0 // a rate for a time makes a number of requests
	// How a load was found does not matter to what it costs.
	w.Load.Search, w.Load.SearchFrom, w.Load.SearchTo, w.Load.Tolerance, w.Load.ProbeS = "", 0, 0, 0, 0
	return e
}

func overOf(w study.Workload) string {
	if w.Load.Open() {
		return load.OverRate
	}
	return load.OverConcurrency
}

func pointOf(i int, e *result.ExperimentSummary, runs []*result.Record) Point {
	p := Point{Experiment: i, Summary: e, Runs: runs, Load: float64(e.Config.Workload.Concurrency)}
	if w := e.Config.Workload; w.Load.Open() {
		p.Load = w.Load.Rate
		// A trace has its own rate, and a conversation more requests than arrivals.
		if f, ok := view.FigureOf(e, OfferedMetric); ok && (p.Load == 0 || w.Load.Turns > 1) {
			p.Load = f.Value
		}
	}
	for _, r := range runs {
		if q := r.Load.Search; q != nil { // the study leaves the load to it
			p.Load = q.Load
		}
		if r.Load.Saturated {
			p.Saturated++
		}
	}
	p.SLOMet = verdict(runs, e.Config.Workload.SLO.Limits().Attainment)
	return p
}

// fit fits the load line to the runs below saturation.
func (g *Group) fit() {
	g.Proportionality = math.NaN()
	var points []loadline.Point
	idle := math.NaN()
	met := slices.ContainsFunc(g.Points, func(p Point) bool { return p.SLOMet == load.Yes })
	for _, p := range g.Points {
		if !p.Steady() {
			continue
		}
		if f, ok := p.Figure(ResidentMetric); ok {
			idle = f.Value
		}
		if f, ok := p.Figure(CompletedMetric); ok && (!met || p.SLOMet == load.Yes) {
			g.Capacity = max(g.Capacity, f.Value)
		}
		for _, r := range p.Runs {
			if r.Energy.MeanW != nil && r.Load.CompletedRPS > 0 {
				points = append(points, loadline.Point{Rate: r.Load.CompletedRPS, W: r.Energy.MeanW.Value})
			}
		}
	}
	line, err := loadline.Fit(points)
	if err != nil {
		g.LineReason = err.Error()
		return
	}
	g.Line = &line
	if math.IsNaN(idle) {
		idle = line.InterceptW.Value
	}
	below := slices.DeleteFunc(points, func(p loadline.Point) bool { return p.Rate > 1.05*g.Capacity })
	g.Proportionality = loadline.Proportionality(idle, below, g.Capacity)
}

// Cheapest returns the index of the point with the least energy per good token among the steady ones that met the
// objective, or among all steady ones without an objective; −1 if there is none.
func (g Group) Cheapest() int {
	best, least := -1, math.Inf(1)
	for i, p := range g.Points {
		f, ok := p.Figure(GoodTokenMetric)
		if !ok || !p.Steady() || p.SLOMet != "" && p.SLOMet != load.Yes {
			continue
		}
		if f.Value < least {
			best, least = i, f.Value
		}
	}
	return best
}

// halfWithin is how far from half a load another one may be to stand for it.
const halfWithin = 0.2

// Half returns the index of the point whose load is about half the load of another, with an energy per good token;
// −1 if there is none.
func (g Group) Half(of int) int {
	best, nearest := -1, halfWithin
	for i, p := range g.Points {
		if _, ok := p.Figure(GoodTokenMetric); !ok || i == of {
			continue
		}
		if d := math.Abs(p.Load/(g.Points[of].Load/2) - 1); d <= nearest {
			best, nearest = i, d
		}
	}
	return best
}
