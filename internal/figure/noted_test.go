package figure

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestNoted: a mark is drawn above a chart and notes below it, inside the page.
func TestNoted(t *testing.T) {
	t.Parallel()
	for name, c := range charts() {
		plain := c.Draw(Style{})
		d := Noted{Chart: c, Mark: "simulated, not measured", Notes: []string{"names: dtype · batch_size",
			"[a] agreement", "[b] " + strings.Repeat("long ", 60)}}.Draw(Style{})
		if d.Width != plain.Width || d.Height != plain.Height {
			t.Errorf("%s: %g × %g points, want %g × %g", name, d.Width, d.Height, plain.Width, plain.Height)
		}
		if !strings.HasPrefix(d.Description, "Simulated, not measured. ") {
			t.Errorf("%s: description %q", name, d.Description)
		}
		var mark, note Point
		for _, o := range d.ops {
			if o.text == nil {
				continue
			}
			if at := o.text.At; at.Y < 0 || at.Y > d.Height {
				t.Errorf("%s: %q at %v, outside the page", name, o.text.Text, at)
			}
			switch {
			case o.text.Text == "simulated, not measured":
				mark = o.text.At
			case strings.Contains(o.text.Text, "[a] agreement"):
				note = o.text.At
			}
		}
		if mark.Y == 0 || note.Y < d.Height*0.7 {
			t.Errorf("%s: mark at %v, note at %v of %g", name, mark, note, d.Height)
		}
		var marked, bare bytes.Buffer
		if err := d.SVG(&marked); err != nil {
			t.Fatal(err)
		}
		if err := (Noted{Chart: c}).Draw(Style{}).SVG(&bare); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(bare.String(), "simulated, not") || !strings.Contains(marked.String(), "bold") {
			t.Errorf("%s: a chart without a mark has one, or the mark is not bold", name)
		}
	}
}

// TestFit: a name that is cut keeps its mark.
func TestFit(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"batch_size=32", "bfloat16 · 8 · static", "[a] throttled"} {
		for size := 5.0; size < 9; size += 0.1 {
			d := Phases{Parts: []string{"all"}, Bars: []Bar{{name, []float64{1}, Exactly(1)}}}.Draw(Style{FontPt: size})
			if !slices.ContainsFunc(d.ops, func(o op) bool { return o.text != nil && o.text.Text == name }) {
				t.Errorf("%s is cut at %g points", name, size)
			}
		}
	}
	for _, tt := range []struct {
		text  string
		width float64
		want  string
	}{
		{"batch_size=16 [ab]", 200, "batch_size=16 [ab]"},
		{"batch_size=16 [ab]", 60, "batch_siz… [ab]"},
		{"batch_size=16 [ab]", 20, "bat…"},
		{"bfloat16 · static", 50, "bfloat16 · s…"},
	} {
		if got := fit(tt.text, 8, tt.width); got != tt.want {
			t.Errorf("%q in %g points: %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}
