package loads

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/study"
)

// Longer returns how much longer some loads must run to resolve whether they meet the objective, such as "12 req/s for
// 3 times as long"; empty for none.
func (g Group) Longer(of []float64) string {
	var out []string
	for _, p := range g.Points {
		if slices.Contains(of, p.Load) {
			out = append(out, g.At(p.Load)+p.longer())
		}
	}
	return strings.Join(out, ", ")
}

// mostTimes is the factor above which no factor is told: the attainment may be the limit itself.
const mostTimes = 20

// longer is the factor by which a point must run longer, from the distance of the attainment to its limit.
func (p Point) longer() string {
	f, ok := p.Figure(AttainmentMetric)
	if !ok || len(p.Runs) == 0 {
		return " for longer"
	}
	limit := p.Summary.Config.Workload.SLO.Limits().Attainment
	low, high, scheduled := 1.0, 0.0, int64(0)
	for _, r := range p.Runs {
		if a := r.Load.Attainment; a != nil {
			low, high, scheduled = min(low, a.CI95[0]), max(high, a.CI95[1]), scheduled+r.Load.Scheduled
		}
	}
	each := float64(scheduled) / float64(len(p.Runs))
	times := math.Pow((high-low)/2/math.Abs(f.Value-limit), 2)
	if limit < 1 && each > 0 {
		times = max(times, float64(load.LeastRequests(limit, load.Z95))/each)
	}
	if !(times <= mostTimes) {
		return " for much longer (its attainment is close to the limit)"
	}
	return fmt.Sprintf(" for %d times as long", int(math.Ceil(max(2, times))))
}

// Next returns which loads to measure if none is known to meet the objective, such as "1 req/s for 3 times as long" or
// "loads below 1 req/s, such as 0.25"; empty if that would not help.
func (g Group) Next() string {
	var open []float64
	for _, p := range g.Points {
		if more, _ := p.unresolved(); more {
			open = append(open, p.Load)
		}
	}
	if len(open) > 0 {
		return g.Longer(open[:1]) // the lowest one is the likeliest
	}
	for _, p := range g.Points {
		if len(p.Runs) == 0 {
			continue
		}
		if p.SLOMet == load.No || p.Saturated > 0 {
			return "loads below " + g.At(p.Load) + ", such as " + Plain(p.Load/4)
		}
		return ""
	}
	return ""
}

// Selector is what follows the folder to name one of several configurations; empty for the only one.
func Selector(g Group, all []Group) string {
	bases := make([]study.Experiment, len(all))
	for i, o := range all {
		bases[i] = o.Base
	}
	var parts []string
	for _, k := range naming.Varying(bases) {
		if text := k.Text(g.Base); text != "" {
			parts = append(parts, k.Name+"="+text)
		}
	}
	return strings.Join(parts, ",")
}
