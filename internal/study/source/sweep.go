package source

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

// top reads a whole file.
func (r *reader) top(root *yaml.Node) {
	s := &scope{set: r.Set, extra: studyKeys(r.Set)}
	if r.machine {
		s.extra = append(s.extra, slices.Sorted(maps.Keys(r.OwnKinds))...)
	}
	s.leaf = func(key string, k, v *yaml.Node) {
		f, isField := r.Lookup(key)
		switch {
		case key == "sweep":
			r.sweep(k, v)
		case key == "experiments":
			r.experiments(k, v)
		case key == "base":
			r.basePaths(k, v)
		case isField && key == "backend" && v.Kind == yaml.SequenceNode:
			r.axis(f, k, v)
		case isField && v.Kind == yaml.SequenceNode && !f.List:
			r.Fail(r.at(k), "to try several values, write them under sweep:", "%s takes one value, not a list", key)
		default:
			if text, ok := r.single(f, key, k, v); ok {
				r.fix(&r.out, key, text)
			}
		}
	}
	r.walk(s, "", root)
}

// studyKeys returns the keys of a file that do not describe an experiment.
func studyKeys(set *keys.Set) []string {
	out := []string{"name", "base", "sweep", "experiments"}
	for _, f := range set.ExecutionFields {
		out = append(out, f.Key)
	}
	return out
}

// NameKind is the kind of the key name.
var NameKind = grammar.Line("the study's name")

// fix gives one key its value.
func (b *Source) fix(l *Layer, key string, v Value) {
	if key == "name" {
		if parsed, ok := b.parseValue(key, NameKind, v); ok {
			l.Name = parsed.Text
		}
		return
	}
	if k, ok := b.OwnKinds[key]; ok {
		if parsed, ok := b.parseValue(key, k, v); ok {
			l.Own[key] = Value{Text: parsed.Text, At: v.At}
		}
		return
	}
	if x, ok := b.LookupExecution(key); ok {
		if parsed, ok := b.parseValue(key, x.Kind, v); ok {
			l.Execution[key] = Placed{x, parsed, v.At}
		}
		return
	}
	f, _ := b.Lookup(key)
	if parsed, ok := b.parseValue(key, f.Kind, v); ok {
		l.Fixed = append(l.Fixed, Placed{f, parsed, v.At})
	}
}

// basePaths reads the key base.
func (r *reader) basePaths(k, n *yaml.Node) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	for _, item := range items {
		v, ok := r.scalar("base", k, resolve(item))
		if !ok {
			continue
		}
		if _, err := grammar.Line("the path of a study file").Parse(v.Text); err != nil {
			r.failValue(v.At, "base", err)
			continue
		}
		r.bases = append(r.bases, v)
	}
}

// sweepKeys are the keys of sweep that are not axes.
var sweepKeys = []string{"groups", "zip", "link", "where"}

func sweepScope(k *keys.Set) *scope { return &scope{set: k, in: " in sweep", extra: sweepKeys} }

// sweep reads the axes of a file.
func (r *reader) sweep(k, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.Fail(r.at(k), "write sweep: {embedded.batch_size: [1, 8]}", "sweep holds keys with lists of values")
		return
	}
	r.tagged(n)
	s := sweepScope(r.Set)
	s.leaf = func(key string, k, v *yaml.Node) {
		switch key {
		case "groups":
			r.groups(k, v)
		case "zip":
			r.zips(k, v)
		case "link":
			r.linked(k, v)
		case "where":
			r.conditions(k, v)
		default:
			f, _ := r.Lookup(key)
			r.axis(f, k, v)
		}
	}
	r.walk(s, "", n)
}

// axis reads the values of one key.
func (r *reader) axis(f *keys.Field, k, n *yaml.Node) {
	if a := r.plain(f, k, n); a != nil {
		r.out.Axes = append(r.out.Axes, a)
	}
}

// plain returns an axis of one key, or nil after a mistake.
func (r *reader) plain(f *keys.Field, k, n *yaml.Node) *Axis {
	if f.Aside {
		r.Fail(r.at(k), "give it one value outside of sweep",
			"%s cannot be an axis: it does not change what is measured",
			f.Key)
		return nil
	}
	values, at := r.values(f, k, n)
	if values == nil {
		return nil
	}
	return plain(f, r.at(k), at, values)
}

func plain(f *keys.Field, at, valueAt *grammar.Error, values []grammar.Value) *Axis {
	a := &Axis{Form: PlainAxis, Name: f.Key, At: at, Keys: []AxisKey{{f, valueAt}},
		Choices: make([][]Assign, len(values))}
	flat := make([]Assign, len(values))
	for i, v := range values {
		flat[i] = Assign{f, v}
		a.Choices[i] = flat[i : i+1 : i+1]
	}
	return a
}

// values reads a scalar, a range, or a list of both, and returns the position of the first value. It returns nil
// if no value is good.
func (r *reader) values(f *keys.Field, k, n *yaml.Node) (out []grammar.Value, at *grammar.Error) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		r.tagged(n)
		items = n.Content
		if len(items) == 0 {
			r.Fail(r.at(n), "give at least one value or remove the key", "%s is an empty list", f.Key)
		}
	}
	for _, item := range items {
		item = resolve(item)
		where := item
		if n.Kind != yaml.SequenceNode {
			where = k
		}
		if item.Kind == yaml.SequenceNode && !f.List || item.Kind == yaml.MappingNode {
			r.Fail(r.at(where),
				"write a flat list of values; write keys that change together under sweep: groups:",
				"%s takes single values", f.Key)
			continue
		}
		v, ok := r.single(f, f.Key, where, item)
		if !ok {
			continue
		}
		if at == nil {
			at = v.At
		}
		out = append(out, r.expand(f, v)...)
	}
	if len(out) > keys.MaxPoints {
		r.Fail(at, "use fewer values", "%s has more than %d values", f.Key, keys.MaxPoints)
		return nil, nil
	}
	return out, at
}

// experiments reads explicit points.
func (r *reader) experiments(k, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		r.Fail(r.at(k), "write experiments: [{dtype: float16}, {dtype: bfloat16, workload.prompts: 8}]",
			"experiments holds a list of maps")
		return
	}
	r.tagged(n)
	r.out.Points = []*Point{}
	for i, item := range n.Content {
		item = resolve(item)
		if item.Kind != yaml.MappingNode {
			r.Fail(r.at(item), "write experiments: [{dtype: float16}, {dtype: bfloat16, workload.prompts: 8}]",
				"entry %d of experiments is not a map of keys", i+1)
			continue
		}
		r.tagged(item)
		p := &Point{Number: i + 1, At: r.at(item)}
		s := &scope{set: r.Set, in: fmt.Sprintf(" in entry %d of experiments", i+1), extra: []string{"id"}}
		s.leaf = func(key string, k, v *yaml.Node) { r.pointKey(p, key, k, v) }
		r.walk(s, "", item)
		r.out.Points = append(r.out.Points, p)
	}
}

func (r *reader) pointKey(p *Point, key string, k, v *yaml.Node) {
	f, _ := r.Lookup(key)
	if v.Kind == yaml.SequenceNode && (f == nil || !f.List) {
		r.Fail(r.at(k), "an entry is one experiment; to try several values, write them under sweep:",
			"%s takes one value, not a list", key)
		return
	}
	text, ok := r.single(f, key, k, v)
	switch {
	case !ok:
	case key == "id":
		p.ID = &text
	default:
		if parsed, ok := r.parseValue(key, f.Kind, text); ok {
			p.Sets = append(p.Sets, Placed{f, parsed, text.At})
		}
	}
}
