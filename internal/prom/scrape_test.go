package prom

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestParseTargets(t *testing.T) {
	for _, c := range []struct {
		text string
		want []Target
	}{
		{"http://h:9400/metrics", []Target{{Name: "dcgm", URL: "http://h:9400/metrics"}}},
		{" node2=http://h:9400/metrics ", []Target{{Name: "node2", URL: "http://h:9400/metrics"}}},
		{"http://a:1/m,b=http://b:1/m\n",
			[]Target{{Name: "dcgm", URL: "http://a:1/m"}, {Name: "b", URL: "http://b:1/m"}}},
		{"wall=http://h/m#power:W", []Target{{Name: "wall", URL: "http://h/m", Metric: "power", Unit: "W"}}},
		{"wall=https://h/m?a=1,b=http://h/m",
			[]Target{{Name: "wall", URL: "https://h/m?a=1"}, {Name: "b", URL: "http://h/m"}}},
		{`wall=http://h/m#node:power:sum{a="x, y",b="{\"}"}:mW`,
			[]Target{{Name: "wall", URL: "http://h/m", Metric: "node:power:sum",
				Labels: []Label{{"a", "x, y"}, {"b", `{"}`}}, Unit: "mW"}}},
		{"wall=http://h/m#p:W wall=http://h/m#e:kWh", []Target{
			{Name: "wall", URL: "http://h/m", Metric: "p", Unit: "W"}, {Name: "wall", URL: "http://h/m", Metric: "e",
				Unit: "kWh"}}},
		{"wall=http://[fe80::1]:80/m#p{}:J",
			[]Target{{Name: "wall", URL: "http://[fe80::1]:80/m", Metric: "p", Unit: "J"}}},
	} {
		got, err := ParseTargets(c.text)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", c.text, got, err, c.want)
		}
	}
}

func TestParseTargetsMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "names no remote source",
		" , ":                             "names no remote source",
		"host:9400":                       "write http://host:port/path",
		"ftp://h/m":                       "write http://host:port/path",
		"http:///m":                       "write http://host:port/path",
		"http://h:port/m":                 "is not a URL",
		"http://u:secret@h/m":             "would appear in the results",
		"auto":                            "write http://host:port/path",
		"Wall=http://h/m":                 "is not a valid name",
		"http://h/m#p:W":                  "has no name",
		"wall=http://h/m#p":               "has no unit",
		"wall=http://h/m#p{a=\"b\"}":      "has no unit",
		"wall=http://h/m#p:BTU":           `"BTU" is not a unit; use W, mW`,
		"wall=http://h/m#:W":              "is not a valid metric name",
		"wall=http://h/m#p{a=b}:W":        "not in quotes",
		"wall=http://h/m#p{a:W":           "open brace",
		`wall=http://h/m#p{a="b:W`:        "open brace or quote",
		`wall=http://h/m#p{a="b"}x:W`:     "follows the labels",
		"http://a/m http://b/m":           "the name dcgm is already used",
		"w=http://a/m#p:W w=http://a/m":   "is already used",
		"w=http://a/m#p:W,w=http://a#q:W": "is already used",
		"w=http://a#p:W,w=http://a#e:J,w=http://a#e:J": "is already used",
		strings.Repeat("x", maxText+1):                 "more than",
	} {
		if got, err := ParseTargets(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q = %+v, %v; want %q", text, got, err, want)
		}
	}
}

func TestUnits(t *testing.T) {
	for unit, want := range map[Unit]float64{"W": 2, "mW": 2e-3, "J": 2, "mJ": 2e-3, "Wh": 7200, "kWh": 7.2e6} {
		if got := unit.Base(2); got != want || unit.Energy() != !strings.HasSuffix(string(unit), "W") {
			t.Errorf("2 %s = %v, energy %v", unit, got, unit.Energy())
		}
	}
}

