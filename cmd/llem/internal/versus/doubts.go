package versus

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/study"
)

// doubt reports what differs between the sides beside what is compared: the model, the work, and how requests arrive.
func (c *Comparison) doubt(a, b Side) {
	work := differing(a, b, func(key string) bool {
		return strings.HasPrefix(key, "workload.") && !strings.HasPrefix(key, arrivals) && !strings.HasPrefix(key,
			objective)
	})
	if model := differing(a, b, func(key string) bool { return key == "model" }); model != "" {
		c.Warnings = append(c.Warnings, "the sides ran different models ("+model+"): the difference of the models "+
			"counts "+
			"as a difference of the configurations; next: compare studies of one model to learn what else differs")
	}
	if work != "" {
		c.Warnings = append(c.Warnings, "the sides did different work ("+work+"): it counts as a difference of the "+
			"configurations; next: measure both with the same workload")
	}
	if text := c.arrivals(a, b); text != "" {
		c.Warnings = append(c.Warnings, text+", so that no load of one is a load of the other; next: measure both "+
			"with "+
			"the same "+strings.TrimSuffix(arrivals, "."))
	}
}

// Keys of how requests arrive, and of the objective.
const arrivals, objective = "workload.load.", "workload.slo."

// arrivals returns how the arrivals of the sides differ apart from the load; empty if they do not.
func (c *Comparison) arrivals(a, b Side) string {
	text := differing(a, b, func(key string) bool {
		return strings.HasPrefix(key, arrivals) && key != arrivals+"seed" && key != arrivals+"trace"
	})
	if x, y := naming.Trace(a.Group.Base.Workload.Load), naming.Trace(b.Group.Base.Workload.Load); x != y &&
		text == "" {
		text = fmt.Sprintf("%strace is %s in A and %s in B", arrivals, orNone(x), orNone(y))
	}
	for _, p := range a.Group.Points {
		for _, q := range b.Group.Points {
			if text == "" && atOf(p.Summary.Config) == atOf(q.Summary.Config) {
				text = otherTrace(p, q)
			}
		}
	}
	if text == "" {
		return ""
	}
	return "requests arrive differently (" + text + ")"
}

// differing lists the keys of some name in which the sides differ.
func differing(a, b Side, is func(key string) bool) string {
	x, y := a.Group.Base, b.Group.Base
	var out []string
	for _, k := range naming.Varying([]study.Experiment{x, y}) {
		if is(k.Name) {
			out = append(out, fmt.Sprintf("%s is %s in A and %s in B", k.Name, orNone(k.Text(x)), orNone(k.Text(y))))
		}
	}
	return strings.Join(out, ", ")
}

func orNone(text string) string {
	if text == "" {
		return "not set"
	}
	return text
}
