package versus

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/study"
)

// answer sets the answer, and what to run next.
func (c *Comparison) answer(a, b Side, common bool) {
	switch {
	case !common:
		c.Answer = "The cheapest loads are not compared: the objectives differ (A " + objectiveOf(a) + ", B " +
			objectiveOf(b) + "). " + c.atLoads()
		c.Next = "judge both by one objective, such as --slo ttft=500ms,tpot=50ms,attainment=0.95"
	case !c.SLO.Set():
		c.Answer = c.atLoads()
		c.Next = "for the cheapest load of each within an objective: --slo ttft=500ms,tpot=50ms,attainment=0.95"
	default:
		c.Answer = c.within(a, b)
	}
}

func objectiveOf(s Side) string {
	if text := loads.Objective(s.slo()); text != "" {
		return text
	}
	return "none"
}

// within is the answer about the cheapest loads within the objective.
func (c *Comparison) within(a, b Side) string {
	found := c.Cheapest
	head := "Within " + loads.Limits(c.SLO) + " for "
	if loads.Limits(c.SLO) == "" {
		head = "With complete answers for "
	}
	head += loads.Fraction(c.SLO.Limits().Attainment, nil) + ": "
	c.Next = c.next(a, b)
	nameA, nameB := names(a, b)
	if found.Metric == nil {
		var texts []string
		for _, s := range []struct {
			name  string
			least Least
			side  Side
		}{{nameA, found.A, a}, {nameB, found.B, b}} {
			if s.least.Load == nil {
				texts = append(texts, s.name+" "+s.least.Reason)
			} else {
				texts = append(texts, s.name+" "+s.least.text(s.side.Group, s.least)+" a good token")
			}
		}
		return head + strings.Join(texts, "; ") + "."
	}
	head += nameA + " " + found.A.text(a.Group, found.B) + " a good token, " + nameB + " " + found.B.text(b.Group,
		found.A) + ": "
	return head + found.verdict() + "."
}

// longest is the maximum length of a name after A or B.
const longest = 24

// names are A and B, with what tells them apart if it is short.
func names(a, b Side) (nameA, nameB string) {
	bases := []study.Experiment{a.Group.Base, b.Group.Base}
	of := naming.Of(bases)
	x, y := of.Label(bases[0]), of.Label(bases[1])
	if x == y || max(utf8.RuneCountInString(x), utf8.RuneCountInString(y)) > longest {
		return "A", "B"
	}
	return "A (" + x + ")", "B (" + y + ")"
}

// text is the load and its energy, in the unit that it shares with another one.
func (l Least) text(g loads.Group, other Least) string {
	e := l.PerGoodTokenJ
	divisor, unit := digits.Prefix(max(e.Value, other.PerGoodTokenJ.Value), "J")
	out := "at " + g.At(*l.Load) + " " + digits.Significant(e.Value/divisor, 3)
	if e.CI95 != nil {
		out += " ± " + digits.Significant((e.CI95[1]-e.CI95[0])/2/divisor, 2)
	}
	return out + " " + unit
}

// verdict is what is known about the difference of the cheapest loads.
func (c *Cheapest) verdict() string {
	m := c.Metric
	switch c.Verdict {
	case compare.Lower:
		return "B takes " + less(m, false)
	case compare.Higher:
		return "A takes " + less(m, true)
	case compare.Same:
		return "they take the same"
	case compare.Confounded:
		return "which takes less cannot be told, because the sides share no machine"
	case compare.NotTested:
		return fmt.Sprintf("which takes less is not tested, because a side has one run (B took %s)", changeOf(m))
	case Open:
		return "which takes less is open: " + c.Why
	}
	return fmt.Sprintf("which takes less cannot be told (B took %s; 95 %%: %s)", changeOf(m), intervalOf(m))
}

// changeOf is how much B takes of what A takes.
func changeOf(m *compare.Metric) string {
	switch r := m.Ratio; {
	case r == nil:
		return "an unknown part of what A takes"
	case *r < 0.5 || *r > 2:
		return digits.Significant(*r, 3) + " times as much as A"
	case *r < 1:
		return digits.Significant(100*(1-*r), 2) + " % less than A"
	default:
		return digits.Significant(100*(*r-1), 2) + " % more than A"
	}
}

func intervalOf(m *compare.Metric) string {
	_, interval := m.Change()
	return interval
}