func page(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "power", "sensors", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func all(string) bool { return true }

func TestParseDCGM(t *testing.T) {
	got, err := Parse(page(t, "dcgm.prom"), func(m string) bool { return m == "DCGM_FI_DEV_POWER_USAGE" })
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if s := got[0]; s.Value != 421.337 || s.Label("UUID") != "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52" ||
		s.Label("modelName") != "NVIDIA H100 80GB HBM3" || s.Label("none") != "" {
		t.Errorf("%+v", s)
	}
}

func TestParseEscapesAndStamps(t *testing.T) {
	got, err := Parse(page(t, "redfish.prom"), all)
	if err != nil || len(got) != 1 || got[0].Label("name") != `System "A", front` ||
		got[0].Label("path") != `C:\bmc` || got[0].Value != 3180 {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = Parse(page(t, "shelly.prom"), func(m string) bool { return m == "shelly_energy_kwh_total" })
	if err != nil || len(got) != 2 || got[0].Value != 1234.56789 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestParseLines(t *testing.T) {
	for text, want := range map[string]float64{
		"m 5":                             5,
		"m 5 1764000000000":               5,
		"m{} 5":                           5,
		"m { a = \"b\" , } 5\r\n":         5,
		"m{a=\"b\"}5":                     5,
		"m 1e3 # {trace_id=\"x\"} 0.5 17": 1000,
		"# comment\n\nm +Inf":             math.Inf(1),
		"m 1e999":                         math.Inf(1),
		"\"quoted.name\" 1\nm 7":          7,
		"{\"utf8.name\"} 1\nm 7":          7,
	} {
		got, err := Parse([]byte(text), func(m string) bool { return m == "m" })
		if err != nil || len(got) != 1 || got[0].Value != want {
			t.Errorf("%q = %+v, %v; want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"m x":             "not a number",
		"m{a=\"b\"}":      "no value",
		"m{a=\"b\" 5":     "not understood",
		"m{a=\"b} 5":      "not closed",
		"m{a=b} 5":        "not in quotes",
		"m{1=\"b\"} 5":    "not understood",
		"x 1\nm 5 \nm y ": "line 3, m",
	} {
		if got, err := Parse([]byte(text), func(m string) bool { return m == "m" }); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%q = %+v, %v; want %q", text, got, err, want)
		}
	}
}

func TestParseOtherPages(t *testing.T) {
	for text, want := range map[string]error{
		"":                             ErrNoMetrics,
		"\n\n":                         ErrNoMetrics,
		"{\"status\": \"success\"}":    ErrNoMetrics,
		"it works and nothing else":    ErrNoMetrics,
		"  <html><body>m 5</body>":     ErrHTML,
		"\ufeff<!doctype html>":        ErrHTML,
		"other 5":                      nil,
		"other{broken":                 nil,
		"# TYPE m gauge\n# HELP m gas": nil,
	} {
		if got, err := Parse([]byte(text), func(m string) bool { return m == "m" }); !errors.Is(err, want) ||
			len(got) > 0 {
			t.Errorf("%q = %+v, %v; want %v", text, got, err, want)
		}
	}
}

// FuzzParse: whatever a server sends, the parser ends, and what it prints it reads
// again.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"dcgm.prom", "shelly.prom", "redfish.prom", "dcgm-mig.prom"} {
		f.Add(page(f, name))
	}
	f.Add([]byte("m{a=\"\\"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := Parse(text, all)
		if err != nil {
			return
		}
		for _, s := range list {
			for _, l := range s.Labels {
				if !labelName.MatchString(l.Name) {
					t.Errorf("label %q", l.Name)
				}
			}
		}
	})
}

// FuzzParseTargets: what is accepted is complete.
func FuzzParseTargets(f *testing.F) {
	f.Add("http://h:9400/metrics")
	f.Add(`wall=http://h/m#p{a="x, y"}:W wall=http://h/m#e:kWh`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseTargets(text)
		if err != nil {
			return
		}
		for _, x := range list {
			if x.Name == "" || x.URL == "" || (x.Metric == "") != (x.Unit == "") || len(x.Metric) > len(text) {
				t.Errorf("%q gives %+v", text, x)
			}
		}
	})
}
