package screen

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/cmd/llem/internal/chart"
	"github.com/llenergymeasure/llem/cmd/llem/internal/picture"
	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
)

// TestChart compares charts of two metrics with testdata: 80 and 40 columns, UTF-8 and ASCII. They fit the screen.
func TestChart(t *testing.T) {
	p := figure.Pareto{Title: "batches: random:llama-3.1-8b on NVIDIA H200",
		X: figure.Axis{Label: "output tokens per second"}, Y: figure.Axis{Label: "energy per output token", Unit: "J"}}
	for i := range 9 {
		v := float64(i + 1)
		m := figure.Mark{X: figure.Value{Value: 50 * v, Low: 45 * v, High: 55 * v}, Y: figure.Exactly(9 / v),
			Label: fmt.Sprintf("bfloat16 · %d · default", 1<<i), Front: figure.OnFront}
		switch {
		case i == 7:
			m.Front, m.Y.Value = figure.Inseparable, 1.2
		case i < 2:
			m.Front = figure.Dominated
		}
		p.Marks = append(p.Marks, m)
	}
	var b strings.Builder
	for _, style := range []chart.Style{chart.Unicode, chart.ASCII} {
		for _, width := range []int{80, 40} {
			var one strings.Builder
			err := drawChart(&one, report.Terminal{Style: style}, p, "names: dtype · batch_size", width)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(one.String(), "\n"), "\n")
			for _, l := range lines {
				if n := table.Width(l); n > width {
					t.Errorf("%d columns: %q has %d", width, l, n)
				}
			}
			if len(lines) > 23 && width == 80 {
				t.Errorf("%d lines do not fit 24 with a prompt", len(lines))
			}
			if style == chart.ASCII && strings.ContainsFunc(one.String(), func(r rune) bool { return r > '~' }) {
				t.Errorf("characters beyond ASCII:\n%s", one.String())
			}
			b.WriteString(one.String() + "\n")
		}
	}
	file := "testdata/pareto.txt"
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

// TestLeftOutOfChart: a configuration without a metric is named below the chart and counted in its title.
func TestLeftOutOfChart(t *testing.T) {
	s := open(t, "simulated")
	e := &s.Experiments[0]
	e.Metrics = result.Spreads{}
	var b strings.Builder
	if err := Pareto(&b, report.Terminal{}, s, picture.Options{}, 80); err != nil {
		t.Fatal(err)
	}
	n := len(s.Experiments)
	for _, want := range []string{fmt.Sprintf(" · %d of %d configurations\n", n-1, n),
		"not drawn (1), a metric is missing: " + view.Naming(s).Label(e.Config)} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
