package versus

import (
	"fmt"
	"math"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/load"
)

// cheapest compares the loads with the least energy per good token within the objective.
func (c *Comparison) cheapest(a, b Side) error {
	found := &Cheapest{A: leastOf(a.Group), B: leastOf(b.Group), Verdict: None}
	c.Cheapest = found
	if found.A.Load == nil || found.B.Load == nil {
		return nil
	}
	one, err := goodToken(a, found.A.point, b, found.B.point)
	if err != nil {
		return err
	}
	found.Metric, found.Verdict = &one.Metrics[0], one.Metrics[0].Verdict
	switch found.Verdict {
	case compare.Higher:
		found.Why, found.next, err = mayTakeLess(a, found.A, b, found.B, "B")
	case compare.Lower:
		found.Why, found.next, err = mayTakeLess(b, found.B, a, found.A, "A")
	}
	if arrivals := c.arrivals(a, b); arrivals != "" {
		found.Why, found.next = arrivals, ""
	}
	if found.Why != "" {
		found.Verdict = Open
	}
	return err
}

// goodToken compares the energy per good token of two points, which may have different loads.
func goodToken(a Side, p loads.Point, b Side, q loads.Point) (*compare.Comparison, error) {
	one, err := compare.Sides(a.at(p), b.at(q), compare.Options{Metrics: []string{loads.GoodTokenMetric}})
	if err != nil {
		return nil, fmt.Errorf("compare the cheapest loads: %w", err)
	}
	return one, nil
}

// leastOf is the cheapest point of a group.
func leastOf(g loads.Group) Least {
	i := g.Cheapest()
	if i < 0 {
		return Least{Reason: g.None(), Unresolved: unresolved(g, math.Inf(1))}
	}
	p := g.Points[i]
	out := Least{Load: &g.Points[i].Load, ID: p.Summary.ID, Runs: len(p.Runs), Highest: true, point: p,
		PerGoodTokenJ: amount(p, loads.GoodTokenMetric), Attainment: amount(p, loads.AttainmentMetric)}
	for _, q := range g.Points[i+1:] {
		out.Highest = out.Highest && len(q.Runs) == 0
	}
	out.Unresolved = unresolved(g, out.PerGoodTokenJ.Value)
	return out
}

// unresolved are the loads of a group that take less than a number of joules per good token, and of which it is not
// known whether they meet the objective.
func unresolved(g loads.Group, joules float64) (out []float64) {
	for _, p := range g.Points {
		if f, ok := p.Figure(loads.GoodTokenMetric); ok && p.SLOMet == load.Unresolved && f.Value < joules {
			out = append(out, p.Load)
		}
	}
	return out
}

// amount is a metric of a point.
func amount(p loads.Point, metric string) *Amount {
	f, ok := p.Figure(metric)
	if !ok {
		return nil
	}
	return &Amount{f.Value, f.CI95}
}

// mayTakeLess returns why the side that takes more at its cheapest load may yet take less at another one; empty if it
// does not, with what to measure. A load that is not resolved may meet the objective, and a load up to the cheapest one
// of the other side may not have been measured.
func mayTakeLess(less Side, least Least, more Side, most Least, name string) (why, next string, err error) {
	for _, p := range more.Group.Points {
		f, ok := p.Figure(loads.GoodTokenMetric)
		if !ok || p.SLOMet != load.Unresolved || f.Value >= most.PerGoodTokenJ.Value {
			continue
		}
		one, err := goodToken(less, least.point, more, p)
		if err != nil {
			return "", "", err
		}
		if one.Metrics[0].Verdict != compare.Higher {
			return fmt.Sprintf("%s may meet the objective at %s, too, where it takes %s", name, more.Group.At(p.Load),
				loads.Amount(f)), name + " at " + more.Group.Longer([]float64{p.Load}), nil
		}
	}
	if least.point.Load <= most.point.Load {
		return "", "", nil
	}
	for _, p := range more.Group.Points {
		between := p.Load > most.point.Load && p.Load <= least.point.Load*(1+sameLoad)
		if between && len(p.Runs) > 0 && (p.SLOMet != load.Yes || p.Saturated > 0) {
			return "", "", nil // it did not meet the objective, or was seen above to take more
		}
		if f, ok := p.Figure(loads.GoodTokenMetric); between && ok && f.Value >= most.PerGoodTokenJ.Value {
			return "", "", nil
		}
	}
	from, to := more.Group.At(most.point.Load), more.Group.At(least.point.Load)
	return fmt.Sprintf("%s was not measured between %s and %s", name, from, to),
		fmt.Sprintf("%s between %s and %s", name, from, to), nil
}

// sameLoad is how far two loads may differ to be the same for the question whether a load was measured.
const sameLoad = 0.02
