package study

import (
	"fmt"
	"hash/maphash"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/grammar"
	"github.com/llenergymeasure/llem/note"
)

// expansion turns what the sources say into experiments.
type expansion struct {
	*builder
	out *Study
	// seen finds an experiment by the hash of its meaning.
	seen map[uint64]int32
	seed maphash.Seed
	// varied are the keys in which points can differ.
	varied []*field
	// reasons are the distinct mistakes of points that cannot be run.
	reasons Errors
	// looked counts the points so far, without merging or leaving out any.
	looked int
}

func newExpansion(b *builder) *expansion {
	x := &expansion{builder: b, out: &Study{}, seen: map[uint64]int32{}, seed: maphash.MakeSeed()}
	add := func(f *field) {
		if !f.aside && !f.word && !slices.Contains(x.varied, f) {
			x.varied = append(x.varied, f)
		}
	}
	for _, a := range b.axes {
		for _, k := range a.keys {
			add(k.f)
		}
	}
	for _, l := range b.links {
		add(l.f)
	}
	for _, p := range b.points {
		for _, s := range p.sets {
			add(s.f)
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
	for _, p := range x.points {
		grids = append(grids, x.entryGrids(p, listed)...)
	}
	x.unused(grids)
	total := x.size(grids)
	if len(x.errs) > 0 {
		return
	}
	// Room for all points costs no memory before it is written to.
	x.out.Experiments = make([]Experiment, 0, min(total, maxPoints))
	if len(x.where) == 0 {
		x.seen = make(map[uint64]int32, total)
	}
	for _, g := range grids {
		x.expand(g)
		if len(x.errs) > 0 {
			return
		}
	}
	if len(x.out.Experiments) < cap(x.out.Experiments)/2 {
		x.out.Experiments = slices.Clone(x.out.Experiments)
	}
}

// expand makes the points of a grid, the last dimension changing fastest.
func (x *expansion) expand(g *grid) {
	n := len(g.dimensions)
	// states[i] are the settings with the first i dimensions in place.
	states := make([]settings, n+1)
	for i := range states {
		states[i].copyFrom(&g.base)
	}
	from, to := x.span(g)
	g.index = make([]int, n)
	s := &scratch{settings: &states[n]}
	for level := 0; ; {
		for i := level; i < n; i++ {
			states[i+1].update(&states[i], from, to)
			for _, c := range g.dimensions[i].choices[g.index[i]] {
				c.f.put(&states[i+1], c.v)
			}
		}
		x.looked++
		if !x.point(g, s) {
			return
		}
		if level = g.advance(); level < 0 {
			return
		}
	}
}

// span are the slots of sections that points of a grid can differ in or look at.
func (x *expansion) span(g *grid) (from, to int) {
	own := x.sections[g.backend]
	from, to = own.from, own.from+len(own.fields)
	for _, d := range g.dimensions {
		for _, k := range d.keys {
			if slot := k.f.slot; slot >= 0 {
				from, to = min(from, slot), max(to, slot+1)
			}
		}
	}
	return from, to
}

// point takes one point into the study, or says why not. It is false if it makes no
// sense to go on.
func (x *expansion) point(g *grid, s *scratch) bool {
	s.Backend = g.backend
	s.undefined = false
	for i := range g.links {
		if !x.follow(g, &g.links[i], s) {
			return true
		}
	}
	for i := range g.where {
		c := &g.where[i]
		keep := c.e.truth(s)
		if s.undefined {
			x.refuse(g, c.at, fmt.Sprintf("the condition %q divides by zero", c.text), "")
			return true
		}
		if !keep {
			x.out.Filtered++
			return true
		}
	}
	if s.Model == "" {
		x.lacksModel(g)
		return false
	}
	s.Decoding = s.Decoding.canonical()
	if r := x.conflict(s.settings); r != nil {
		x.conflicting(g, r)
		return true
	}
	return x.add(g, s.settings)
}

func (x *expansion) lacksModel(g *grid) {
	if g.entry != nil {
		x.noModel(g.entry.at, fmt.Sprintf("entry %d of experiments has no model", g.entry.number))
		return
	}
	x.noModel(x.nowhere(), "no model is given for "+g.describe())
}

// follow sets the key of a link; false if the value does not fit.
func (x *expansion) follow(g *grid, l *link, s *scratch) bool {
	var v grammar.Value
	switch l.e.basic {
	case grammar.IsNumber:
		v.Number = l.e.num(s)
	case grammar.IsText:
		v.Text = l.e.str(s)
	case grammar.IsBool:
		v.Text = grammar.False
		if l.e.truth(s) {
			v.Text = grammar.True
		}
	}
	if s.undefined {
		x.refuse(g, l.at, fmt.Sprintf("the link of %s divides by zero", l.f.key), "")
		return false
	}
	out, ok := l.f.kind.Accepts(v)
	if !ok {
		text := v.Text
		if l.e.basic == grammar.IsNumber {
			text = fmt.Sprint(v.Number)
		}
		x.refuse(g, l.at, fmt.Sprintf("the link makes %s %s; want %s", l.f.key, text, l.f.kind.Want), "")
		return false
	}
	l.f.put(s.settings, out)
	return true
}

// add takes a point into the study unless it is there already.
func (x *expansion) add(g *grid, s *settings) bool {
	e := x.experiment(s)
	h := x.hash(g, s)
	for {
		i, hit := x.seen[h]
		if !hit {
			break
		}
		// Equal sections are one text.
		if x.out.Experiments[i].measured() == e.measured() {
			x.out.Merged++
			if len(x.out.Duplicates) < MaxListed {
				x.out.Duplicates = append(x.out.Duplicates, Duplicate{g.describe(), e.ID()})
			}
			return true
		}
		h++
	}
	if g.entry != nil && g.entry.id != nil && g.entry.id.text != e.ID() {
		x.fail(g.entry.id.at, "remove the id: it is made from the values",
			"entry %d of experiments has the id %q, but its values make it %s", g.entry.number, g.entry.id.text, e.ID())
		return false
	}
	if len(x.out.Experiments) == maxPoints {
		x.fail(x.nowhere(), "use fewer values", "the study has more than %d experiments", maxPoints)
		return false
	}
	x.seen[h] = int32(len(x.out.Experiments))
	x.out.Experiments = append(x.out.Experiments, e)
	return true
}

// hash is that of the values in which points can differ.
func (x *expansion) hash(g *grid, s *settings) uint64 {
	const odd = 0x9e3779b97f4a7c15
	h := maphash.String(x.seed, g.backend)
	for _, f := range g.varied {
		v := f.get(s)
		switch f.key { // equal IDs need equal hashes
		case "model":
			v.Text = canonicalModel(v.Text)
		case "workload.dataset":
			v.Text = canonicalDataset(v.Text)
		case "dtype":
			v.Text = canonicalDType(v.Text, g.backend, canonicalModel(s.Model))
		}
		if v.Text != "" {
			h ^= maphash.String(x.seed, v.Text)
		}
		h = (h ^ uint64(v.Whole) ^ math.Float64bits(v.Number)) * odd
		h ^= h >> 29
	}
	return h
}

// refuse records a point that cannot be run.
func (x *expansion) refuse(g *grid, at *Error, reason, next string) {
	x.out.Refused++
	if len(x.out.Invalid) < MaxListed {
		x.out.Invalid = append(x.out.Invalid,
			Invalid{g.describe(), note.Note{Code: note.InvalidPoint, Message: reason, Next: next}})
	}
	if len(x.reasons) < MaxListed &&
		!slices.ContainsFunc(x.reasons, func(e *Error) bool { return e.Message == reason }) {
		e := *at
		e.Note = note.Note{Code: note.Mistake, Message: reason, Next: next}
		x.reasons = append(x.reasons, &e)
	}
}

func (x *expansion) conflicting(g *grid, r *engine.Conflict) {
	if x.out.Refused >= MaxListed && len(x.reasons) >= MaxListed {
		x.out.Refused++
		return
	}
	x.refuse(g, x.position(g, r.Key), r.Message(), r.Next)
}

// position is where a key gets its value.
func (x *expansion) position(g *grid, key string) *Error {
	f, _ := x.lookup(key)
	if g.entry != nil {
		if p := g.entry.names(f); p != nil {
			return p.at
		}
	}
	for _, d := range g.dimensions {
		for _, k := range d.keys {
			if k.f == f {
				return k.at
			}
		}
	}
	for _, p := range x.fixed {
		if p.f == f {
			return p.at
		}
	}
	return x.nowhere()
}
