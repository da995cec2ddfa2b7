package figure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// charts are one of each kind, with values, gaps and names that have to be held apart.
func charts() map[string]interface{ Draw(Style) *Drawing } {
	near := func(v, share float64) Value { return Value{v, v * (1 - share), v * (1 + share)} }
	power := Power{Title: "Power of one run", Y: "power, simulated", From: 0, To: 10,
		Parts:  []string{"prefill", "decode"},
		Doubts: []Doubt{{6, 6.4, "series_gaps", "gap in the readings"}, {6.2, 7, "throttled", "gpu0 <hot>"}},
		Tracks: []Track{{"temperature", "°C", []float64{0, 2, 4, 6, 8, 10}, []float64{40, 44, 47, 60, 55, 55}},
			{"clock", "MHz", []float64{0, 5}, []float64{1980, 1980}}}}
	for i := range 2000 {
		t := float64(i)/180 - 0.5
		w := 90.0
		if t > 0 && t < 10 {
			w = 430 + 20*math.Sin(37*t)
			if math.Mod(t, 2) < 0.3 {
				w = 680
			}
		}
		power.T, power.W = append(power.T, t), append(power.W, w)
	}
	for i := range 5 {
		s := 2 * float64(i)
		power.Spans = append(power.Spans, Span{s, s + 0.3, 0}, Span{s + 0.3, s + 2, 1})
	}
	return map[string]interface{ Draw(Style) *Drawing }{
		"pareto": Pareto{Title: "Energy and speed", X: Axis{Label: "output tokens per second", Log: true},
			Y: Axis{Label: "energy per output token", Unit: "J", Log: true}, Series: []string{"vllm", "pytorch <b>&"},
			Marks: []Mark{
				{X: near(158, 0.02), Y: near(2.8, 0.05), Label: "batch 1"},
				{X: near(1204, 0.02), Y: near(0.83, 0.05), Label: "batch 8", Front: Inseparable},
				{X: near(4810, 0.03), Y: near(0.21, 0.1), Label: "batch 32", Front: OnFront},
				{X: Exactly(1110), Y: near(0.8, 0.05), Label: "batch 8", Series: 1, Front: Dominated},
				{X: Exactly(2950), Y: near(0.19, 0.05), Label: "batch 32", Series: 1, Front: OnFront},
			}},
		"phases": Phases{Title: "Where the energy goes", X: Axis{Label: "energy per output token", Unit: "J"},
			Parts: []string{"prefill", "decode", "other", "not attributed"},
			Bars: []Bar{
				{"vllm batch 1", []float64{0.2, 2.4, 0.15, 0.05}, near(2.8, 0.05)},
				{"vllm batch 8", []float64{0.2, 0.5, 0.1, 0.03}, near(0.83, 0.05)},
				{"pytorch batch 8, a long name that cannot be shown in full", []float64{math.NaN(), math.NaN()},
					near(0.9, 0.2)},
			}},
		"power": power,
		"latency": Distribution{Title: "Time to first token", X: Axis{Label: "TTFT", Unit: "s"},
			Series: []Values{{"batch 1", []float64{0.031, 0.033, 0.03, 0.05, 0.029}, []Percentile{{0.5, 0.031}}},
				{Label: "batch 8", Values: []float64{0.07, 0.08, 0.075, 0.12, math.NaN()}}}},
		"scaling": Scaling{Title: "Energy over batch size", X: Axis{Label: "batch size", Log: true},
			Y: Axis{Label: "energy per output token", Unit: "J", FromZero: true},
			Lines: []Line{{"bfloat16", []float64{1, 8, 32}, []Value{near(2.8, .05), near(.83, .05), near(.21, .1)},
				[]string{"", "[a]", ""}},
				{"float32", []float64{1, 8, 32}, []Value{near(5.1, .05), Exactly(math.NaN()), near(.9, .1)},
					[]string{"", "", "[ab]"}}}},
		"cycles": Cycles{Title: "Runs in order", X: Axis{Label: "minutes since the first run"},
			Y: Axis{Label: "energy per output token", Unit: "J"},
			Lines: []Line{{"batch 8", []float64{0, 5, 10}, []Value{Exactly(.83), Exactly(.84), Exactly(.82)}, nil},
				{"batch 32", []float64{2, 7, 12}, []Value{Exactly(.79), Exactly(.8), Exactly(.81)}, nil}}},
	}
}

// TestGolden draws one chart of each kind: the file is the same on every machine.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, c := range charts() {
		var b bytes.Buffer
		if err := c.Draw(Style{}).SVG(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name+".svg")
		if *update {
			if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%s differs from %s: run with -update and look at it", name, path)
		}
	}
}

