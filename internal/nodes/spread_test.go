package nodes

import (
	"math"
	"testing"
)

// TestSpread: a machine that needs 10 % more is found, although it executed other configurations than the others.
func TestSpread(t *testing.T) {
	runs := []Measured{{"a", "n1", 1}, {"b", "n1", 5}, {"b", "n2", 5.5}, {"c", "n2", 22}, {"c", "n3", 20},
		{"a", "n3", 1}}
	s, ok := SpreadOf(runs)
	if !ok || s.Nodes != 3 || math.Abs(s.Between-0.1) > 1e-6 || s.Within > 1e-6 || s.Apart != nil {
		t.Errorf("%+v, %v", s, ok)
	}
	if _, ok := SpreadOf(runs[:2]); ok {
		t.Error("one machine has a spread")
	}
	s, _ = SpreadOf([]Measured{{"a", "n1", 1}, {"a", "n1", 1}, {"b", "n2", 2}})
	if len(s.Apart) != 2 || s.Apart[0] != "a" || s.Apart[1] != "b" || !math.IsNaN(s.Between) {
		t.Errorf("two configurations on a machine each: %+v", s)
	}
}
