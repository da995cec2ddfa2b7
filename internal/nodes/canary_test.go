package nodes

import (
	"fmt"
	"math"
	"testing"
)

// TestSpreadOfCanaries: the odd machine is named where the others tell what is usual.
func TestSpreadOfCanaries(t *testing.T) {
	for name, c := range map[string]struct {
		values   []float64
		ratio    float64
		outliers string
	}{
		"alike":           {[]float64{1, 1.01, 0.99}, 1.01 / 0.99, ""},
		"one of three":    {[]float64{1, 1.08, 1.01}, 1.08, "w1 +0.07"},
		"two":             {[]float64{1, 1.2}, 1.2, ""},
		"many":            {[]float64{1, 1.001, 0.999, 1.002, 0.998, 1, 1.03, 1.001}, 1.03 / 0.998, "w6 +0.03"},
		"many that vary":  {[]float64{1, 1.05, 0.95, 1.02, 0.98, 1.04, 0.97, 1.03}, 1.05 / 0.95, ""},
		"the farther one": {[]float64{1, 1, 1, 0.9, 1.06}, 1.06 / 0.9, "w3 -0.10 w4 +0.06"},
	} {
		var all []Canary
		for i, v := range c.values {
			all = append(all, Canary{fmt.Sprint("w", i), v})
		}
		s, ok := SpreadOfCanaries(all)
		text := ""
		for _, o := range s.Outliers {
			text += fmt.Sprintf(" %s %+.2f", o.Worker, o.Off)
		}
		if !ok || math.Abs(s.Ratio-c.ratio) > 1e-9 || text != "" && text[1:] != c.outliers || text == "" &&
			c.outliers != "" {
			t.Errorf("%s: %+v, %v", name, s, ok)
		}
	}
	if _, ok := SpreadOfCanaries([]Canary{{"a", 1}}); ok {
		t.Error("one canary has a spread")
	}
}
