package shape

import (
	"cmp"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/near"
)

// Shape is an entry of the catalogue of random models.
type Shape struct {
	Name   string // as in random:<Name>
	Source string // the published model it copies; empty for a test shape
	Config Config
}

// RandomPrefix marks a model that is a shape with random weights.
const RandomPrefix = "random:"

// Shapes returns the catalogue, smallest first within a family. The first
// entries are tiny shapes for tests; they copy no published model and have an
// empty Source.
func Shapes() []Shape { return slices.Clone(catalogue) }

// Lookup finds a shape by name, case-insensitively, with or without "random:".
func Lookup(name string) (Shape, error) {
	want := strings.ToLower(strings.TrimSpace(name))
	want = strings.TrimPrefix(want, RandomPrefix)
	for _, s := range catalogue {
		if s.Name == want {
			return s, nil
		}
	}
	return Shape{}, fault.New(codes.ClassModelNotFound, nil, shapeHint(want), "there is no random shape %q",
		strings.TrimPrefix(name, RandomPrefix))
}

// shapeHint names the nearest shapes, then all of them.
func shapeHint(name string) string {
	var all []string
	for _, s := range catalogue {
		all = append(all, s.Name)
	}
	hint := "shapes: " + strings.Join(all, ", ")
	if near := Nearest(name); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "? " + hint
	}
	return hint
}

// Nearest returns up to three catalogue names close to name, best first.
func Nearest(name string) []string {
	type scored struct {
		name string
		d    int
	}
	var found []scored
	for _, s := range catalogue {
		d := near.Distance(name, s.Name)
		if len(name) >= 4 && strings.Contains(s.Name, name) {
			d = min(d, 1)
		}
		if d <= max(2, len(name)/3) {
			found = append(found, scored{s.Name, d})
		}
	}
	slices.SortStableFunc(found, func(a, b scored) int { return cmp.Compare(a.d, b.d) })
	var names []string
	for _, n := range found[:min(3, len(found))] {
		names = append(names, n.name)
	}
	return names
}
