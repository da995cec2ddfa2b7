package study

import (
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"
)

// maxPoints bounds a study, and maxLooked the points that where conditions may have
// to look at.
const (
	maxPoints = 1_000_000
	maxLooked = 20_000_000
)

// build makes the study, or returns every mistake.
func (b *builder) build() (*Study, error) {
	execution, problem := resolveExecution(b.execution)
	if problem != nil {
		b.errs = append(b.errs, problem)
	}
	b.checkAxes()
	b.requireModel()
	if len(b.errs) > 0 {
		return nil, b.errs.sorted()
	}
	x := newExpansion(b)
	x.out.Name, x.out.Execution = b.name, execution
	x.all()
	if len(b.errs) == 0 && len(x.out.Experiments) == 0 {
		x.nothing()
	}
	if len(b.errs) > 0 {
		return nil, b.errs.sorted()
	}
	return x.out, nil
}

// nowhere is the position of what the study as a whole lacks.
func (b *builder) nowhere() *Error {
	if b.source == "" {
		return &Error{Source: "--model"}
	}
	return &Error{Source: b.source}
}

// checkAxes finds keys that the sweep sets twice.
func (b *builder) checkAxes() {
	first := map[*field]*axis{}
	for _, a := range b.axes {
		for _, k := range a.keys {
			other, twice := first[k.f]
			if twice {
				b.fail(k.at, "remove one of them; keys that change together are written in one group or zip", "%s is set by %s and by %s", k.f.key, other, a)
				continue
			}
			first[k.f] = a
		}
	}
	for _, l := range b.links {
		if a, ok := first[l.f]; ok {
			b.fail(l.at, "remove one of them", "%s is set by %s and by link", l.f.key, a)
		}
	}
}

// requireModel finds a study in which nothing names a model.
func (b *builder) requireModel() {
	model, _ := lookup("model")
	has := slices.ContainsFunc(b.fixed, func(p placed) bool { return p.f == model }) ||
		slices.ContainsFunc(b.axes, func(a *axis) bool { return a.has(model) }) ||
		slices.ContainsFunc(b.points, func(p *point) bool { return p.names(model) != nil })
	if !has && len(b.errs) == 0 {
		b.noModel(b.nowhere(), "no model is given")
	}
}

func (b *builder) noModel(at *Error, msg string) {
	b.fail(at, "for a first run without any download: --model random:smollm2-135m", "%s", msg)
}

// names gives the place where an entry sets a key, or nil.
func (p *point) names(f *field) *placed {
	i := slices.IndexFunc(p.sets, func(s placed) bool { return s.f == f })
	if i < 0 {
		return nil
	}
	return &p.sets[i]
}

// expansion turns what the sources say into experiments.
type expansion struct {
	*builder
	out *Study
	// seen finds an experiment by the hash of its meaning.
	seen map[uint64]int32
	seed maphash.Seed
	// varied are the keys in which points can differ.
	varied []*field
	pools  pools
	// reasons are the distinct mistakes of points that cannot be run.
	reasons Errors
	// looked counts the points so far, without merging or leaving out any.
	looked int
}