// less is how much less the cheaper side takes: B, or A if inverse.
func less(m *compare.Metric, inverse bool) string {
	if m.Ratio == nil {
		return "less"
	}
	of := func(r float64) float64 {
		if inverse {
			return 1 / r
		}
		return r
	}
	r := of(*m.Ratio)
	low, high := r, r
	if m.CI95 != nil {
		low, high = of(m.CI95[0]), of(m.CI95[1])
	}
	low, high = min(low, high), max(low, high)
	if r < 0.5 {
		than := "A"
		if inverse {
			than = "B"
		}
		return fmt.Sprintf("%s times as much as %s (95 %%: %s to %s)", digits.Significant(r, 2), than,
			digits.Significant(low, 2), digits.Significant(high, 2))
	}
	n := 0
	if w := 50 * (high - low); w > 0 {
		n = min(2, max(0, int(math.Ceil(-math.Log10(w)))))
	}
	pct := func(r float64) string { return digits.Signed(fmt.Sprintf("%.*f", n, 100*(1-r))) }
	return fmt.Sprintf("%s %% less (95 %%: %s to %s)", pct(r), pct(high), pct(low))
}

// atLoads is the answer about the loads of both.
func (c *Comparison) atLoads() string {
	if c.Primary == "" {
		return "No load was measured on both sides, so nothing is compared."
	}
	head := metric.Head(c.Primary)
	var lower, higher, rest, untested []string
	for _, p := range c.Pairs {
		m := p.Metric(c.Primary)
		if m == nil {
			continue
		}
		value, _ := m.Change()
		at := p.at(c.Over)
		switch m.Verdict {
		case compare.Lower:
			lower = append(lower, value+" at "+at)
		case compare.Higher:
			higher = append(higher, value+" at "+at)
		case compare.NotTested:
			untested = append(untested, value+" at "+at)
		default:
			rest = append(rest, at)
		}
	}
	var parts []string
	add := func(what string, of []string) {
		if len(of) > 0 {
			parts = append(parts, what+" at "+fmt.Sprint(len(of))+" ("+ends(of)+")")
		}
	}
	add("B is lower", lower)
	add("B is higher", higher)
	add("not tested, because a side has one run,", untested)
	if len(rest) > 0 {
		parts = append(parts, "cannot be told at "+strings.Join(rest, ", "))
	}
	n := len(lower) + len(higher) + len(rest) + len(untested)
	return fmt.Sprintf("%s at the %s of both: %s.", head, digits.Count(n, "load"), strings.Join(parts, "; "))
}

// ends are the first and the last of a list.
func ends(of []string) string {
	if len(of) < 3 {
		return strings.Join(of, ", ")
	}
	return of[0] + " … " + of[len(of)-1]
}

// at is the load of a pair in words.
func (p Pair) at(over string) string { return loads.Group{Over: over}.At(p.Load) }

// next is what to run to know more.
func (c *Comparison) next(a, b Side) string {
	found := c.Cheapest
	m := found.Metric
	var out []string
	switch v := found.Verdict; {
	case v == None:
		out = append(missing("A", found.A, a.Group), missing("B", found.B, b.Group)...)
	case v == Open:
		out = append(out, found.next)
	case v == compare.NotTested:
		out = append(out, "3 to 5 cycles of each (execution.cycles)")
	case v == compare.Confounded:
		out = append(out, "both sides on the same machines")
	case v == compare.NotTold && m.Visible != nil && m.Visible.Needed > 0:
		out = append(out, fmt.Sprintf("more cycles: %d of each can show a difference of %s; the difference seen "+
			"would take "+
			"about %d", min(m.NA, m.NB), compare.Amount(m.Visible.From), m.Visible.Needed))
	case found.A.Highest || found.B.Highest:
		highest := "A and B"
		if !found.B.Highest {
			highest = "A"
		} else if !found.A.Highest {
			highest = "B"
		}
		out = append(out, highest+" at higher loads: the highest one met the objective, and a higher one may take less")
	}
	if out = slices.DeleteFunc(out, func(s string) bool { return s == "" }); len(out) == 0 {
		return ""
	}
	return "measure " + strings.Join(out, "; ")
}

// missing is what to measure of a side that no load of is known to meet the objective.
func missing(name string, l Least, g loads.Group) []string {
	if l.Load != nil {
		return nil
	}
	if text := g.Next(); text != "" {
		return []string{name + " at " + text}
	}
	return nil
}
