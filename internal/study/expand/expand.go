// Package expand makes the points of a study: the product of the axes for each backend, with links and conditions
// applied, and then the explicit points. It knows only keys and values, and passes each point to its caller.
package expand

import (
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/expression"
	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/source"
	"github.com/llenergymeasure/llem/note"
)

// maxLooked bounds the points that where conditions may have to check.
const maxLooked = 20_000_000

// Options receive the points.
type Options struct {
	// Room receives an upper bound of the number of points before the first one.
	Room func(total int)
	// Take receives a point and returns false to end the expansion.
	Take func(*Point) bool
}

// Outcome is the result for the points that were not taken.
type Outcome struct {
	// BackendNamed reports that the user chose the backend.
	BackendNamed bool
	// Unused are keys of the files that belong to backends which the study does not run.
	Unused []string
	// Filtered counts points that a condition, or a backend chosen on the command line, left out.
	Filtered int
	// Refused counts points that cannot be run, and Invalid lists the first of them.
	Refused int
	Invalid []Invalid
}

// Invalid is a point that cannot be run, and why.
type Invalid struct {
	// Point names what the sweep set.
	Point string
	// Note is the reason.
	Note note.Note
}

// Point is one point of the study.
type Point struct {
	// Backend is the engine that it runs on.
	Backend string
	// Values of its keys, valid until the next point.
	Values keys.Values
	// Varied are the keys in which the points of its backend can differ.
	Varied []*keys.Field
	// ID is the ID that an entry of experiments gives, or nil, and Entry its number.
	ID    *source.Value
	Entry int

	grid *grid
	of   *expansion
}

// Describe names the point by what was varied.
func (p *Point) Describe() string { return p.grid.describe() }

// Refuse records that the values do not fit together, at the key to point at.
func (p *Point) Refuse(key string, reason func() string, next string) {
	p.of.conflicting(p.grid, key, reason, next)
}

// Run makes all points. Mistakes are recorded in the source.
func Run(s *source.Source, o Options) Outcome {
	x := newExpansion(s)
	x.options = o
	x.all()
	if len(s.Errs) == 0 && x.taken == 0 {
		x.nothing()
	}
	return x.out
}

// expansion turns the sources into points.
type expansion struct {
	*source.Source
	options Options
	out     Outcome
	// varied are the keys in which points can differ.
	varied []*keys.Field
	// reasons are the distinct mistakes of points that cannot be run.
	reasons grammar.Errors
	// looked counts the points so far, including duplicates and filtered ones; taken counts the points passed on.
	looked, taken int
}

func newExpansion(b *source.Source) *expansion {
	x := &expansion{Source: b}
	add := func(f *keys.Field) {
		if !f.Aside && !f.Preset && !slices.Contains(x.varied, f) {
			x.varied = append(x.varied, f)
		}
	}
	for _, a := range b.Axes {
		for _, k := range a.Keys {
			add(k.F)
		}
	}
	for _, l := range b.Links {
		add(l.F)
	}
	for _, p := range b.Points {
		for _, s := range p.Sets {
			add(s.F)
		}
	}
	return x
}

// all expands the sweep and then the explicit points.
func (x *expansion) all() {
	listed, named := x.listed()
	x.out.BackendNamed = named
	var grids []*grid
	if x.sweeps() {
		for _, backend := range x.involved(listed) {
			if g := x.sweepGrid(backend, listed); g != nil {
				grids = append(grids, g)
			}
		}
	}
	for _, p := range x.Points {
		grids = append(grids, x.entryGrids(p, listed)...)
	}
	x.unused(grids)
	total := x.size(grids)
	if len(x.Errs) > 0 {
		return
	}
	x.options.Room(total)
	for _, g := range grids {
		x.expand(g)
		if len(x.Errs) > 0 {
			return
		}
	}
}

// expand makes the points of a grid, the last dimension changing fastest.
func (x *expansion) expand(g *grid) {
	n := len(g.dimensions)
	// states[i] are the values after the first i dimensions.
	states := make([]keys.Values, n+1)
	for i := range states {
		states[i] = slices.Clone(g.base)
	}
	span := x.span(g)
	g.index = make([]int, n)
	p := &Point{Backend: g.backend, Values: states[n], Varied: g.varied, grid: g, of: x}
	if g.entry != nil {
		p.ID, p.Entry = g.entry.ID, g.entry.Number
	}
	s := &expression.Scratch{Values: states[n]}
	for level := 0; ; {
		for i := level; i < n; i++ {
			copy(states[i+1][:x.Common], states[i])
			copy(states[i+1][span.From:span.To], states[i][span.From:span.To])
			for _, c := range g.dimensions[i].choices[g.index[i]] {
				c.F.Put(states[i+1], c.V)
			}
		}
		x.looked++
		if !x.point(p, s) {
			return
		}
		if level = g.advance(); level < 0 {
			return
		}
	}
}