// TestWellFormed reads every chart in every style as XML: hostile names stay text.
func TestWellFormed(t *testing.T) {
	t.Parallel()
	for _, style := range []Style{{}, {Grey: true}, {Dark: true, WidthMM: 178, HeightMM: 100, FontPt: 10},
		{WidthMM: 30, HeightMM: 20}} {
		for name, c := range charts() {
			var b bytes.Buffer
			if err := c.Draw(style).SVG(&b); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(b.String(), "<b>") || strings.Contains(b.String(), "NaN") ||
				strings.Contains(b.String(), "Inf") {
				t.Errorf("%s: markup of a name, or a place that is not a number", name)
			}
			for dec := xml.NewDecoder(&b); ; {
				if _, err := dec.Token(); err != nil {
					if !errors.Is(err, io.EOF) {
						t.Errorf("%s: %v", name, err)
					}
					break
				}
			}
		}
	}
}

// TestEmpty draws charts without values: axes and no panic.
func TestEmpty(t *testing.T) {
	t.Parallel()
	for _, c := range []interface{ Draw(Style) *Drawing }{Pareto{}, Phases{}, Power{},
		Distribution{Series: []Values{{}}},
		Scaling{Lines: []Line{{}}}, Cycles{}, Pareto{X: Axis{Log: true},
			Marks: []Mark{{X: Exactly(0), Y: Exactly(math.Inf(1))}}}} {
		var b bytes.Buffer
		if err := c.Draw(Style{}).SVG(&b); err != nil || strings.Contains(b.String(), "NaN") {
			t.Errorf("%T: %v\n%s", c, err, b.String())
		}
	}
}

// TestOtherFormats writes PDF and PNG twice: of the right kind and size, and the same bytes.
func TestOtherFormats(t *testing.T) {
	t.Parallel()
	d := charts()["pareto"].Draw(Style{})
	var pdf, again, image bytes.Buffer
	if err := errors.Join(d.PDF(&pdf), d.PDF(&again), d.PNG(&image, 200, white)); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(pdf.Bytes(), []byte("%PDF-")) || !bytes.Equal(pdf.Bytes(), again.Bytes()) {
		t.Errorf("PDF: %d and %d bytes, equal %v", pdf.Len(), again.Len(), bytes.Equal(pdf.Bytes(), again.Bytes()))
	}
	decoded, err := png.Decode(&image)
	if err != nil {
		t.Fatal(err)
	}
	if b := decoded.Bounds(); b.Dx() != 678 || b.Dy() != 473 { // 86 by 60 mm at 200 dpi
		t.Errorf("PNG is %v", b)
	}
	var dark int
	for y := range decoded.Bounds().Dy() {
		for x := range decoded.Bounds().Dx() {
			if r, g, b, _ := decoded.At(x, y).RGBA(); r+g+b < 3*0x8000 {
				dark++
			}
		}
	}
	if dark < 2000 {
		t.Errorf("only %d dark pixels: nothing was drawn", dark)
	}
	if err := d.PNG(io.Discard, 1e6, white); err == nil {
		t.Error("an image of a million dots per inch was drawn")
	}
}

// TestTicks checks the labels of axes.
func TestTicks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		axis   Axis
		values []float64
		want   string
	}{
		{Axis{Unit: "J"}, []float64{0.011, 0.034}, "10 mJ|15 mJ|20 mJ|25 mJ|30 mJ|35 mJ"},
		{Axis{Unit: "W", FromZero: true}, []float64{450}, "0|100 W|200 W|300 W|400 W|500 W"},
		{Axis{}, []float64{0.2, 0.9}, "0.2|0.4|0.6|0.8|1.0"},
		{Axis{Log: true}, []float64{1, 900}, "1|10|100|1000"},
		{Axis{Log: true, Unit: "J"}, []float64{0.2, 2.8}, "200 mJ|500 mJ|1 J|2 J"},
		{Axis{}, []float64{5, 5}, "4.7|4.8|4.9|5.0|5.1|5.2|5.3"},
		{Axis{}, nil, "0|0.2|0.4|0.6|0.8|1.0"},
	} {
		s := newScale(tt.axis, tt.values, 0, 100, 18)
		var got []string
		for _, k := range s.ticks {
			got = append(got, k.label)
		}
		if strings.Join(got, "|") != tt.want {
			t.Errorf("%+v of %v: ticks %q, want %q", tt.axis, tt.values, strings.Join(got, "|"), tt.want)
		}
	}
}
