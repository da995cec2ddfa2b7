package chart

import (
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/internal/table"
)

var update = flag.Bool("update", false, "write the golden files again")

// drawings are all kinds of drawings in a style.
func drawings(s Style) string {
	var b strings.Builder
	for _, share := range []float64{0, 0.001, 0.25, 0.5, 1, 1.5, math.NaN(), -0.1} {
		fmt.Fprintf(&b, "bar %-6v [%s]\n", share, s.Bar(share, 20))
	}
	values := []float64{math.NaN(), 100, 700, 650, 640, 0, 660, 700, 90, math.NaN()}
	fmt.Fprintf(&b, "spark [%s]\nwindow [%s]\n", s.Spark(values, 700), s.Window(values, 2, 8, 700))
	for _, q := range [][]Point{
		{{2.6, 2.8, 3}, {0.8, 0.83, 0.86}, Bare(0.21)},
		{{0.98, 1, 1.02}, {1.01, 1.03, 1.05}},
		{{0.009, 0.01, 0.011}, {2.7, 3, 3.3}},
		{{-5, 1, 7}},
		{Bare(math.NaN())},
		{Bare(0)},
	} {
		for _, width := range []int{14, 40} {
			scale := NewScale(q, width)
			fmt.Fprintf(&b, "      [%s]\n", scale.Axis("J"))
			for _, p := range q {
				fmt.Fprintf(&b, "      [%s]\n", s.Whisker(scale, p))
			}
		}
	}
	return b.String()
}

// TestDrawings compares drawings with testdata, in both styles.
func TestDrawings(t *testing.T) {
	for name, s := range map[string]Style{"unicode": Unicode, "ascii": ASCII} {
		got, file := drawings(s), "testdata/"+name+".txt"
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
		if s == ASCII && strings.ContainsFunc(got, func(r rune) bool { return r > '~' }) {
			t.Errorf("characters beyond ASCII:\n%s", got)
		}
	}
}

// TestWidths: a drawing has the width that was asked for, whatever the values.
func TestWidths(t *testing.T) {
	values := []float64{0, 1e-9, 0.3, 1, 29, 31, 1e6, -4, math.NaN()}
	for width := 1; width < 60; width++ {
		for _, v := range values {
			for _, w := range values {
				p := []Point{{v - 1, v, v + 1}, Bare(w)}
				scale := NewScale(p, width)
				for _, text := range []string{Unicode.Whisker(scale, p[0]), Unicode.Whisker(scale, p[1]),
					Unicode.Bar(v, width)} {
					if n := table.Width(text); n != width {
						t.Fatalf("%v and %v: %d cells, want %d: %q", v, w, n, width, text)
					}
				}
				if n := table.Width(scale.Axis("J")); width >= 14 && n != width {
					t.Fatalf("axis of %+v: %d cells, want %d", scale, n, width)
				}
			}
		}
	}
}

// TestBins: a span has the mean of its samples, the last sample before it for a while, and then none.
func TestBins(t *testing.T) {
	got := Bins([]Sample{{-1, 5}, {0.5, 10}, {0.7, 20}, {1.2, 30}}, 0, 5, 5, 1)
	want := []float64{15, 30, 30, math.NaN(), math.NaN()}
	if !slices.EqualFunc(got, want, func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }) {
		t.Errorf("bins %v, want %v", got, want)
	}
}
