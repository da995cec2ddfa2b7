// Package source reads the sources of a study: the file with its base files, the user's own file, the environment
// and the settings of the command line. Each is a [Layer] of keys with values and positions; a [Source] lays one
// over the other and collects every mistake. It knows keys and their kinds, but neither experiments nor engines.
package source

import (
	"slices"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

// Nowhere is the position of what the study as a whole lacks.
func (b *Source) Nowhere() *grammar.Error {
	if b.Origin == "" {
		return &grammar.Error{Source: "--model"}
	}
	return &grammar.Error{Source: b.Origin}
}

// CheckAxes reports keys that the sweep sets twice.
func (b *Source) CheckAxes() {
	first := map[*keys.Field]*Axis{}
	for _, a := range b.Axes {
		for _, k := range a.Keys {
			other, twice := first[k.F]
			if twice {
				b.Fail(k.At, "remove one of them; write keys that change together in one group or zip",
					"%s is set by %s and by %s", k.F.Key, other, a)
				continue
			}
			first[k.F] = a
		}
	}
	for _, l := range b.Links {
		if a, ok := first[l.F]; ok {
			b.Fail(l.At, "remove one of them", "%s is set by %s and by link", l.F.Key, a)
		}
	}
}

// RequireModel reports a study in which nothing names a model.
func (b *Source) RequireModel() {
	model, _ := b.Lookup("model")
	has := slices.ContainsFunc(b.Fixed, func(p Placed) bool { return p.F == model }) ||
		slices.ContainsFunc(b.Axes, func(a *Axis) bool { return a.Has(model) }) ||
		slices.ContainsFunc(b.Points, func(p *Point) bool { return p.Names(model) != nil })
	if !has && len(b.Errs) == 0 {
		b.NoModel(b.Nowhere(), "no model given")
	}
}

// NoModel records that there is no model to run.
func (b *Source) NoModel(at *grammar.Error, msg string) {
	b.Fail(at, "for a first run without any download: `--model random:smollm2-135m`", "%s", msg)
}

// Names returns the place where an entry sets a key, or nil.
func (p *Point) Names(f *keys.Field) *Placed {
	i := slices.IndexFunc(p.Sets, func(s Placed) bool { return s.F == f })
	if i < 0 {
		return nil
	}
	return &p.Sets[i]
}
