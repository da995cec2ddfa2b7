package plan

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/study/terms"
)

// Canary is the first experiment once more, which each worker and each shard of a study executes before its first run.
type Canary struct {
	// Runs is how many of them the totals count: one in the plan of a shard. The whole study has as many as workers
	// on several machines.
	Runs int `json:"runs"`
	// Seconds, KWh and Cost are the estimate of one; null if it is unknown.
	Seconds *float64 `json:"seconds"`
	KWh     *float64 `json:"kwh"`
	Cost    *float64 `json:"cost"`
	// always reports whether workers on one machine execute it, too.
	always bool
}

// canary adds the canary to the plan, and in the plan of a shard to its totals.
func (p *Plan) canary(o Options) {
	s := o.Study
	if s.Execution.Canary == terms.CanaryNever || len(s.Experiments) == 0 {
		return
	}
	p.Canary = &Canary{always: s.Execution.Canary == terms.CanaryAlways}
	if !o.Shard.Whole() {
		p.Canary.Runs = 1
	}
	if o.Estimate == nil {
		return
	}
	need, reason := o.Estimate(s.Experiments[0])
	if need == nil {
		if p.Canary.Runs > 0 {
			p.Totals, p.Missing = nil, cmp.Or(p.Missing, reason)
		}
		return
	}
	kWh := need.Joules / joulesPerKWh
	p.Canary.Seconds, p.Canary.KWh = &need.Seconds, &kWh
	if o.Price > 0 {
		cost := kWh * o.Price
		p.Canary.Cost = &cost
	}
	if t := p.Totals; t != nil && p.Canary.Runs > 0 {
		t.Seconds, t.KWh = t.Seconds+need.Seconds, t.KWh+kWh
		for i := range 2 {
			t.SecondsRange[i] += need.SecondsRange[i]
			t.KWhRange[i] += need.JoulesRange[i] / joulesPerKWh
		}
		if t.Cost != nil {
			*t.Cost += *p.Canary.Cost
		}
	}
}

// canaries describes the canary in the first lines of the plan: what the totals count, and what workers add to them.
func (p *Plan) canaries(b *strings.Builder) {
	c := p.Canary
	if c == nil || c.Runs == 0 && !c.always {
		return
	}
	text := "  with a canary, the first experiment once more before the first run"
	if c.Runs == 0 {
		text = "  each worker adds a canary, the first experiment once more before its first run"
	}
	if c.KWh != nil {
		text += fmt.Sprintf(": about %s and %s", digits.Rough(digits.Duration(*c.Seconds)), p.energy(*c.KWh))
	}
	b.WriteString(text + "\n")
}