// span returns the slots of sections in which points of a grid can differ, or which they use.
func (x *expansion) span(g *grid) keys.Span {
	span := x.Spans[g.backend]
	for _, d := range g.dimensions {
		for _, k := range d.Keys {
			if slot := k.F.Slot; slot >= x.Common {
				span.From, span.To = min(span.From, slot), max(span.To, slot+1)
			}
		}
	}
	return span
}

// point passes one point on, or records the reason why not. It returns false to end the expansion.
func (x *expansion) point(p *Point, s *expression.Scratch) bool {
	g := p.grid
	x.Backend.Put(s.Values, grammar.Value{Text: g.backend})
	s.Undefined = false
	for i := range g.links {
		if !x.follow(g, &g.links[i], s) {
			return true
		}
	}
	for i := range g.where {
		c := &g.where[i]
		keep := c.E.Truth(s)
		if s.Undefined {
			x.refuse(g, c.At, fmt.Sprintf("the condition %q divides by zero", c.Text), "")
			return true
		}
		if !keep {
			x.out.Filtered++
			return true
		}
	}
	if x.Model.Get(s.Values).Text == "" {
		x.lacksModel(g)
		return false
	}
	refused := x.out.Refused
	more := x.options.Take(p)
	if x.out.Refused == refused {
		x.taken++
	}
	return more
}

func (x *expansion) lacksModel(g *grid) {
	if g.entry != nil {
		x.NoModel(g.entry.At, fmt.Sprintf("entry %d of experiments has no model", g.entry.Number))
		return
	}
	x.NoModel(x.Nowhere(), "no model given for "+g.describe())
}

// follow sets the key of a link; it returns false if the value does not fit.
func (x *expansion) follow(g *grid, l *source.Link, s *expression.Scratch) bool {
	var v grammar.Value
	switch l.E.Basic {
	case grammar.IsNumber:
		v.Number = l.E.Number(s)
	case grammar.IsText:
		v.Text = l.E.Text(s)
	case grammar.IsBool:
		v.Text = grammar.False
		if l.E.Truth(s) {
			v.Text = grammar.True
		}
	}
	if s.Undefined {
		x.refuse(g, l.At, fmt.Sprintf("the link of %s divides by zero", l.F.Key), "")
		return false
	}
	out, ok := l.F.Kind.Accepts(v)
	if !ok {
		text := v.Text
		if l.E.Basic == grammar.IsNumber {
			text = fmt.Sprint(v.Number)
		}
		x.refuse(g, l.At, fmt.Sprintf("the link makes %s %s; want %s", l.F.Key, text, l.F.Kind.Want), "")
		return false
	}
	l.F.Put(s.Values, out)
	return true
}

// refuse records a point that cannot be run.
func (x *expansion) refuse(g *grid, at *grammar.Error, reason, next string) {
	x.out.Refused++
	if len(x.out.Invalid) < keys.MaxListed {
		x.out.Invalid = append(x.out.Invalid,
			Invalid{g.describe(), note.Note{Code: codes.InvalidPoint, Message: reason, Next: next}})
	}
	if len(x.reasons) < keys.MaxListed &&
		!slices.ContainsFunc(x.reasons, func(e *grammar.Error) bool { return e.Message == reason }) {
		e := *at
		e.Note = note.Note{Code: codes.Mistake, Message: reason, Next: next}
		x.reasons = append(x.reasons, &e)
	}
}

func (x *expansion) conflicting(g *grid, key string, reason func() string, next string) {
	if x.out.Refused >= keys.MaxListed && len(x.reasons) >= keys.MaxListed {
		x.out.Refused++
		return
	}
	x.refuse(g, x.position(g, key), reason(), next)
}

// position returns where a key gets its value.
func (x *expansion) position(g *grid, key string) *grammar.Error {
	f, _ := x.Lookup(key)
	if g.entry != nil {
		if p := g.entry.Names(f); p != nil {
			return p.At
		}
	}
	for _, d := range g.dimensions {
		for _, k := range d.Keys {
			if k.F == f {
				return k.At
			}
		}
	}
	for _, p := range x.Fixed {
		if p.F == f {
			return p.At
		}
	}
	return x.Nowhere()
}

// nothing reports why the study has no experiment.
func (x *expansion) nothing() {
	switch {
	case len(x.reasons) > 0:
		x.Errs = append(x.Errs, x.reasons...)
	case x.out.Filtered > 0 && len(x.Where) > 0:
		x.Fail(x.Where[0].At, "loosen a condition, or add values", "where leaves out all %d points", x.looked)
	case x.Chosen:
		x.Fail(x.Nowhere(), "name one of the backends that the study uses",
			"the study has no points for the backend on the command line")
	default:
		x.Fail(x.Nowhere(), "add a point to the study", "the study has no points")
	}
}