func newExpansion(b *builder) *expansion {
	x := &expansion{builder: b, out: &Study{}, seen: map[uint64]int32{}, seed: maphash.MakeSeed()}
	add := func(f *field) {
		if !f.aside && !slices.Contains(x.varied, f) {
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

// sweeps says whether there is anything beside explicit points.
func (x *expansion) sweeps() bool {
	return len(x.points) == 0 || slices.ContainsFunc(x.axes, func(a *axis) bool { return !a.command && !a.isBackend() })
}

func (a *axis) isBackend() bool { return a.form == plainAxis && a.name == "backend" }

// listed gives the backends of the study, and whether the user named any.
func (x *expansion) listed() (backends []string, named bool) {
	backend, _ := lookup("backend")
	named = slices.ContainsFunc(x.points, func(p *point) bool { return p.names(backend) != nil })
	for _, a := range x.axes {
		if a.isBackend() {
			for _, c := range a.choices {
				backends = append(backends, c[0].v.s)
			}
		}
		named = named || a.has(backend)
	}
	if backends != nil {
		return unique(backends), true
	}
	for _, p := range x.fixed {
		if p.f == backend {
			return []string{p.v.s}, true
		}
	}
	return []string{Embedded}, named
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
			return s.v.s
		}
	}
	return ""
}

// baseOf are the defaults with the fixed values.
func (x *expansion) baseOf(backend string) settings {
	s := defaults()
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
			if slices.Contains(l.e.keys, other.f) || l.e.batch && other.f == batchKeys[backend] {
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
	backend, _ := lookup("backend")
	candidates := listed
	if s := p.names(backend); s != nil {
		candidates = []string{s.v.s}
		if x.chosen && !slices.Contains(listed, s.v.s) {
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
			x.fail(s.at, "add backend: "+s.f.section+" to the entry, or remove the key", "entry %d of experiments sets %s, but its backend is %s",
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
			return g.backend == f.section || slices.ContainsFunc(g.links, func(l link) bool { return slices.Contains(l.e.keys, f) })
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

// expand makes the points of a grid, the last dimension changing fastest.
func (x *expansion) expand(g *grid) {
	n := len(g.dimensions)
	// states[i] are the settings with the first i dimensions in place.
	states := make([]settings, n+1)
	states[0] = g.base
	g.index = make([]int, n)
	s := &scratch{settings: &states[n]}
	for level := 0; ; {
		for i := level; i < n; i++ {
			states[i+1] = states[i]
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
	if r := conflict(s.settings); r != nil {
		x.conflicting(g, r, s.settings)
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
	var v val
	switch l.e.basic {
	case isNumber:
		v.f = l.e.num(s)
	case isText:
		v.s = l.e.str(s)
	case isBool:
		v.s = string(Off)
		if l.e.truth(s) {
			v.s = string(On)
		}
	}
	if s.undefined {
		x.refuse(g, l.at, fmt.Sprintf("the link of %s divides by zero", l.f.key), "")
		return false
	}
	out, ok := l.f.kind.accepts(v)
	if !ok {
		text := v.s
		if l.e.basic == isNumber {
			text = fmt.Sprint(v.f)
		}
		x.refuse(g, l.at, fmt.Sprintf("the link makes %s %s; want %s", l.f.key, text, l.f.kind.want), "")
		return false
	}
	l.f.put(s.settings, out)
	return true
}

// add takes a point into the study unless it is there already.
func (x *expansion) add(g *grid, s *settings) bool {
	e := x.pools.experiment(s)
	h := x.hash(g, s)
	for {
		i, hit := x.seen[h]
		if !hit {
			break
		}
		// Sections are equal if they are the same, since the pools share them.
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
		x.fail(g.entry.id.at, "remove the id: it is made from the values", "entry %d of experiments has the id %q, but its values make it %s", g.entry.number, g.entry.id.text, e.ID())
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
		if v.s != "" {
			h ^= maphash.String(x.seed, v.s)
		}
		h = (h ^ uint64(v.i) ^ math.Float64bits(v.f)) * odd
		h ^= h >> 29
	}
	return h
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

// String gives the value as a study file would.
func (v val) String() string {
	switch {
	case v.s != "":
		return v.s
	case v.i != 0:
		return fmt.Sprint(v.i)
	}
	return fmt.Sprint(v.f)
}

// refuse records a point that cannot be run.
func (x *expansion) refuse(g *grid, at *Error, reason, hint string) {
	x.out.Refused++
	if len(x.out.Invalid) < MaxListed {
		x.out.Invalid = append(x.out.Invalid, Invalid{g.describe(), reason, hint})
	}
	if len(x.reasons) < MaxListed && !slices.ContainsFunc(x.reasons, func(e *Error) bool { return e.Msg == reason }) {
		e := *at
		e.Msg, e.Hint = reason, hint
		x.reasons = append(x.reasons, &e)
	}
}

func (x *expansion) conflicting(g *grid, r *rule, s *settings) {
	if x.out.Refused >= MaxListed && len(x.reasons) >= MaxListed {
		x.out.Refused++
		return
	}
	x.refuse(g, x.position(g, r.key), r.msg(s), r.hint)
}

// position is where a key gets its value.
func (x *expansion) position(g *grid, key string) *Error {
	f, _ := lookup(key)
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

// nothing says why the study has no experiment.
func (x *expansion) nothing() {
	switch {
	case len(x.reasons) > 0:
		x.errs = append(x.errs, x.reasons...)
	case x.out.Filtered > 0 && len(x.where) > 0:
		x.fail(x.where[0].at, "loosen a condition, or give more values", "where leaves out all %d points", x.looked)
	case x.chosen:
		x.fail(x.nowhere(), "name one of the backends that the study uses", "the study has no points for the backend that the command line names")
	default:
		x.fail(x.nowhere(), "give the study a point to run", "the study has no points")
	}
}
