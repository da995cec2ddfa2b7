package study

import (
	"fmt"
	"slices"
	"strings"
)

// dimension is an axis as it applies to one backend.
type dimension struct {
	*axis
	choices [][]set
}

// grid is the product of dimensions for one backend.
type grid struct {
	backend    string
	base       settings
	dimensions []dimension
	links      []link
	where      []condition
	entry      *point
	varied     []*field
	index      []int
}

// sweeps says whether there is anything beside explicit points.
func (x *expansion) sweeps() bool {
	return len(x.points) == 0 || slices.ContainsFunc(x.axes, func(a *axis) bool { return !a.command && !a.isBackend() })
}

func (a *axis) isBackend() bool { return a.form == plainAxis && a.name == "backend" }

// listed gives the backends of the study, and whether the user named any.
func (x *expansion) listed() (backends []string, named bool) {
	backend, _ := x.lookup("backend")
	named = slices.ContainsFunc(x.points, func(p *point) bool { return p.names(backend) != nil })
	for _, a := range x.axes {
		if a.isBackend() {
			for _, c := range a.choices {
				backends = append(backends, c[0].v.Text)
			}
		}
		named = named || a.has(backend)
	}
	if backends != nil {
		return unique(backends), true
	}
	for _, p := range x.fixed {
		if p.f == backend {
			return []string{p.v.Text}, true
		}
	}
	return []string{x.backends[0]}, named
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
	if x.chosen {
		return out
	}
	for _, a := range x.axes {
		if a.form != groupAxis {
			continue
		}
		for _, c := range a.choices {
			if named := backendOf(c); named != "" && !slices.Contains(out, named) {
				out = append(out, named)
			}
		}
	}
	return out
}

// backendOf is the backend that an entry of a group names, or "".
func backendOf(choice []set) string {
	for _, s := range choice {
		if s.f.key == "backend" {
			return s.v.Text
		}
	}
	return ""
}

// baseOf are the defaults with the fixed values.
func (x *expansion) baseOf(backend string) settings {
	s := x.defaults()
	for _, p := range x.fixed {
		p.f.put(&s, p.v)
	}
	s.Backend = backend
	return s
}

// sweepGrid is the product of the axes that apply to a backend, or nil if it has no
// points.
func (x *expansion) sweepGrid(backend string, listed []string) *grid {
	g := &grid{backend: backend, base: x.baseOf(backend), varied: x.own(backend)}
	g.links = x.linksOf(backend)
	for _, c := range x.where {
		if c.e.speaksOf(backend) {
			g.where = append(g.where, c)
		}
	}
	relevant := func(f *field) bool {
		return f.section == "" || f.section == backend ||
			slices.ContainsFunc(g.links, func(l link) bool { return slices.Contains(l.e.keys, f) })
	}
	for _, a := range x.axes {
		if a.isBackend() {
			continue
		}
		if !slices.ContainsFunc(a.keys, func(k axisKey) bool { return relevant(k.f) }) && len(a.keys) > 0 {
			continue
		}
		choices := a.choices
		if a.form == groupAxis {
			if choices = entriesFor(a, backend, slices.Contains(listed, backend), relevant); len(choices) == 0 {
				return nil
			}
		}
		g.dimensions = append(g.dimensions, dimension{a, choices})
	}
	return g
}

// own are the varied keys that a backend has.
func (x *expansion) own(backend string) []*field {
	return slices.DeleteFunc(slices.Clone(x.varied), func(f *field) bool {
		return f.key == "backend" || f.section != "" && f.section != backend
	})
}

// entriesFor are the entries of a group that apply to a backend: those that name it,
// and those that name none and have a key for it or no backend's key at all. Where
// some entries name backends, the others are for the backends of the study. If none
// is left, the group changes nothing, unless all its entries are for named backends.
func entriesFor(a *axis, backend string, listed bool, relevant func(*field) bool) [][]set {
	anyNamed := slices.ContainsFunc(a.choices, func(c []set) bool { return backendOf(c) != "" })
	open := listed || !anyNamed
	var out [][]set
	allNamed := true
	for _, c := range a.choices {
		named := backendOf(c)
		allNamed = allNamed && named != ""
		if named == backend || named == "" && open && fits(c, relevant) {
			out = append(out, c)
		}
	}
	if len(out) == 0 && open && !allNamed {
		return [][]set{nil}
	}
	return out
}

// fits says that a choice has a relevant key of a section, or no such key at all.
func fits(choice []set, relevant func(*field) bool) bool {
	foreign := false
	for _, s := range choice {
		if s.f.section == "" {
			continue
		}
		if relevant(s.f) {
			return true
		}
		foreign = true
	}
	return !foreign
}

