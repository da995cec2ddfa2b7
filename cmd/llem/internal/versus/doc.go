// Package versus compares two configurations under load: what each number is at the loads of both, which of the two
// needs less energy per good token within an objective, each at its own cheapest load, and whether the highest loads
// that searches found differ.
//
//	arguments, objective ── Find ──▶ two sides: groups of points ── Of ──▶ Comparison ──▶ text, Markdown, CSV, JSON
//
// Points are paired by their load: kind, rate and coefficient of variation, or requests in flight. Different loads are
// compared in the answer alone, which names both. The answer is one test at the level of 5 %. The primary metric at all
// loads of both is tested together (Holm), and so are all other metrics at all loads.
package versus

import (
	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Side is a configuration at its loads.
type Side struct {
	// Study has the runs.
	Study *result.StudyResult
	// Group are the loads.
	Group loads.Group
	// Machine describes the machine; empty if unknown.
	Machine string

	// own is the objective of the study, which another one may replace.
	own study.SLO
}

// SideOf is a configuration of a study, by the study's own objective. The machine is left to the caller.
func SideOf(s *result.StudyResult, g loads.Group) Side {
	out := Side{Study: s, Group: g}
	out.own = out.slo()
	return out
}

// Options of a comparison.
type Options struct {
	// Primary names the metric that is tested separately at the loads of both; empty means energy per good token, or
	// what replaces it.
	Primary string
	// All compares every metric at the loads of both.
	All bool
}

// Comparison is configuration B compared with A under load.
type Comparison struct {
	// Answer is the answer in a sentence or two.
	Answer string `json:"answer"`
	// Next is what to run to know more; empty if nothing would help.
	Next string `json:"next,omitempty"`
	// SLO is the objective of both; zero without a common one.
	SLO study.SLO `json:"slo,omitzero"`
	// Over is rate or concurrency; empty if the sides differ in it.
	Over string `json:"over"`
	// Cheapest are the loads with the least energy per good token of each side; null without a common objective.
	Cheapest *Cheapest `json:"cheapest"`
	// Capacity are the highest loads within the objective that searches found; null without them.
	Capacity *Capacity `json:"capacity,omitempty"`
	// Pairs are the loads that both sides have.
	Pairs []Pair `json:"pairs"`
	// Primary names the metric that is tested separately at these.
	Primary string `json:"primary,omitempty"`
	// Alone are the loads that are not compared, with the reason.
	Alone []Alone `json:"alone"`
	// Warnings are reasons to doubt the whole comparison.
	Warnings []string `json:"warnings,omitempty"`
}

// Cheapest compares the loads with the least energy per good token.
type Cheapest struct {
	A Least `json:"a"`
	B Least `json:"b"`
	// Verdict is about B: lower, higher, same, not told, not tested or confounded; open if a load that may be cheaper
	// is not resolved or was not measured; none if a side has no load within the objective.
	Verdict compare.Verdict `json:"verdict"`
	// Why the verdict is open; empty otherwise.
	Why string `json:"why,omitempty"`
	// Metric is the test of the two loads; null without two.
	Metric *compare.Metric `json:"metric"`

	// next is what to measure if the verdict is open.
	next string
}

// Further verdicts than package compare has.
const (
	// Open: a side may have a cheaper load, which is not known to meet the objective or was not measured.
	Open compare.Verdict = "open"
	// None: a side has no load that is known to meet the objective.
	None compare.Verdict = "none"
)

// Least is the load of a side that takes the least energy per good token within the objective.
type Least struct {
	// Load is the load, and ID its configuration; null and empty if there is none, with the Reason.
	Load   *float64 `json:"load"`
	ID     string   `json:"id,omitempty"`     // see Load
	Reason string   `json:"reason,omitempty"` // see Load
	// PerGoodTokenJ is the energy per good token in joules, and Runs how many runs it is of.
	PerGoodTokenJ *Amount `json:"per_good_token_j"`
	Runs          int     `json:"runs"` // see PerGoodTokenJ
	// Attainment is the fraction of good requests; null if unknown.
	Attainment *Amount `json:"attainment"`
	// Unresolved are loads that take less, or all if none meets the objective, of which it is not known whether they
	// meet it.
	Unresolved []float64 `json:"unresolved,omitempty"`
	// Highest reports that it is the highest load that was measured: a higher one may take less.
	Highest bool `json:"highest"`

	point loads.Point
}

// Amount is a number with its 95 % interval: over the runs, or of the sensor for a single run.
type Amount struct {
	Value float64 `json:"value"`
	// CI95 is null if it is unknown.
	CI95 *[2]float64 `json:"ci95"`
}

// Capacity compares the highest loads within the objective.
type Capacity struct {
	// Over is rate or concurrency.
	Over string `json:"over"`
	A    Bounds `json:"a"`
	B    Bounds `json:"b"`
	// Verdict is lower or higher of B if the bounds do not overlap, or not told.
	Verdict compare.Verdict `json:"verdict"`
	// Text is the verdict in a sentence.
	Text string `json:"text"`
}

// Bounds are the highest load that met the objective and the lowest that did not, over all searches of a side.
type Bounds struct {
	// Lower is null if no load met the objective, and Upper if each did.
	Lower *float64 `json:"lower"`
	Upper *float64 `json:"upper"` // see Lower
	// Searches is the number of searches, and Resolved how many of them reached their tolerance.
	Searches int `json:"searches"`
	Resolved int `json:"resolved"` // see Searches
}

// Pair is a load of both sides.
type Pair struct {
	// Load in requests per second or in flight.
	Load float64 `json:"load"`
	// A and B are the configurations, and MetA and MetB whether they met the objective.
	A    string `json:"id_a"`
	B    string `json:"id_b"`              // see A
	MetA string `json:"slo_met_a"`         // see A
	MetB string `json:"slo_met_b"`         // see A
	How  string `json:"compared"`          // whether runs were compared in pairs, and why
	Why  string `json:"missing_latencies"` // why no latency is compared; empty if it is
	// Metrics begin with the primary one, if both sides have it.
	Metrics []compare.Metric `json:"metrics"`
	// Missing is why metrics are not compared.
	Missing []compare.Gap `json:"missing,omitempty"`
}

// Metric returns a metric of the load; nil if it is not compared.
func (p Pair) Metric(name string) *compare.Metric {
	for i := range p.Metrics {
		if p.Metrics[i].Name == name {
			return &p.Metrics[i]
		}
	}
	return nil
}

// Alone is a load that is not compared.
type Alone struct {
	// Side is A or B.
	Side string `json:"side"`
	// Load in requests per second or in flight.
	Load float64 `json:"load"`
	ID   string  `json:"id"`
	// Why it is not compared.
	Why string `json:"why"`
}

// Of compares b with a.
func Of(a, b Side, o Options) (*Comparison, error) {
	c := &Comparison{Pairs: []Pair{}, Alone: []Alone{}}
	if a.Group.Over == b.Group.Over {
		c.Over = a.Group.Over
	}
	common := a.slo() == b.slo()
	if common {
		c.SLO = a.slo()
	}
	c.doubt(a, b)
	if err := c.pair(a, b, common, o); err != nil {
		return nil, err
	}
	if common {
		if err := c.cheapest(a, b); err != nil {
			return nil, err
		}
		c.capacity(a, b)
	}
	c.answer(a, b, common)
	return c, nil
}

// slo is the objective of a side.
func (s Side) slo() study.SLO { return s.Group.Base.Workload.SLO.Canonical() }
