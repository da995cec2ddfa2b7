package picture

import (
	"bytes"
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads/loadstest"
	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/internal/store"
)

var update = flag.Bool("update", false, "write the golden files again")

// TestLoads compares the charts of a study with loads with testdata, on a light and a dark page, and their data with
// what the study was made with.
func TestLoads(t *testing.T) {
	t.Parallel()
	dir, err := loadstest.Folder(t.TempDir(), 2)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]struct {
		kind string
		o    Options
	}{"load": {LoadChart, Options{}}, "load-request": {LoadChart, Options{Y: "J/request"}},
		"frontier": {Frontier, Options{}}} {
		p, err := New(q.kind, opened.StudyResult, q.o)
		if err != nil {
			t.Fatal(err)
		}
		for suffix, style := range map[string]figure.Style{"": {}, ".dark": {Dark: true}} {
			var b bytes.Buffer
			if err := p.Draw(style).SVG(&b); err != nil {
				t.Fatal(err)
			}
			file := "testdata/" + name + suffix + ".svg"
			if *update {
				if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(file); err != nil || !bytes.Equal(want, b.Bytes()) {
				t.Errorf("%s differs (%v): run with -update and look at it", file, err)
			}
		}
		if q.kind != LoadChart {
			continue
		}
		for _, row := range p.Data[1:] { // the load line lies at the measured values below saturation
			y, _ := strconv.ParseFloat(row[3], 64)
			fit, _ := strconv.ParseFloat(row[7], 64)
			if row[6] == "no" && (fit < 0.95*y || fit > 1.05*y) {
				t.Errorf("%s: the line has %g at %s, and %g was measured", name, fit, strings.Join(row, " "), y)
			}
		}
	}
	p, err := New(Frontier, opened.StudyResult, Options{X: "completed"})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range p.Chart.(figure.Pareto).Marks { // rates above 1 in a chart that is usually one of fractions
		if m.X.High < m.X.Value {
			t.Errorf("the mark at %g ends at %g", m.X.Value, m.X.High)
		}
	}
	for _, kind := range LoadKinds() {
		if _, err := New(kind, simulated(t), Options{}); err == nil ||
			!strings.HasPrefix(err.Error(), "no run has a load") {
			t.Errorf("%s of a study without loads: %v", kind, err)
		}
	}
}
