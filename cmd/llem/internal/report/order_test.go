package report

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"testing"

	"github.com/llenergymeasure/llem/result"
)

// TestRunsInOrder checks that runs are shown in the order of the configurations of the study.
func TestRunsInOrder(t *testing.T) {
	s := &result.StudyResult{Experiments: []result.ExperimentSummary{{ID: "a"}, {ID: "b"}, {ID: "c"}},
		Runs: []*result.Record{{ID: "c"}, {ID: "a"}, {ID: "b"}}}
	text := ""
	for _, r := range inOrder(s) {
		text += r.ID
	}
	if text != "abc" {
		t.Errorf("in the order %s", text)
	}
}

// TestRowsInOrder: CSV and Markdown have the rows in the order of the study, whatever ran first.
func TestRowsInOrder(t *testing.T) {
	s := swept(t, "model: random:tiny-llama\nbackend: fake\nsweep: {fake.batch_size: [4, 1, 2]}\n")
	slices.Reverse(s.Runs)
	slices.Reverse(s.Rows)
	var md, text bytes.Buffer
	if err := errors.Join(Terminal{}.Markdown(&md, s), CSV(&text, s, -1)); err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]struct{ text, row string }{
		"Markdown": {md.String(), `(?m)^\| (\d) \|`}, "CSV": {text.String(), `(?m)^(\d),`},
	} {
		got := ""
		for _, m := range regexp.MustCompile(q.row).FindAllStringSubmatch(q.text, -1) {
			got += m[1]
		}
		if got != "412" {
			t.Errorf("%s: rows of %s, want 412\n%s", name, got, q.text[:min(400, len(q.text))])
		}
	}
}

// TestRunsHaveTheirOwnNames: a row of a run has the name and the numbers of one run, whatever ran first.
func TestRunsHaveTheirOwnNames(t *testing.T) {
	s := swept(t, "model: random:tiny-llama\nbackend: fake\nsweep: {fake.batch_size: [1, 2, 4]}\n")
	for i, r := range s.Runs {
		r.Throughput = &result.Throughput{OutputTokensPerS: 100 * float64(r.Config.BatchSize())}
		s.Rows[i].Values = result.ValuesOf(r)
	}
	slices.Reverse(s.Runs)
	slices.Reverse(s.Rows)
	text := render(t, Terminal{Columns: 80, Width: 80, Limit: -1}, s)
	for _, want := range []string{`(?m)^ *1 +100 `, `(?m)^ *2 +200 `, `(?m)^ *4 +400 `} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no row %s in\n%s", want, text)
		}
	}
}
