package study

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/llenergymeasure/llem/grammar"
)

// top walks a whole file.
func (r *reader) top(root *yaml.Node) {
	s := &scope{keys: r.keys, extra: studyKeys()}
	if r.machine {
		s.extra = append(s.extra, slices.Sorted(maps.Keys(ownKeys))...)
	}
	s.leaf = func(key string, k, v *yaml.Node) {
		f, isField := r.lookup(key)
		switch {
		case key == "sweep":
			r.sweep(k, v)
		case key == "experiments":
			r.experiments(k, v)
		case key == "base":
			r.basePaths(k, v)
		case isField && key == "backend" && v.Kind == yaml.SequenceNode:
			r.axis(f, k, v)
		case isField && v.Kind == yaml.SequenceNode && !f.list:
			r.fail(r.at(k), "to try several values, write them under sweep:", "%s takes one value, not a list", key)
		default:
			if text, ok := r.single(f, key, k, v); ok {
				r.fix(&r.out, key, text)
			}
		}
	}
	r.walk(s, "", root)
}

// studyKeys are the keys of a file that do not describe an experiment.
func studyKeys() []string {
	keys := []string{"name", "base", "sweep", "experiments"}
	for _, f := range executionFields {
		keys = append(keys, f.key)
	}
	return keys
}

// nameKind is that of the key name.
var nameKind = grammar.Line("the study's name")

// fix gives one key its value.
func (b *builder) fix(l *layer, key string, v value) {
	if key == "name" {
		if parsed, ok := b.parseValue(key, nameKind, v); ok {
			l.name = parsed.Text
		}
		return
	}
	if k, ok := ownKeys[key]; ok {
		if parsed, ok := b.parseValue(key, k, v); ok {
			l.own[key] = value{text: parsed.Text, at: v.at}
		}
		return
	}
	if x, ok := lookupExecution(key); ok {
		if parsed, ok := b.parseValue(key, x.kind, v); ok {
			l.execution[key] = executionSetting{x, parsed, v.at}
		}
		return
	}
	f, _ := b.lookup(key)
	if parsed, ok := b.parseValue(key, f.kind, v); ok {
		l.fixed = append(l.fixed, placed{f, parsed, v.at})
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
		if _, err := grammar.Line("the path of a study file").Parse(v.text); err != nil {
			r.failValue(v.at, "base", err)
			continue
		}
		r.bases = append(r.bases, v)
	}
}

// sweepKeys are the keys of sweep that are no axes.
var sweepKeys = []string{"groups", "zip", "link", "where"}

func (k *keys) sweepScope() *scope { return &scope{keys: k, in: " in sweep", extra: sweepKeys} }

// sweep walks the axes of a file.
func (r *reader) sweep(k, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.fail(r.at(k), "write sweep: {embedded.batch_size: [1, 8]}", "sweep holds keys with lists of values")
		return
	}
	r.tagged(n)
	s := r.sweepScope()
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
			f, _ := r.lookup(key)
			r.axis(f, k, v)
		}
	}
	r.walk(s, "", n)
}

// axis reads the values of one key.
func (r *reader) axis(f *field, k, n *yaml.Node) {
	if a := r.plain(f, k, n); a != nil {
		r.out.axes = append(r.out.axes, a)
	}
}

// plain makes an axis of one key, or nil after a mistake.
func (r *reader) plain(f *field, k, n *yaml.Node) *axis {
	if f.aside {
		r.fail(r.at(k), "give it one value outside of sweep", "%s is no axis: it does not change what is measured",
			f.key)
		return nil
	}
	values, at := r.values(f, k, n)
	if values == nil {
		return nil
	}
	return plain(f, r.at(k), at, values)
}

func plain(f *field, at, valueAt *Error, values []grammar.Value) *axis {
	a := &axis{form: plainAxis, name: f.key, at: at, keys: []axisKey{{f, valueAt}}, choices: make([][]set, len(values))}
	flat := make([]set, len(values))
	for i, v := range values {
		flat[i] = set{f, v}
		a.choices[i] = flat[i : i+1 : i+1]
	}
	return a
}

// values reads a scalar, a range, or a list of both, and says where the first of them
// stands. It is nil if no value is good.
func (r *reader) values(f *field, k, n *yaml.Node) (out []grammar.Value, at *Error) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		r.tagged(n)
		items = n.Content
		if len(items) == 0 {
			r.fail(r.at(n), "give at least one value or remove the key", "%s is an empty list", f.key)
		}
	}
	for _, item := range items {
		item = resolve(item)
		where := item
		if n.Kind != yaml.SequenceNode {
			where = k
		}
		if item.Kind == yaml.SequenceNode && !f.list || item.Kind == yaml.MappingNode {
			r.fail(r.at(where),
				"write a flat list of values; keys that change together are written under sweep: groups:",
				"%s takes single values", f.key)
			continue
		}
		v, ok := r.single(f, f.key, where, item)
		if !ok {
			continue
		}
		if at == nil {
			at = v.at
		}
		out = append(out, r.expand(f, v)...)
	}
	if len(out) > maxPoints {
		r.fail(at, "use fewer values", "%s has more than %d values", f.key, maxPoints)
		return nil, nil
	}
	return out, at
}

// experiments reads explicit points.
func (r *reader) experiments(k, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		r.fail(r.at(k), "write experiments: [{dtype: float16}, {dtype: bfloat16, workload.prompts: 8}]",
			"experiments holds a list of maps")
		return
	}
	r.tagged(n)
	r.out.points = []*point{}
	for i, item := range n.Content {
		item = resolve(item)
		if item.Kind != yaml.MappingNode {
			r.fail(r.at(item), "write experiments: [{dtype: float16}, {dtype: bfloat16, workload.prompts: 8}]",
				"entry %d of experiments is not a map of keys", i+1)
			continue
		}
		r.tagged(item)
		p := &point{number: i + 1, at: r.at(item)}
		s := &scope{keys: r.keys, in: fmt.Sprintf(" in entry %d of experiments", i+1), extra: []string{"id"}}
		s.leaf = func(key string, k, v *yaml.Node) { r.pointKey(p, key, k, v) }
		r.walk(s, "", item)
		r.out.points = append(r.out.points, p)
	}
}

func (r *reader) pointKey(p *point, key string, k, v *yaml.Node) {
	f, _ := r.lookup(key)
	if v.Kind == yaml.SequenceNode && (f == nil || !f.list) {
		r.fail(r.at(k), "an entry is one experiment; to try several values, write them under sweep:",
			"%s takes one value, not a list", key)
		return
	}
	text, ok := r.single(f, key, k, v)
	switch {
	case !ok:
	case key == "id":
		p.id = &text
	default:
		if parsed, ok := r.parseValue(key, f.kind, text); ok {
			p.sets = append(p.sets, placed{f, parsed, text.at})
		}
	}
}
