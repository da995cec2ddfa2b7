package expand

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/source"
)

// dimension is an axis as it applies to one backend.
type dimension struct {
	*source.Axis
	choices [][]source.Assign
}

// grid is the product of dimensions for one backend.
type grid struct {
	backend    string
	base       keys.Values
	dimensions []dimension
	links      []source.Link
	where      []source.Condition
	entry      *source.Point
	varied     []*keys.Field
	index      []int
}

// sweeps reports whether there is anything besides explicit points.
func (x *expansion) sweeps() bool {
	return len(x.Points) == 0 ||
		slices.ContainsFunc(x.Axes, func(a *source.Axis) bool { return !a.Command && !isBackend(a) })
}

func isBackend(a *source.Axis) bool { return a.Form == source.PlainAxis && a.Name == "backend" }

// listed returns the backends of the study, and whether the user named any.
func (x *expansion) listed() (backends []string, named bool) {
	backend := x.Backend
	named = slices.ContainsFunc(x.Points, func(p *source.Point) bool { return p.Names(backend) != nil })
	for _, a := range x.Axes {
		if isBackend(a) {
			for _, c := range a.Choices {
				backends = append(backends, c[0].V.Text)
			}
		}
		named = named || a.Has(backend)
	}
	if backends != nil {
		return unique(backends), true
	}
	for _, p := range x.Fixed {
		if p.F == backend {
			return []string{p.V.Text}, true
		}
	}
	return []string{x.Backends[0]}, named
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// involved adds the backends that entries of groups name.
func (x *expansion) involved(listed []string) []string {
	out := slices.Clone(listed)
	if x.Chosen {
		return out
	}
	for _, a := range x.Axes {
		if a.Form != source.GroupAxis {
			continue
		}
		for _, c := range a.Choices {
			if named := backendOf(c); named != "" && !slices.Contains(out, named) {
				out = append(out, named)
			}
		}
	}
	return out
}

// backendOf returns the backend that an entry of a group names, or "".
func backendOf(choice []source.Assign) string {
	for _, s := range choice {
		if s.F.Key == "backend" {
			return s.V.Text
		}
	}
	return ""
}

// baseOf returns the defaults with the fixed values.
func (x *expansion) baseOf(backend string) keys.Values {
	s := x.Defaults()
	for _, p := range x.Fixed {
		p.F.Put(s, p.V)
	}
	x.Backend.Put(s, grammar.Value{Text: backend})
	return s
}

// sweepGrid returns the product of the axes that apply to a backend, or nil if it has no points.
func (x *expansion) sweepGrid(backend string, listed []string) *grid {
	g := &grid{backend: backend, base: x.baseOf(backend), varied: x.own(backend)}
	g.links = x.linksOf(backend)
	for _, c := range x.Where {
		if c.E.SpeaksOf(backend) {
			g.where = append(g.where, c)
		}
	}
	relevant := func(f *keys.Field) bool {
		return f.Section == "" || f.Section == backend ||
			slices.ContainsFunc(g.links, func(l source.Link) bool { return slices.Contains(l.E.Keys, f) })
	}
	for _, a := range x.Axes {
		if isBackend(a) {
			continue
		}
		if !slices.ContainsFunc(a.Keys, func(k source.AxisKey) bool { return relevant(k.F) }) && len(a.Keys) > 0 {
			continue
		}
		choices := a.Choices
		if a.Form == source.GroupAxis {
			if choices = entriesFor(a, backend, slices.Contains(listed, backend), relevant); len(choices) == 0 {
				return nil
			}
		}
		g.dimensions = append(g.dimensions, dimension{a, choices})
	}
	return g
}

// own returns the varied keys that a backend has.
func (x *expansion) own(backend string) []*keys.Field {
	return slices.DeleteFunc(slices.Clone(x.varied), func(f *keys.Field) bool {
		return f.Key == "backend" || f.Section != "" && f.Section != backend
	})
}

// entriesFor returns the entries of a group that apply to a backend: entries that name it, and entries that name
// no backend and have a key for it or no backend's key at all. If some entries name backends, the others apply to
// the backends of the study. If none is left, the group changes nothing, unless all its entries are for named
// backends.
func entriesFor(a *source.Axis, backend string, listed bool, relevant func(*keys.Field) bool) [][]source.Assign {
	anyNamed := slices.ContainsFunc(a.Choices, func(c []source.Assign) bool { return backendOf(c) != "" })
	open := listed || !anyNamed
	var out [][]source.Assign
	allNamed := true
	for _, c := range a.Choices {
		named := backendOf(c)
		allNamed = allNamed && named != ""
		if named == backend || named == "" && open && fits(c, relevant) {
			out = append(out, c)
		}
	}
	if len(out) == 0 && open && !allNamed {
		return [][]source.Assign{nil}
	}
	return out
}

// fits reports whether a choice has a relevant key of a section, or no such key at all.
func fits(choice []source.Assign, relevant func(*keys.Field) bool) bool {
	foreign := false
	for _, s := range choice {
		if s.F.Section == "" {
			continue
		}
		if relevant(s.F) {
			return true
		}
		foreign = true
	}
	return !foreign
}

// linksOf returns the links for a backend, each after the links that it depends on.
func (x *expansion) linksOf(backend string) []source.Link {
	var active []source.Link
	for _, l := range x.Links {
		if l.F.Section == backend || l.F.Section == "" && l.E.SpeaksOf(backend) {
			active = append(active, l)
		}
	}
	var out []source.Link
	state := map[*keys.Field]int{} // 1: being visited, 2: done
	var visit func(l source.Link, chain []string) bool
	visit = func(l source.Link, chain []string) bool {
		chain = append(chain, l.F.Key)
		switch state[l.F] {
		case 1:
			b := slices.Index(chain, l.F.Key)
			x.Fail(l.At, "remove one of these links", "links form a circle: %s", strings.Join(chain[b:], " -> "))
			return false
		case 2:
			return true
		}
		state[l.F] = 1
		for _, other := range active {
			if slices.Contains(l.E.Keys, other.F) || l.E.Batch && other.F == x.Batch[backend] {
				if !visit(other, chain) {
					return false
				}
			}
		}
		state[l.F] = 2
		out = append(out, l)
		return true
	}
	for _, l := range active {
		if !visit(l, nil) {
			return nil
		}
	}
	return out
}

// entryGrids returns the products of an explicit point with the axes of the command line, one for each backend.
func (x *expansion) entryGrids(p *source.Point, listed []string) []*grid {
	var out []*grid
	for _, backend := range x.entryBackends(p, listed) {
		g := &grid{backend: backend, base: x.baseOf(backend), entry: p, varied: x.own(backend)}
		for _, s := range p.Sets {
			s.F.Put(g.base, s.V)
		}
		x.Backend.Put(g.base, grammar.Value{Text: backend})
		for _, a := range x.Axes {
			section := first(a).Section
			if a.Command && !isBackend(a) && (section == "" || section == backend) {
				g.dimensions = append(g.dimensions, dimension{a, a.Choices})
			}
		}
		for _, c := range x.Where {
			if c.Everywhere && c.E.SpeaksOf(backend) {
				g.where = append(g.where, c)
			}
		}
		out = append(out, g)
	}
	return out
}

// first returns the first key of an axis.
func first(a *source.Axis) *keys.Field {
	if len(a.Keys) == 0 {
		return &keys.Field{}
	}
	return a.Keys[0].F
}

// entryBackends returns the backends of an explicit point: the one it names, or the backends of the study that
// have the keys it sets.
func (x *expansion) entryBackends(p *source.Point, listed []string) []string {
	backend := x.Backend
	candidates := listed
	if s := p.Names(backend); s != nil {
		candidates = []string{s.V.Text}
		if x.Chosen && !slices.Contains(listed, s.V.Text) {
			x.out.Filtered++
			return nil
		}
	}
	own, foreign := map[string]bool{}, false
	for _, s := range p.Sets {
		switch {
		case s.F.Section == "":
		case slices.Contains(candidates, s.F.Section):
			own[s.F.Section] = true
		default:
			foreign = true
			if x.Chosen {
				continue // the command line left its backend out
			}
			x.Fail(s.At, "add backend: "+s.F.Section+" to the entry, or remove the key",
				"entry %d of experiments sets %s, but its backend is %s",
				p.Number, s.F.Key, strings.Join(candidates, " or "))
		}
	}
	if foreign && len(own) == 0 {
		if x.Chosen {
			x.out.Filtered++
		}
		return nil
	}
	if len(own) == 0 {
		return candidates
	}
	return slices.DeleteFunc(slices.Clone(candidates), func(c string) bool { return !own[c] })
}

// unused lists keys of the file that belong to backends which the study does not run.
func (x *expansion) unused(grids []*grid) {
	used := func(f *keys.Field) bool {
		return f.Section == "" || slices.ContainsFunc(grids, func(g *grid) bool {
			return g.backend == f.Section ||
				slices.ContainsFunc(g.links, func(l source.Link) bool { return slices.Contains(l.E.Keys, f) })
		})
	}
	add := func(f *keys.Field, at *grammar.Error) {
		if at.Line > 0 && !used(f) && !slices.Contains(x.out.Unused, f.Key) {
			x.out.Unused = append(x.out.Unused, f.Key)
		}
	}
	for _, p := range x.Fixed {
		add(p.F, p.At)
	}
	for _, a := range x.Axes {
		for _, k := range a.Keys {
			if x.Chosen || used(k.F) || k.At.Line == 0 { // a flag such as --batch-size sets the keys of all backends
				add(k.F, k.At)
				continue
			}
			x.Fail(k.At, x.instead(k.F, grids), "%s is swept, but no backend of the study has it", k.F.Key)
		}
	}
}

// instead returns what to do about a swept key of a backend that the study does not run.
func (x *expansion) instead(f *keys.Field, grids []*grid) string {
	if f != x.Batch[f.Section] || len(grids) == 0 || x.Batch[grids[0].backend] == nil {
		return "remove it, or set backend: " + f.Section
	}
	return "write " + x.Batch[grids[0].backend].Key + ", or set backend: " + f.Section
}

// size counts the points of all grids, and refuses too many.
func (x *expansion) size(grids []*grid) int {
	total, limit := 0.0, float64(keys.MaxPoints)
	if len(x.Where) > 0 {
		limit = maxLooked
	}
	for _, g := range grids {
		n := 1.0
		for _, d := range g.dimensions {
			n *= float64(len(d.Choices))
		}
		total += n
	}
	if total > limit {
		hint := "use fewer values"
		if len(x.Where) > 0 {
			hint = "use fewer values; where checks them one by one"
		}
		x.Fail(x.Nowhere(), hint, "the sweep has %.0f points; the maximum is %.0f", total, limit)
		return 0
	}
	return int(total)
}

// advance moves to the next point and returns the first dimension that changed, or -1 at the end.
func (g *grid) advance() int {
	for i := len(g.dimensions) - 1; i >= 0; i-- {
		if g.index[i]++; g.index[i] < len(g.dimensions[i].choices) {
			return i
		}
		g.index[i] = 0
	}
	return -1
}

// describe names the point at the grid's index by what was varied.
func (g *grid) describe() string {
	parts := []string{g.backend}
	if g.entry != nil {
		parts = []string{fmt.Sprintf("entry %d of experiments on %s", g.entry.Number, g.backend)}
		for _, s := range g.entry.Sets {
			if s.F.Key != "backend" {
				parts = append(parts, s.F.Key+"="+s.V.String())
			}
		}
	}
	for i, d := range g.dimensions {
		for _, s := range d.Choices[g.index[i]] {
			if s.F.Key != "backend" && (s.F.Section == "" || s.F.Section == g.backend) {
				parts = append(parts, s.F.Key+"="+s.V.String())
			}
		}
	}
	return strings.Join(parts, " ")
}
