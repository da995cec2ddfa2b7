package source

import (
	"maps"
	"slices"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/expression"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

// Layer is the content of one source: a file without its bases, or one setting of the command line; or the merged
// content of several.
type Layer struct {
	// Origin is the file or flag.
	Origin string
	// Command reports that it is the command line.
	Command bool
	// Name of the study.
	Name string
	// Fixed are keys with one value.
	Fixed []Placed
	// Axes of the sweep, and Links between keys.
	Axes  []*Axis
	Links []Link
	// Where and Points are nil if the source does not mention them.
	Where  []Condition
	Points []*Point
	// Execution are the keys of the section execution, by name.
	Execution map[string]Placed
	// Own are settings of llem on this machine, by key.
	Own map[string]Value

	// zips name axes that advance together.
	zips    [][]Value
	hasZips bool
}

func newLayer(origin string) Layer {
	return Layer{Origin: origin, Execution: map[string]Placed{}, Own: map[string]Value{}}
}

// Placed is a key with its value and position.
type Placed struct {
	// F is the key, V its value.
	F *keys.Field
	V grammar.Value
	// At is its position.
	At *grammar.Error
}

// Assign gives a key a value.
type Assign struct {
	// F is the key, V its value.
	F *keys.Field
	V grammar.Value
}

// AxisForm is how an axis was written.
type AxisForm int

// Forms of an axis.
const (
	PlainAxis AxisForm = iota
	ZipAxis
	GroupAxis
)

// Axis is one dimension of the sweep: a list of choices, each of which sets one or
// more keys.
type Axis struct {
	// Form is how it was written.
	Form AxisForm
	// Name is the key, the name of the group, or the keys of a zip.
	Name string
	// At is its position.
	At *grammar.Error
	// Keys that it sets.
	Keys []AxisKey
	// Choices hold a value for each key; a choice of a group only for some.
	Choices [][]Assign
	// Command reports that the axis is from the command line.
	Command bool
}

// AxisKey is a key that an axis sets and the position where it first does.
type AxisKey struct {
	// F is the key.
	F *keys.Field
	// At is the position.
	At *grammar.Error
}

// Has reports whether the axis sets a key.
func (a *Axis) Has(f *keys.Field) bool {
	return slices.ContainsFunc(a.Keys, func(k AxisKey) bool { return k.F == f })
}

// String names the axis for a message.
func (a *Axis) String() string {
	switch a.Form {
	case ZipAxis:
		return "the zip of " + a.Name
	case GroupAxis:
		return "the group " + a.Name
	}
	return "the axis " + a.Name
}

// without returns the axis without a key; nil if nothing is left.
func (a *Axis) without(f *keys.Field) *Axis {
	if !a.Has(f) {
		return a
	}
	out := *a
	out.Keys = slices.DeleteFunc(slices.Clone(a.Keys), func(k AxisKey) bool { return k.F == f })
	if len(out.Keys) == 0 {
		return nil
	}
	out.Choices = make([][]Assign, len(a.Choices))
	for i, c := range a.Choices {
		out.Choices[i] = slices.DeleteFunc(slices.Clone(c), func(s Assign) bool { return s.F == f })
	}
	return &out
}

// Link lets a key take the value of an expression.
type Link struct {
	// F is the key, E its value.
	F *keys.Field
	E *expression.Expression
	// At is its position.
	At *grammar.Error
}

// Condition is one line of where.
type Condition struct {
	// E must be true, Text is its source.
	E    *expression.Expression
	Text string
	// At is its position.
	At *grammar.Error
	// Everywhere reports that it also filters explicit points.
	Everywhere bool
}

// Point is one entry of experiments.
type Point struct {
	// Number of the entry, from 1.
	Number int
	// At is its position.
	At *grammar.Error
	// Sets are its keys.
	Sets []Placed
	// ID is the ID that the entry gives.
	ID *Value
}

// merge lays a later source over the earlier ones. Mappings merge and lists replace. A value replaces an axis, and
// an axis a value. The command line also overrides its keys in groups, links and explicit points.
func (b *Source) merge(l Layer) {
	if l.Name != "" {
		b.Name = l.Name
	}
	for _, p := range l.Fixed {
		b.override(p.F, l.Command)
		b.Fixed = slices.DeleteFunc(b.Fixed, func(o Placed) bool { return o.F == p.F })
		b.Fixed = append(b.Fixed, p)
	}
	for _, a := range l.Axes {
		if a.Form == GroupAxis {
			b.Axes = slices.DeleteFunc(b.Axes, func(o *Axis) bool { return o.Form == GroupAxis && o.Name == a.Name })
		}
	}
	if l.hasZips { // lists replace
		b.Axes = slices.DeleteFunc(b.Axes, func(o *Axis) bool { return o.Form == ZipAxis })
	}
	for _, a := range l.Axes {
		if a.Form != GroupAxis {
			for _, k := range a.Keys {
				b.override(k.F, l.Command)
			}
		}
	}
	for _, k := range l.Links {
		b.override(k.F, false)
	}
	b.Links = append(b.Links, l.Links...)
	b.Axes = append(b.Axes, l.Axes...)
	switch {
	case l.Command:
		b.Where = append(b.Where, l.Where...)
	case l.Where != nil:
		b.Where = l.Where
	}
	if l.Points != nil {
		b.Points = l.Points
	}
	maps.Copy(b.Execution, l.Execution)
	maps.Copy(b.Own, l.Own)
	for _, names := range l.zips {
		b.zip(names)
	}
}

// override removes a key from earlier sources, except its fixed value.
func (b *Source) override(f *keys.Field, command bool) {
	b.dropAxes(f, command)
	b.Links = slices.DeleteFunc(b.Links, func(o Link) bool { return o.F == f })
	if command && f.Key == "backend" {
		b.Chosen = true
	}
	if command && f.Key != "backend" {
		for _, p := range b.Points {
			p.Sets = slices.DeleteFunc(p.Sets, func(s Placed) bool { return s.F == f })
			p.ID = nil
		}
	}
}

// dropAxes removes a key from the axes, and with command also from the groups.
func (b *Source) dropAxes(f *keys.Field, command bool) {
	var kept []*Axis
	for _, a := range b.Axes {
		if a.Form == GroupAxis && (!command || f.Key == "backend") {
			kept = append(kept, a)
		} else if a = a.without(f); a != nil {
			kept = append(kept, a)
		}
	}
	b.Axes = kept
}

// zip joins axes by their keys into one.
func (b *Source) zip(names []Value) {
	var members []*Axis
	for _, n := range names {
		f, ok := b.Lookup(n.Text)
		if !ok {
			b.Fail(n.At, sweepScope(b.Set).suggest(n.Text, n.Text), "zip: unknown key %q", n.Text)
			return
		}
		i := slices.IndexFunc(b.Axes, func(a *Axis) bool { return a.Form == PlainAxis && a.Keys[0].F == f })
		switch {
		case f.Key == "backend":
			b.Fail(n.At, "write a group: groups: {NAME: [{backend: pytorch, pytorch.batch_size: 8}]}",
				"zip cannot hold backend")
			return
		case i < 0:
			b.Fail(n.At, "write its values under sweep:, or use the form zip: [{KEY: [..], KEY: [..]}]",
				"zip: %s is not an axis of the sweep", n.Text)
			return
		case slices.Contains(members, b.Axes[i]):
			b.Fail(n.At, "remove one of them", "zip: %s is named twice", n.Text)
			return
		}
		members = append(members, b.Axes[i])
	}
	joined := b.join(names[0].At, members)
	if joined == nil {
		return
	}
	first := slices.IndexFunc(b.Axes, func(a *Axis) bool { return slices.Contains(members, a) })
	b.Axes[first] = joined
	b.Axes = slices.DeleteFunc(b.Axes, func(a *Axis) bool { return slices.Contains(members, a) })
}

// join combines several axes that advance together into one.
func (b *Source) join(at *grammar.Error, members []*Axis) *Axis {
	if len(members) < 2 {
		b.Fail(at, "name at least two axes, or move this one out of zip", "zip joins axes, but there is only one here")
		return nil
	}
	out := &Axis{Form: ZipAxis, At: at, Command: members[0].Command}
	n := len(members[0].Choices)
	for i, m := range members {
		if len(m.Choices) != n {
			b.Fail(m.At, "give both the same number of values", "zip: %s has %d values, but %s has %d", m.Name,
				len(m.Choices), members[0].Name, n)
			return nil
		}
		if i > 0 {
			out.Name += " and "
		}
		out.Name += m.Name
		out.Keys = append(out.Keys, m.Keys...)
	}
	flat := make([]Assign, 0, n*len(members))
	for i := range n {
		from := len(flat)
		for _, m := range members {
			flat = append(flat, m.Choices[i]...)
		}
		out.Choices = append(out.Choices, flat[from:len(flat):len(flat)])
	}
	return out
}
