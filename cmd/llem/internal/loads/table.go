package loads

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/atload"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/result"
)

// Column is a column of figures of the table of loads: the first of its metrics that a point has.
type Column struct {
	Head    string
	Metrics []string
	// Latency marks times that a saturated point does not have.
	Latency bool
}

// Columns are the columns of figures of the table of loads. Times count from the scheduled arrival.
func Columns() []Column {
	return []Column{
		{Head: "done", Metrics: []string{CompletedMetric}},
		{"TTFT p95", []string{"latency.response_ttft_ms.p95", "latency.ttft_ms.p95"}, true},
		{"TPOT p95", []string{"latency.tpot_ms.p95"}, true},
		{Head: withinHead, Metrics: []string{AttainmentMetric}},
		{Head: metric.Head(GoodTokenMetric), Metrics: []string{GoodTokenMetric}},
		{Head: metric.Head(PowerMetric), Metrics: []string{PowerMetric}},
	}
}

// Narrow are the columns where there is little room.
func Narrow() []Column {
	return slices.DeleteFunc(Columns(), func(c Column) bool {
		return c.Head == "TPOT p95" || c.Head == "done" || c.Head == metric.Head(PowerMetric)
	})
}

// Table is the table of points of groups, each from the lowest load to the highest. Columns without a value are
// left out. Names tells whether the first column names the groups.
func Table(groups []Group, names bool, columns []Column) table.Table {
	var out table.Table
	if names {
		out.Head, out.Names = append(out.Head, "config"), 1
	}
	over := overHead(groups)
	out.Head = append(out.Head, over)
	for _, c := range columns {
		out.Head = append(out.Head, c.Head)
		switch c.Head {
		case withinHead:
			out.Head = append(out.Head, "SLO")
		case metric.Head(GoodTokenMetric):
			out.Head = append(out.Head, view.SpreadHead)
		}
	}
	for _, g := range groups {
		for _, p := range g.Points {
			var cells []string
			if names {
				cells = append(cells, g.Name)
			}
			cells = append(cells, Plain(p.Load))
			out.Rows = append(out.Rows, append(cells, p.cells(columns)...))
		}
	}
	return out.DropEmpty(over)
}

// Shown returns the groups with at most so many points each: the cheapest one, the one at half its load and the
// next one above are kept, then those nearest to the cheapest. It also returns how many are left out.
func Shown(groups []Group, most int) (out []Group, left int) {
	for _, g := range groups {
		if len(g.Points) > most {
			order := g.byInterest()
			keep := order[:most]
			slices.Sort(keep)
			points := make([]Point, 0, most)
			for _, i := range keep {
				points = append(points, g.Points[i])
			}
			left += len(g.Points) - most
			g.Points = points
		}
		out = append(out, g)
	}
	return out, left
}

// byInterest are the indices of the points, the most telling ones first.
func (g Group) byInterest() []int {
	at := max(0, g.Cheapest()) // the lowest loads are the likeliest to meet an objective
	rank := func(i int) int {
		switch i {
		case at:
			return 0
		case at + 1:
			return 1
		case g.Half(at):
			return 2
		}
		return 3 + max(i-at, at-i)
	}
	out := make([]int, len(g.Points))
	for i := range out {
		out[i] = i
	}
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}

// withinHead is the head of the column of attainments.
const withinHead = "within"

// overHead is the head of the column of loads.
func overHead(groups []Group) string {
	of := []string{}
	for _, g := range groups {
		head := OverHead(g.Over)
		if !slices.Contains(of, head) {
			of = append(of, head)
		}
	}
	return strings.Join(of, " or ")
}

// OverHead is the head of a column of rates, or of requests in flight.
func OverHead(over string) string {
	if over == load.OverConcurrency {
		return "in flight"
	}
	return "req/s"
}

// VerdictCell is a verdict on an objective in a cell.
func VerdictCell(met string) string { return cmp.Or(shortVerdict(met), table.Missing) }

// cells are the figures of a point.
func (p Point) cells(columns []Column) (cells []string) {
	for _, c := range columns {
		text, f := table.Missing, view.Figure{}
		for _, name := range c.Metrics {
			var ok bool
			m, err := result.Metric(name)
			if f, ok = p.Figure(name); !ok || err != nil || c.Latency && p.Saturated > 0 {
				continue
			}
			if text = view.Number(m, f.Value); name == AttainmentMetric {
				text = percent(f.Value)
			}
			break
		}
		cells = append(cells, text)
		switch c.Head {
		case withinHead:
			cells = append(cells, VerdictCell(p.SLOMet))
		case metric.Head(GoodTokenMetric):
			m, _ := result.Metric(GoodTokenMetric)
			cells = append(cells, cmp.Or(f.PlusMinus(m), table.Missing))
		}
	}
	return cells
}

// shortVerdict is a verdict in a cell.
func shortVerdict(met string) string {
	if met == load.Unresolved {
		return "?"
	}
	return met
}

// Dashes are the reasons for cells without a number in the table, each once, with the loads that it is about.
func Dashes(all Study) []string {
	var order []string
	at := map[string][]string{}
	add := func(why, where string) {
		if why == "" || slices.Contains(at[why], where) {
			return
		}
		if len(at[why]) == 0 {
			order = append(order, why)
		}
		at[why] = append(at[why], where)
	}
	for _, g := range all.Groups {
		for _, p := range g.Points {
			where := Plain(p.Load)
			if g.Name != "" {
				where = g.Name + " " + where
			}
			if why := p.Dash(); why == "saturated" || strings.HasPrefix(why, "saturated ") {
				add(why+": times would describe the length of the run", where)
			} else {
				add(why, where)
			}
			for _, r := range p.Runs {
				if _, ok := p.Figure(GoodTokenMetric); !ok {
					why := atload.WhyNoEnergy(r)
					add("no energy per good token: "+why, where)
				}
				if l := r.Latency; l != nil && !r.Load.Saturated {
					add(l.Reason, where)
				}
			}
			if p.few() {
				add(fmt.Sprintf("too few requests: p95 needs %d", stats.PercentileFloor(95)), where)
			}
		}
	}
	var out []string
	for _, why := range order {
		out = append(out, why+" (at "+strings.Join(at[why], ", ")+")")
	}
	return out
}

// few reports whether a point has times, and too few of them for their percentiles.
func (p Point) few() bool {
	_, ok := p.Figure("latency.response_ttft_ms.p95")
	return !ok && p.Steady() && slices.ContainsFunc(p.Runs, func(r *result.Record) bool {
		return r.Latency != nil && cmp.Or(r.Latency.ResponseTTFT, r.Latency.TTFT) != nil
	})
}

// Unresolved reports for how many points the interval of the attainment holds the limit; empty for none.
func (s Study) Unresolved() string {
	n := 0
	for _, g := range s.Groups {
		for _, p := range g.Points {
			if p.SLOMet == load.Unresolved {
				n++
			}
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("? %s unresolved: the interval of the attainment holds the limit", digits.Count(n, "load"))
}
