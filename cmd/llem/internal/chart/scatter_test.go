package chart

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/internal/table"
)

// spots are points of every kind: with intervals, without, without a value, and two in one place.
var spots = []Spot{
	{X: Point{20, 30, 40}, Y: Point{8, 9, 12}, Kind: Worse},
	{X: Point{90, 100, 110}, Y: Point{2, 3, 4}, Kind: Worse},
	{X: Bare(590), Y: Point{0.6, 0.75, 0.9}, Kind: Close},
	{X: Point{500, 600, 700}, Y: Point{0.65, 0.7, 0.75}, Kind: Best, Tag: "a"},
	{X: Bare(602), Y: Bare(0.7), Kind: Best, Tag: "b"},
	{X: Bare(math.NaN()), Y: Bare(1), Kind: Best, Tag: "c"},
}

// TestScatter compares charts with testdata, at 80 and 40 columns in both styles.
func TestScatter(t *testing.T) {
	var b strings.Builder
	for _, s := range []Style{Unicode, ASCII} {
		for _, width := range []int{80, 40} {
			lines, all := s.Scatter(Scatter{Width: width, Height: 14, UnitX: "1/s", UnitY: "J", Spots: spots})
			for _, l := range lines {
				if n := table.Width(l); n > width {
					t.Errorf("%d columns: %q has %d", width, l, n)
				}
			}
			b.WriteString(strings.Join(lines, "\n") + "\n\n")
			if !all {
				t.Errorf("%d columns: a tag is missing:\n%s", width, strings.Join(lines, "\n"))
			}
			if s == ASCII && strings.ContainsFunc(strings.Join(lines, ""), func(r rune) bool { return r > '~' }) {
				t.Errorf("characters beyond ASCII:\n%s", strings.Join(lines, "\n"))
			}
		}
	}
	const file = "testdata/scatter.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestScatterFits: a chart has the size that was asked for, whatever the values.
func TestScatterFits(t *testing.T) {
	values := []float64{0, -4, 1e-9, 1, 1 + 1e-16, math.Nextafter(1, 2), 31, 1e6, 1e300, math.Inf(1), math.NaN()}
	for _, width := range []int{20, 40, 80} {
		for _, v := range values {
			for _, w := range values {
				spots := []Spot{{X: Point{v - 1, v, v + 1}, Y: Bare(w), Tag: "a"}, {X: Bare(w), Y: Bare(v), Kind: Best}}
				lines, _ := ASCII.Scatter(Scatter{Width: width, Height: 10, UnitY: "J", Spots: spots})
				if len(lines) != 10 {
					t.Fatalf("%v and %v: %d lines", v, w, len(lines))
				}
				for _, l := range lines {
					if n := table.Width(l); n > width {
						t.Fatalf("%v and %v at %d columns: %q has %d", v, w, width, l, n)
					}
				}
			}
		}
	}
}

// TestScatterColour: only marks and tags are coloured.
func TestScatterColour(t *testing.T) {
	lines, _ := Unicode.Scatter(Scatter{Width: 40, Height: 8, Spots: spots, Paint: func(k Kind, s string) string {
		return string(rune('0'+int(k))) + s
	}})
	if text := strings.Join(lines, "\n"); !strings.Contains(text, "2★2a") || !strings.Contains(text, "0▪") {
		t.Errorf("no colour in\n%s", text)
	}
}
