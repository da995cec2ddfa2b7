package loads

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/atload"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/loadline"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Objective is an objective in words: "≥ 95 % within TTFT 500 ms, TPOT 50 ms"; empty without one.
func Objective(slo study.SLO) string {
	if !slo.Set() {
		return ""
	}
	out := "≥ " + percent(slo.Limits().Attainment)
	if limits := Limits(slo); limits != "" {
		return out + " within " + limits
	}
	return out + " completed"
}

// Limits are the limits of an objective in words.
func Limits(slo study.SLO) string {
	var limits []string
	for _, q := range []struct {
		name string
		ms   float64
	}{{"TTFT", slo.TTFTMS}, {"TPOT", slo.TPOTMS}, {"E2E", slo.E2EMS}} {
		if q.ms > 0 {
			limits = append(limits, q.name+" "+Plain(q.ms)+" ms")
		}
	}
	return strings.Join(limits, ", ")
}

// Plain prints a number as it was given.
func Plain(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// tenth prints a fraction in percent, to a tenth.
func tenth(fraction float64) string {
	return strconv.FormatFloat(math.Round(1000*fraction)/10, 'f', -1, 64)
}

// percent prints a fraction in percent with its sign.
func percent(fraction float64) string { return tenth(fraction) + " %" }

// Fraction prints a fraction in percent, with its interval.
func Fraction(v float64, ci95 *[2]float64) string {
	if ci95 == nil {
		return percent(v)
	}
	return fmt.Sprintf("%s (%s…%s)", percent(v), tenth(ci95[0]), tenth(ci95[1]))
}

// At is a load in words.
func (g Group) At(at float64) string {
	if g.Over == load.OverConcurrency {
		return Plain(at) + " in flight"
	}
	return Plain(at) + " req/s"
}

// Answers are the sentences that come first, on a terminal and on a page: the objective with the cheapest point of the
// cheapest group under it and the energy at half its load, then a sentence for each other group.
func (s Study) Answers() []string {
	groups := slices.Clone(s.Groups)
	least := func(g Group) float64 {
		if at := g.Cheapest(); at >= 0 {
			f, _ := g.Points[at].Figure(GoodTokenMetric)
			return f.Value
		}
		return math.Inf(1)
	}
	slices.SortStableFunc(groups, func(a, b Group) int { return cmp.Compare(least(a), least(b)) })
	head := "the cheapest load, without an objective:"
	if objective := Objective(s.SLO); objective != "" {
		head = "at " + objective + ":"
	}
	out := []string{head + " " + groups[0].answer()}
	for _, g := range groups[1:] {
		out = append(out, g.answer())
	}
	return out
}

// answer is the cheapest point of a group, or why there is none.
func (g Group) answer() string {
	at := g.Cheapest()
	name := ""
	if g.Name != "" {
		name = g.Name + " "
	}
	if at < 0 {
		if next := g.Next(); next != "" {
			return name + g.None() + "; next: measure " + next
		}
		return name + g.None()
	}
	p := g.Points[at]
	f, _ := p.Figure(GoodTokenMetric)
	out := fmt.Sprintf("%sat %s, %s per good token", name, g.At(p.Load), Amount(f))
	if half := g.Half(at); half >= 0 {
		h, _ := g.Points[half].Figure(GoodTokenMetric)
		out += fmt.Sprintf("; %s at %s", digits.SI(h.Value, "J"), Plain(g.Points[half].Load))
	}
	return out + g.found()
}

// found is what a search of the group found, with the reason if its limits are not resolved; empty without one.
func (g Group) found() string {
	for _, p := range g.Points {
		for _, r := range p.Runs {
			q := r.Load.Search
			if q == nil || q.Lower == nil {
				continue
			}
			out := "; a search met it at " + g.At(*q.Lower)
			if q.Upper != nil {
				out += ", not at " + Plain(*q.Upper)
			}
			if !q.Resolved {
				out += " (not resolved)"
			}
			return out
		}
	}
	return ""
}

// None returns why a group has no cheapest point.
func (g Group) None() string {
	saturated, met, open, judged := 0, 0, 0, 0
	best, attained, why := -1, math.Inf(-1), ""
	for i, p := range g.Points {
		switch f, ok := p.Figure(AttainmentMetric); {
		case len(p.Runs) == 0:
			continue
		case p.Saturated > 0:
			saturated++
		case p.SLOMet == load.Yes:
			met++
		case ok && f.Value > attained:
			best, attained = i, f.Value
		}
		if p.SLOMet == load.Unresolved {
			open++
			if _, other := p.unresolved(); other != "" {
				why = other
			}
		}
		judged++
	}
	switch {
	case judged == 0:
		return "has no run at a load"
	case met > 0:
		return "met the objective, and has no energy per good token: " + g.energyReason()
	case saturated == judged:
		return "was saturated at every load"
	case best >= 0 && open > 0:
		if why != "" {
			why = ": " + why
		}
		return fmt.Sprintf("is not known to meet the objective at any load (%s unresolved%s); the best: %s at %s",
			digits.Count(open, "load"), why, percent(attained), g.At(g.Points[best].Load))
	case best >= 0:
		return fmt.Sprintf("met the objective at no load; the best: %s at %s", percent(attained),
			g.At(g.Points[best].Load))
	}
	return "has no energy per good token: " + g.energyReason()
}

func (g Group) energyReason() string {
	for _, p := range g.Points {
		if why := p.WhyNoEnergy(); why != "" {
			return why
		}
	}
	return "none was measured"
}

// WhyNoEnergy returns why runs of a point have no energy per good token; empty if all have one.
func (p Point) WhyNoEnergy() string {
	for _, r := range p.Runs {
		if r.Load.PerGoodTokenJ == nil {
			return atload.WhyNoEnergy(r)
		}
	}
	return ""
}

// Amount prints an energy with half the width of its interval.
func Amount(f view.Figure) string {
	if f.CI95 == nil {
		return digits.SI(f.Value, "J")
	}
	divisor, unit := digits.Prefix(f.Value, "J")
	return fmt.Sprintf("%s ± %s %s", digits.Significant(f.Value/divisor, 3),
		digits.Significant((f.CI95[1]-f.CI95[0])/2/divisor, 2), unit)
}

// LineText is the load line of a group in words: the power without requests, and the energy of each; or why there is
// none.
func (g Group) LineText() string {
	l := g.Line
	if l == nil {
		return "none, " + g.LineReason
	}
	out := fmt.Sprintf("%s + %s/request", within(l.InterceptW, "W"), within(l.SlopeJ, "J"))
	if !math.IsNaN(g.Proportionality) {
		out += ", proportional " + digits.Significant(g.Proportionality, 2)
	}
	return out + " (" + digits.Count(l.Runs, "run") + ")"
}

// within prints a value with half the width of its interval.
func within(v loadline.Interval, unit string) string {
	divisor, prefixed := digits.Prefix(v.Value, unit)
	return fmt.Sprintf("%s ± %s %s", digits.Significant(v.Value/divisor, 3), digits.Significant(v.Half()/divisor, 2),
		prefixed)
}

// Dash returns why a point has no latency percentiles: empty if it has some.
func (p Point) Dash() string {
	switch {
	case len(p.Runs) == 0 && p.Summary.Status != result.OK:
		return string(p.Summary.Status)
	case len(p.Runs) == 0:
		return view.NotCompared
	case p.Saturated == len(p.Runs):
		return "saturated"
	case p.Saturated > 0:
		return fmt.Sprintf("saturated in %d of %s", p.Saturated, digits.Count(len(p.Runs), "run"))
	}
	return ""
}
