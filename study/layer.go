package study

import (
	"maps"
	"slices"

	"github.com/llenergymeasure/llem/grammar"
)

// layer is what one source says: a file without its bases, or one setting of the
// command line.
type layer struct {
	source string
	// command says that it is the command line.
	command bool
	name    string
	fixed   []placed
	axes    []*axis
	links   []link
	// where and points are nil if the source does not mention them.
	where     []condition
	points    []*point
	execution map[string]executionSetting
	// own are settings of llem on this machine, by key, see [ownKeys].
	own map[string]value
	// zips name axes that advance together.
	zips    [][]value
	hasZips bool
}

func newLayer(source string) layer {
	return layer{source: source, execution: map[string]executionSetting{}, own: map[string]value{}}
}

// placed is a key with its value and where it stands.
type placed struct {
	f  *field
	v  grammar.Value
	at *Error
}

// set gives a key a value.
type set struct {
	f *field
	v grammar.Value
}

// axisForm is how an axis was written.
type axisForm int

const (
	plainAxis axisForm = iota
	zipAxis
	groupAxis
)

// axis is one dimension of the sweep: a list of choices, each of which sets one or
// more keys.
type axis struct {
	form axisForm
	// name is the key, the name of the group, or the keys of a zip.
	name string
	at   *Error
	keys []axisKey
	// choices hold a value for each key; those of a group for some.
	choices [][]set
	// command says that the axis is from the command line.
	command bool
}

// axisKey is a key that an axis sets and where it says so first.
type axisKey struct {
	f  *field
	at *Error
}

func (a *axis) has(f *field) bool {
	return slices.ContainsFunc(a.keys, func(k axisKey) bool { return k.f == f })
}

// String names the axis for a message.
func (a *axis) String() string {
	switch a.form {
	case zipAxis:
		return "the zip of " + a.name
	case groupAxis:
		return "the group " + a.name
	}
	return "the axis " + a.name
}

// without is the axis without a key; nil if nothing is left.
func (a *axis) without(f *field) *axis {
	if !a.has(f) {
		return a
	}
	out := *a
	out.keys = slices.DeleteFunc(slices.Clone(a.keys), func(k axisKey) bool { return k.f == f })
	if len(out.keys) == 0 {
		return nil
	}
	out.choices = make([][]set, len(a.choices))
	for i, c := range a.choices {
		out.choices[i] = slices.DeleteFunc(slices.Clone(c), func(s set) bool { return s.f == f })
	}
	return &out
}

// link lets a key take the value of an expression.
type link struct {
	f  *field
	e  *expression
	at *Error
}

// condition is one line of where.
type condition struct {
	e    *expression
	text string
	at   *Error
	// everywhere says that it also filters explicit points.
	everywhere bool
}

// point is one entry of experiments.
type point struct {
	number int
	at     *Error
	sets   []placed
	// id is what the entry says its ID is.
	id *value
}

// merge puts a later source over the earlier ones. Mappings merge and lists replace.
// A value replaces an axis, and the other way round. The command line also
// overrides what groups, links and explicit points say of its keys.
func (b *builder) merge(l layer) {
	if l.name != "" {
		b.name = l.name
	}
	for _, p := range l.fixed {
		b.override(p.f, l.command)
		b.fixed = slices.DeleteFunc(b.fixed, func(o placed) bool { return o.f == p.f })
		b.fixed = append(b.fixed, p)
	}
	for _, a := range l.axes {
		if a.form == groupAxis {
			b.axes = slices.DeleteFunc(b.axes, func(o *axis) bool { return o.form == groupAxis && o.name == a.name })
		}
	}
	if l.hasZips { // lists replace
		b.axes = slices.DeleteFunc(b.axes, func(o *axis) bool { return o.form == zipAxis })
	}
	for _, a := range l.axes {
		if a.form != groupAxis {
			for _, k := range a.keys {
				b.override(k.f, l.command)
			}
		}
	}
	for _, k := range l.links {
		b.override(k.f, false)
	}
	b.links = append(b.links, l.links...)
	b.axes = append(b.axes, l.axes...)
	switch {
	case l.command:
		b.where = append(b.where, l.where...)
	case l.where != nil:
		b.where = l.where
	}
	if l.points != nil {
		b.points = l.points
	}
	maps.Copy(b.execution, l.execution)
	maps.Copy(b.own, l.own)
	for _, names := range l.zips {
		b.zip(names)
	}
}

// override removes what earlier sources say of a key, but for its fixed value.
func (b *builder) override(f *field, command bool) {
	b.dropAxes(f, command)
	b.links = slices.DeleteFunc(b.links, func(o link) bool { return o.f == f })
	if command && f.key == "backend" {
		b.chosen = true
	}
	if command && f.key != "backend" {
		for _, p := range b.points {
			p.sets = slices.DeleteFunc(p.sets, func(s placed) bool { return s.f == f })
			p.id = nil
		}
	}
}

// dropAxes removes a key from the axes, and if command says so from the groups.
func (b *builder) dropAxes(f *field, command bool) {
	var kept []*axis
	for _, a := range b.axes {
		if a.form == groupAxis && (!command || f.key == "backend") {
			kept = append(kept, a)
		} else if a = a.without(f); a != nil {
			kept = append(kept, a)
		}
	}
	b.axes = kept
}

// zip joins axes by their keys into one.
func (b *builder) zip(names []value) {
	var members []*axis
	for _, n := range names {
		f, ok := b.lookup(n.text)
		if !ok {
			b.fail(n.at, b.sweepScope().suggest(n.text, n.text), "zip: unknown key %q", n.text)
			return
		}
		i := slices.IndexFunc(b.axes, func(a *axis) bool { return a.form == plainAxis && a.keys[0].f == f })
		switch {
		case f.key == "backend":
			b.fail(n.at, "write a group: groups: {NAME: [{backend: pytorch, pytorch.batch_size: 8}]}",
				"zip cannot hold backend")
			return
		case i < 0:
			b.fail(n.at, "write its values under sweep:, or use the form zip: [{KEY: [..], KEY: [..]}]",
				"zip: %s is no axis of the sweep", n.text)
			return
		case slices.Contains(members, b.axes[i]):
			b.fail(n.at, "remove one of them", "zip: %s is named twice", n.text)
			return
		}
		members = append(members, b.axes[i])
	}
	joined := b.join(names[0].at, members)
	if joined == nil {
		return
	}
	first := slices.IndexFunc(b.axes, func(a *axis) bool { return slices.Contains(members, a) })
	b.axes[first] = joined
	b.axes = slices.DeleteFunc(b.axes, func(a *axis) bool { return slices.Contains(members, a) })
}

// join makes one axis of several that advance together.
func (b *builder) join(at *Error, members []*axis) *axis {
	if len(members) < 2 {
		b.fail(at, "name at least two axes, or move the one out of zip", "zip joins axes, but here is only one")
		return nil
	}
	out := &axis{form: zipAxis, at: at, command: members[0].command}
	n := len(members[0].choices)
	for i, m := range members {
		if len(m.choices) != n {
			b.fail(m.at, "give both the same number of values", "zip: %s has %d values, but %s has %d", m.name,
				len(m.choices), members[0].name, n)
			return nil
		}
		if i > 0 {
			out.name += " and "
		}
		out.name += m.name
		out.keys = append(out.keys, m.keys...)
	}
	flat := make([]set, 0, n*len(members))
	for i := range n {
		from := len(flat)
		for _, m := range members {
			flat = append(flat, m.choices[i]...)
		}
		out.choices = append(out.choices, flat[from:len(flat):len(flat)])
	}
	return out
}
