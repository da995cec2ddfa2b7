package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/result"
)

// Machines is what a comparison of runs from several machines rests on.
type Machines struct {
	// Total is the number of machines, and Shared how many of them have runs of both sides.
	Total  int `json:"total"`
	Shared int `json:"shared"`
	// Used is the number of machines within which the primary metric is compared: Shared, or more if other
	// configurations compare the machines; 0 if nothing does. Configurations is the number of these configurations,
	// including both sides.
	Used           int `json:"used"`
	Configurations int `json:"configurations"`
	// VariesP is the p-value of the hypothesis that the change is the same on all machines; null if unknown.
	VariesP *float64 `json:"varies_p"`
	// Between is by how much the machines differ in the primary metric: the largest over the smallest one, minus 1;
	// null if unknown.
	Between *float64 `json:"between"`
}

// place is the machine of the runs of a side, or the GPUs if a machine has several.
type place struct {
	// of returns the place of a run of a side.
	of func(Side, *result.Record) string
	// total is the number of places of both sides.
	total int
	// unit is machine or GPU.
	unit string
}

// placesOf returns where runs were executed; nil if all were executed on one machine, or if that is unknown. Only
// workers record their machines.
func placesOf(a, b Side) *place {
	machine := func(s Side, r *result.Record) string { return s.node(r.Worker) }
	cards := func(s Side, r *result.Record) string {
		return machine(s, r) + " " + strings.Join(slices.Sorted(slices.Values(r.Backend.GPUs)), "+")
	}
	workers, machines, gpus := false, map[string]bool{}, map[string]bool{}
	for _, s := range []Side{a, b} {
		for _, r := range s.Runs {
			workers = workers || r.Worker != ""
			machines[machine(s, r)], gpus[cards(s, r)] = true, true
		}
	}
	switch {
	case !workers || len(gpus) < 2:
		return nil
	case len(gpus) > len(machines):
		return &place{cards, len(gpus), "GPU"}
	}
	return &place{machine, len(machines), "machine"}
}

// node returns the machine of a worker; of a process that works alone, the machine of the study.
func (s Side) node(worker string) string {
	if node, ok := s.nodes[worker]; ok {
		return node
	}
	if worker == "" {
		return "the machine of " + s.Study
	}
	return worker
}

// The groups of the sides in a comparison within machines.
const groupA, groupB = "A", "B"

// within compares a metric within the machines; n and k are the numbers of values of the sides.
func (c *Comparison) within(m result.MetricInfo, a, b Side, p *place) (_ stats.Comparison, n, k int, err error) {
	var values []stats.InBlock
	for _, r := range a.Runs {
		if v, ok := m.Value(r); ok {
			values, n = append(values, stats.InBlock{Group: groupA, Block: p.of(a, r), Value: v}), n+1
		}
	}
	for _, r := range b.Runs {
		if v, ok := m.Value(r); ok {
			values, k = append(values, stats.InBlock{Group: groupB, Block: p.of(b, r), Value: v}), k+1
		}
	}
	if n == 0 || k == 0 {
		return stats.Comparison{}, n, k, nil
	}
	if p.unit == "machine" { // rows do not tell GPUs
		values = append(values, others(m, a, b)...)
		if b.Study != a.Study {
			values = append(values, others(m, b, a)...)
		}
	}
	found, used, err := stats.CompareBlocks(values, groupA, groupB, stats.Options{Level: 1 - level, Seed: 1})
	if err != nil {
		return found, n, k, err
	}
	if c.used == nil {
		c.used = map[string]stats.Blocks{}
	}
	c.used[m.Name] = used
	return found, n, k, nil
}

// others returns the values of the other configurations of a side's study: they compare the machines, too.
func others(m result.MetricInfo, s, other Side) (out []stats.InBlock) {
	for _, r := range s.rows {
		if r.ID == s.id || s.Study == other.Study && r.ID == other.id ||
			r.Provenance != s.Runs[0].Energy.Provenance {
			continue
		}
		if v, ok := r.Values.Get(m.Name); ok {
			out = append(out, stats.InBlock{Group: s.Study + " " + r.ID, Block: s.node(r.Worker), Value: v})
		}
	}
	return out
}

// settle describes the machines behind the primary metric.
func (c *Comparison) settle(p *place) {
	if p == nil {
		return
	}
	used := c.used[c.Primary]
	c.Machines = &Machines{Total: p.total, Shared: used.Shared, Used: used.Used, Configurations: used.Groups}
	c.unit = p.unit
	c.PairedWhy = "the runs are from " + digits.Count(p.total, p.unit)
	if v := used.Between; v >= 0 {
		c.Machines.Between = &v
	}
	if v := used.Varies; v >= 0 && v <= 1 {
		c.Machines.VariesP = &v
		if v < level {
			c.Warnings = append(c.Warnings,
				fmt.Sprintf("the change of %s is not the same on all %ss, by more than the "+
					"scatter of runs (p %s): the interval counts %ss, not runs", c.Metrics[0].Label, p.unit, Chance(v),
					p.unit))
		}
	}
}

// runs returns how many runs the answer rests on, and within how many machines.
func (c *Comparison) runs() string {
	m := c.Metrics[0]
	runs := fmt.Sprintf("%d and %s", m.NA, digits.Count(m.NB, "run"))
	if c.Paired && m.Verdict != NotTested {
		return digits.Count(m.NA, "cycle") + " in pairs"
	}
	if m.NA == m.NB {
		runs = digits.Count(m.NA, "run") + " each"
	}
	if c.Machines == nil || c.Machines.Used == 0 {
		return runs
	}
	runs += " within " + digits.Count(c.Machines.Used, c.unit)
	if n := c.Machines.Configurations; n > 2 {
		runs += fmt.Sprintf(" that %d configurations compare", n)
	}
	return runs
}

// How returns how the values of the sides were compared.
func (c *Comparison) How() string {
	switch {
	case c.Paired:
		return "in pairs by cycle: " + c.PairedWhy
	case c.Machines == nil:
		return "not in pairs: " + c.PairedWhy +
			", so other changes between them (temperature, other work) count as a " +
			"difference too; execution.order: balanced in one study removes them"
	case c.Machines.Used == 0:
		return fmt.Sprintf("not compared: A and B share no %s, and no other configuration connects theirs", c.unit)
	}
	text := fmt.Sprintf("within %ss: %s%s, so a difference between the %ss does not count as a difference between "+
		"A and B", c.unit, c.PairedWhy, c.apart(), c.unit)
	if n := c.Machines.Configurations; n > 2 {
		text += fmt.Sprintf("; all %d configurations tell how the %ss differ, and the interval has the scatter of all",
			n, c.unit)
	}
	return text + "; the columns A and B are means of all runs"
}

// apart returns by how much the machines differ; empty if unknown.
func (c *Comparison) apart() string {
	if c.Machines.Between == nil {
		return ""
	}
	return fmt.Sprintf(", which differ by up to %s %% in %s", digits.Significant(100**c.Machines.Between, 2),
		c.Metrics[0].Label)
}

// confounded answers for two sides that share no machine.
func (c *Comparison) confounded() string {
	m := c.Metrics[0]
	value, _ := m.change()
	than := " in B than in A"
	if m.Ratio != nil && m.factor() {
		than = " in B as in A"
	}
	return fmt.Sprintf("Whether %s differs cannot be told: A and B share no %s, and that it is %s%s may be the "+
		"difference of the %ss. Run both on the same %ss.", m.Label, c.unit, value, than, c.unit, c.unit)
}
