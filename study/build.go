package study

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
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
	if _, given := b.execution["execution.seed"]; !given && execution.Order == Shuffle {
		x.out.Execution.Seed = x.out.ownSeed()
	}
	return x.out, nil
}

// ownSeed is the seed of a study's shuffles where none is given: that of its experiments,
// so that two studies do not share an order by accident.
func (s *Study) ownSeed() uint64 {
	ids := make([]string, len(s.Experiments))
	for i, e := range s.Experiments {
		ids[i] = e.ID()
	}
	slices.Sort(ids)
	h := sha256.New()
	for _, id := range ids {
		fmt.Fprintln(h, id)
	}
	// A seed is a number that YAML and JSON keep exactly.
	return binary.BigEndian.Uint64(h.Sum(nil)) >> 11
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
				b.fail(k.at, "remove one of them; keys that change together are written in one group or zip",
					"%s is set by %s and by %s", k.f.key, other, a)
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
	model, _ := b.lookup("model")
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

// nothing says why the study has no experiment.
func (x *expansion) nothing() {
	switch {
	case len(x.reasons) > 0:
		x.errs = append(x.errs, x.reasons...)
	case x.out.Filtered > 0 && len(x.where) > 0:
		x.fail(x.where[0].at, "loosen a condition, or give more values", "where leaves out all %d points", x.looked)
	case x.chosen:
		x.fail(x.nowhere(), "name one of the backends that the study uses",
			"the study has no points for the backend that the command line names")
	default:
		x.fail(x.nowhere(), "give the study a point to run", "the study has no points")
	}
}
