package versus

import (
	"fmt"
	"math"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/result"
)

// capacity compares what searches found. A search was judged by the objective of its study.
func (c *Comparison) capacity(a, b Side) {
	x, y := searches(a.Group), searches(b.Group)
	switch {
	case len(x) == 0 && len(y) == 0:
		return
	case len(x) == 0 || len(y) == 0:
		only := "A"
		if len(x) == 0 {
			only = "B"
		}
		c.Warnings = append(c.Warnings, "only "+only+" has a search, so the highest loads are not compared")
		return
	}
	if x[0].Over != y[0].Over {
		c.Warnings = append(c.Warnings, fmt.Sprintf("the searches are not compared: A varied the %s, B the %s",
			x[0].Over,
			y[0].Over))
		return
	}
	if a.own != b.own || a.own != c.SLO {
		c.Warnings = append(c.Warnings, "the searches are not compared: a search ends by the objective of its own "+
			"study, "+
			"which is not "+loads.Objective(c.SLO)+" on both sides; run the searches with this objective")
		return
	}
	p, q := boundsOf(x), boundsOf(y)
	out := &Capacity{Over: x[0].Over, A: p, B: q, Verdict: compare.NotTold}
	low, high := math.NaN(), math.NaN() // of B to A
	if p.Upper != nil && q.Lower != nil {
		low = *q.Lower / *p.Upper
	}
	if p.Lower != nil && q.Upper != nil {
		high = *q.Upper / *p.Lower
	}
	switch {
	case low >= 1:
		out.Verdict = compare.Higher
		out.Text = "B meets the objective at higher loads than A: " + times(low, high)
	case high <= 1:
		out.Verdict = compare.Lower
		out.Text = "A meets the objective at higher loads than B: " + times(1/high, 1/low)
	default:
		out.Text = "which side meets the objective at higher loads cannot be told: the limits overlap"
	}
	out.Text = fmt.Sprintf("Searches: A met it at %s, B at %s: %s.", p.text(a.Group), q.text(b.Group), out.Text)
	c.Capacity = out
}

// times are the limits of a factor of at least 1.
func times(low, high float64) string {
	if math.IsNaN(high) {
		return "at least " + digits.Significant(low, 3) + " times"
	}
	return digits.Significant(low, 3) + " to " + digits.Significant(high, 3) + " times"
}

// searches are what the runs of a group found.
func searches(g loads.Group) (out []*result.Search) {
	for _, p := range g.Points {
		for _, r := range p.Runs {
			if r.Load.Search != nil {
				out = append(out, r.Load.Search)
			}
		}
	}
	return out
}

// boundsOf are the limits that hold all limits of several searches.
func boundsOf(all []*result.Search) Bounds {
	out := Bounds{Searches: len(all)}
	low, high := math.Inf(1), 0.0
	for _, q := range all {
		if q.Resolved {
			out.Resolved++
		}
		lower, upper := 0.0, math.Inf(1)
		if q.Lower != nil {
			lower = *q.Lower
		}
		if q.Upper != nil {
			upper = *q.Upper
		}
		low, high = min(low, lower), max(high, upper)
	}
	if low > 0 {
		out.Lower = &low
	}
	if !math.IsInf(high, 1) {
		out.Upper = &high
	}
	return out
}

// text are the limits in words.
func (b Bounds) text(g loads.Group) string {
	out := "no load"
	if b.Lower != nil {
		out = g.At(*b.Lower)
	}
	if b.Upper != nil {
		out += " and not at " + loads.Plain(*b.Upper)
	}
	if b.Searches > 1 {
		out += " (in all of " + fmt.Sprintf("%d searches", b.Searches) + ")"
	}
	return out
}
