// Package naming names experiments by the keys whose values vary in a study. Plans, events, reports and tables
// share these names. It also describes how a study differs from its earlier version.
package naming

import (
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/study"
)

// Naming names the experiments of a study by the keys whose values vary. Plans, events, reports and tables use
// only it, so that one experiment has the same name everywhere.
type Naming struct {
	// Columns are the keys that vary, in the order of the grammar.
	Columns []nameColumn
}

// nameColumn is a key that varies, or keys of several engines that share a name: an experiment has one of them.
type nameColumn struct {
	// Name is the last part of the key, or the whole key if two columns would have the same name.
	Name string
	keys []Key
}

// Of names experiments by the keys that vary among them, except keys that do not change the measurement, such as a
// price. If no key varies, as for a single experiment, it has no columns.
func Of(all []study.Experiment) Naming { return By(Varying(all), all) }

// By names experiments by the given keys of [Varying].
func By(varying []Key, all []study.Experiment) Naming {
	var n Naming
	for _, k := range varying {
		if slices.Contains(keys.Asides(), k.Name) {
			continue
		}
		if i := slices.IndexFunc(n.Columns, func(c nameColumn) bool { return c.takes(k) }); i >= 0 {
			n.Columns[i].keys = append(n.Columns[i].keys, k)
			continue
		}
		n.Columns = append(n.Columns, nameColumn{k.short(), []Key{k}})
	}
	n.complete(all)
	short := map[string]int{}
	for _, c := range n.Columns {
		short[c.Name]++
	}
	for i, c := range n.Columns {
		if short[c.Name] > 1 {
			n.Columns[i].Name = c.keys[0].Name
		}
	}
	return n
}

// takes reports whether a key may share the column: it has the same name in the section of another engine.
func (c nameColumn) takes(k Key) bool {
	return k.short() == c.keys[0].short() && k.section() != "" &&
		!slices.ContainsFunc(c.keys, func(o Key) bool { return o.section() == "" || o.section() == k.section() })
}

// complete adds keys of other engines that do not vary, so that their experiments have a value in the column too.
func (n Naming) complete(all []study.Experiment) {
	if !slices.ContainsFunc(n.Columns, func(c nameColumn) bool { return c.keys[0].section() != "" }) {
		return
	}
	for _, k := range resolvedKeys(distinct(all)...) {
		for i := range n.Columns {
			if c := &n.Columns[i]; c.takes(k) {
				c.keys = append(c.keys, k)
			}
		}
	}
}

// unset stands for a value that the engine decides.
const unset = "default"

// Value returns the experiment's value; empty if it has none of the column's keys.
func (c nameColumn) Value(e study.Experiment) string {
	for _, k := range c.keys {
		if !k.in(e) {
			continue
		}
		if text := k.Text(e); text != "" {
			return text
		}
		return unset
	}
	return ""
}

// Has reports whether the column is for a key, given by its dotted name.
func (c nameColumn) Has(key string) bool {
	return slices.ContainsFunc(c.keys, func(k Key) bool { return k.Name == key })
}

// Heads returns the names of the columns.
func (n Naming) Heads() []string {
	out := make([]string, len(n.Columns))
	for i, c := range n.Columns {
		out[i] = c.Name
	}
	return out
}

// Values returns the experiment's values, one for each column; see nameColumn.Value.
func (n Naming) Values(e study.Experiment) []string {
	out := make([]string, len(n.Columns))
	for i, c := range n.Columns {
		out[i] = c.Value(e)
	}
	return out
}

// Varies reports whether a key, given by its dotted name, varies.
func (n Naming) Varies(key string) bool {
	return slices.ContainsFunc(n.Columns, func(c nameColumn) bool { return c.Has(key) })
}

// Label names an experiment in a line of text, such as "pytorch float16 batch_size=8": a model, an engine and a
// type appear without their key. If no key varies, it is the experiment's own label.
func (n Naming) Label(e study.Experiment) string {
	var words []string
	for _, c := range n.Columns {
		switch v := c.Value(e); {
		case v == "":
		case c.Name == "model" || c.Name == "backend" || c.Name == "dtype":
			words = append(words, v)
		default:
			words = append(words, c.Name+"="+v)
		}
	}
	if len(words) == 0 {
		return e.Label()
	}
	return strings.Join(words, " ")
}