// linksOf are the links for a backend, each after those that it depends on.
func (x *expansion) linksOf(backend string) []link {
	var active []link
	for _, l := range x.links {
		if l.f.section == backend || l.f.section == "" && l.e.speaksOf(backend) {
			active = append(active, l)
		}
	}
	var out []link
	state := map[*field]int{} // 1: being visited, 2: done
	var visit func(l link, chain []string) bool
	visit = func(l link, chain []string) bool {
		chain = append(chain, l.f.key)
		switch state[l.f] {
		case 1:
			b := slices.Index(chain, l.f.key)
			x.fail(l.at, "remove one of these links", "links form a circle: %s", strings.Join(chain[b:], " -> "))
			return false
		case 2:
			return true
		}
		state[l.f] = 1
		for _, other := range active {
			if slices.Contains(l.e.keys, other.f) || l.e.batch && other.f == x.batch[backend] {
				if !visit(other, chain) {
					return false
				}
			}
		}
		state[l.f] = 2
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

// entryGrids are the products of an explicit point with the axes of the command line,
// one for each backend.
func (x *expansion) entryGrids(p *point, listed []string) []*grid {
	var out []*grid
	for _, backend := range x.entryBackends(p, listed) {
		g := &grid{backend: backend, base: x.baseOf(backend), entry: p, varied: x.own(backend)}
		for _, s := range p.sets {
			s.f.put(&g.base, s.v)
		}
		g.base.Backend = backend
		for _, a := range x.axes {
			section := a.keys0().section
			if a.command && !a.isBackend() && (section == "" || section == backend) {
				g.dimensions = append(g.dimensions, dimension{a, a.choices})
			}
		}
		for _, c := range x.where {
			if c.everywhere && c.e.speaksOf(backend) {
				g.where = append(g.where, c)
			}
		}
		out = append(out, g)
	}
	return out
}

// keys0 is the first key of an axis.
func (a *axis) keys0() *field {
	if len(a.keys) == 0 {
		return &field{}
	}
	return a.keys[0].f
}

// entryBackends are the backends that an explicit point runs on: the one it names, or
// those of the study that have the keys it sets.
func (x *expansion) entryBackends(p *point, listed []string) []string {
	backend, _ := x.lookup("backend")
	candidates := listed
	if s := p.names(backend); s != nil {
		candidates = []string{s.v.Text}
		if x.chosen && !slices.Contains(listed, s.v.Text) {
			x.out.Filtered++
			return nil
		}
	}
	own, foreign := map[string]bool{}, false
	for _, s := range p.sets {
		switch {
		case s.f.section == "":
		case slices.Contains(candidates, s.f.section):
			own[s.f.section] = true
		default:
			foreign = true
			if x.chosen {
				continue // the command line left its backend out
			}
			x.fail(s.at, "add backend: "+s.f.section+" to the entry, or remove the key",
				"entry %d of experiments sets %s, but its backend is %s",
				p.number, s.f.key, strings.Join(candidates, " or "))
		}
	}
	if foreign && len(own) == 0 {
		if x.chosen {
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
	used := func(f *field) bool {
		return f.section == "" || slices.ContainsFunc(grids, func(g *grid) bool {
			return g.backend == f.section ||
				slices.ContainsFunc(g.links, func(l link) bool { return slices.Contains(l.e.keys, f) })
		})
	}
	add := func(f *field, at *Error) {
		if at.Line > 0 && !used(f) && !slices.Contains(x.out.Unused, f.key) {
			x.out.Unused = append(x.out.Unused, f.key)
		}
	}
	for _, p := range x.fixed {
		add(p.f, p.at)
	}
	for _, a := range x.axes {
		for _, k := range a.keys {
			add(k.f, k.at)
		}
	}
}

// size counts the points of all grids, and refuses too many.
func (x *expansion) size(grids []*grid) int {
	total, limit := 0.0, float64(maxPoints)
	if len(x.where) > 0 {
		limit = maxLooked
	}
	for _, g := range grids {
		n := 1.0
		for _, d := range g.dimensions {
			n *= float64(len(d.choices))
		}
		total += n
	}
	if total > limit {
		hint := "use fewer values"
		if len(x.where) > 0 {
			hint = "use fewer values; where looks at them one by one"
		}
		x.fail(x.nowhere(), hint, "the sweep has %.0f points; at most %.0f are possible", total, limit)
		return 0
	}
	return int(total)
}

// advance goes to the next point and returns the first dimension that changed, or -1
// at the end.
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
		parts = []string{fmt.Sprintf("entry %d of experiments on %s", g.entry.number, g.backend)}
		for _, s := range g.entry.sets {
			if s.f.key != "backend" {
				parts = append(parts, s.f.key+"="+s.v.String())
			}
		}
	}
	for i, d := range g.dimensions {
		for _, s := range d.choices[g.index[i]] {
			if s.f.key != "backend" && (s.f.section == "" || s.f.section == g.backend) {
				parts = append(parts, s.f.key+"="+s.v.String())
			}
		}
	}
	return strings.Join(parts, " ")
}
