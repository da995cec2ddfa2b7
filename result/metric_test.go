package result

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// notMetrics are the numbers of result.json by which runs are not compared, and why.
var notMetrics = map[string]string{
	`^schema_version$`:            "the version of the form",
	`^cycle$`:                     "which run of its configuration it is",
	`^config\.`:                   "what was asked for is not what was found; rows are named by it",
	`^backend\.threads$`:          "a setting",
	`^window\.round$`:             "a setting",
	`^window\.phases_take_s$`:     "what another window takes, and part of a reason",
	`^warmup\.`:                   "what was done before the window; its time is timing.warmup_s",
	`^backend\.engine_run$`:       "which run of its engine it is",
	`\.n$`:                        "the number of values of another number",
	`mono_ns(\[\])?$`:             "a stamp",
	`^load\.search\.load$`:        "what was offered; load.offered_rps is what arrived",
	`^load\.search\.probes\[\]`:   "there are several; the run has the numbers of its own load",
	`^load\.trace\.`:              "what was taken from a file, not what was found",
	`ci95\[\]$`:                   "the interval of another number",
	`gain95$`:                     "the uncertainty of another number",
	`^energy\.node_min_window_s$`: "what its meter needs, not what the run took",
	`^energy\.devices\[\]`:        "there are several; the energies of the run are their sums",
	`^energy\.phases\.fits\[\]`:   "there are several; the phases come from them",
	`^harness\.gaps\[\]`:          "there are several",
	`^harness\.host_cores$`:       "a fact of the machine",
	`^harness\.client\.rate$`:     "a setting of an audit",
	`^harness\.client\.streams$`:  "a setting of an audit",
}

// excluded reports whether a path is one of notMetrics, which it counts.
func excluded(path string, used map[string]bool) bool {
	found := false
	for p := range notMetrics {
		if regexp.MustCompile(p).MatchString(path) {
			used[p], found = true, true
		}
	}
	return found
}

// numbersOf collects the paths of the numbers of a type as JSON names them.
func numbersOf(t reflect.Type, path string, into *[]string) {
	switch t.Kind() {
	case reflect.Pointer:
		numbersOf(t.Elem(), path, into)
	case reflect.Struct:
		if t == reflect.TypeFor[Quantity]() || t == reflect.TypeFor[Estimate]() {
			*into = append(*into, path)
			return
		}
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case f.Anonymous && name == "":
				numbersOf(f.Type, path, into)
			case f.IsExported() && name != "-":
				if name == "" {
					name = f.Name
				}
				numbersOf(f.Type, strings.TrimPrefix(path+"."+name, "."), into)
			}
		}
	case reflect.Slice, reflect.Array:
		numbersOf(t.Elem(), path+"[]", into)
	case reflect.Map:
		numbersOf(t.Elem(), path+"[]", into)
	case reflect.Float64, reflect.Float32, reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint, reflect.Uint64:
		*into = append(*into, path)
	}
}

// TestEveryNumberIsAMetric: a number of result.json stands in the table of metrics, or among the few by which
// runs are not compared; and the table has no other.
func TestEveryNumberIsAMetric(t *testing.T) {
	var paths []string
	numbersOf(reflect.TypeFor[Record](), "", &paths)
	used := map[string]bool{}
	var metrics []string
	for _, path := range paths {
		if !excluded(path, used) {
			metrics = append(metrics, path)
		}
	}
	var table []string
	for _, m := range Metrics() {
		table = append(table, m.Name)
	}
	for _, name := range metrics {
		if !slices.Contains(table, name) {
			t.Errorf("%s is not a metric: add its line to internal/metric/table.go, or the reason to notMetrics", name)
		}
	}
	for _, name := range table {
		if !slices.Contains(metrics, name) {
			t.Errorf("%s is a metric, and no number of result.json", name)
		}
	}
	for p := range notMetrics {
		if !used[p] {
			t.Errorf("%s is none of the numbers of result.json", p)
		}
	}
}

// TestMetricTable: names and labels differ, each has its meaning, and there is room for all.
func TestMetricTable(t *testing.T) {
	names, labels := map[string]bool{}, map[string]string{}
	for _, m := range Metrics() {
		if names[m.Name] {
			t.Errorf("%s stands twice", m.Name)
		}
		names[m.Name] = true
		if other := labels[m.Label]; other != "" {
			t.Errorf("%s and %s are both labelled %s", other, m.Name, m.Label)
		}
		labels[m.Label] = m.Name
		if !strings.HasSuffix(m.Meaning, ".") || strings.Count(m.Meaning, ". ") > 0 {
			t.Errorf("%s: %q is not a sentence", m.Name, m.Meaning)
		}
	}
	if n := len(Metrics()); n > mostMetrics {
		t.Errorf("%d metrics, and room for %d", n, mostMetrics)
	}
}

var update = flag.Bool("update", false, "write docs/metric-table.md")

// TestMetricDocs: docs/metric-table.md is what the table says.
func TestMetricDocs(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Metrics\n\n" +
		"Every number of `result.json` by which runs are compared, made from the table in package `metric`\n" +
		"(`go test ./result -run MetricDocs -update`); `llem report --metrics` prints the same. A name is the path\n" +
		"in `result.json`. Wherever a metric is named, the head of its column does as well, in any case, or the\n" +
		"end of the name if no other metric ends so: `TTFT p99`, `ttft_ms.p99`. Each metric can order the\n" +
		"configurations (`llem report DIR --sort`), be a column (`--columns`), an axis of the front (`--pareto`),\n" +
		"what is to be best (`--best`) or bounded (`--where`), and is in CSV and `summary.json`. What the numbers\n" +
		"are made of is in [metrics.md](metrics.md).\n\n" +
		"| metric | unit | better | head | meaning |\n|---|---|---|---|---|\n")
	for _, m := range Metrics() {
		better := "lower"
		if m.HigherIsBetter {
			better = "higher"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.Unit, better, m.Label, m.Meaning)
	}
	const path = "../docs/metric-table.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != b.String() {
		t.Errorf("%s is not what the table says (%v): run the test with -update", path, err)
	}
}
