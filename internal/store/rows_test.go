package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/study"
)

// smallStudy writes real runs: n experiments with cycles runs each.
func smallStudy(t *testing.T, n, cycles int) (string, *study.Study) {
	t.Helper()
	d, err := Create(t.TempDir(), "small", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s := &study.Study{Name: "small", Execution: study.Execution{Cycles: cycles, Order: terms.Interleave}}
	for i := range n {
		e := study.DefaultExperiment(engines.Find(nil, "fake"))
		e.Model, e.Seed = "random:tiny-llama", uint64(i+1)
		s.Experiments = append(s.Experiments, e)
	}
	for c := range cycles {
		for _, e := range s.Experiments {
			commit(t, d, fullRecord(e, c+1))
		}
	}
	return d.Path(), s
}

func commit(t *testing.T, d *Dir, rec *result.Record) {
	t.Helper()
	run, err := d.Begin(rec.ID, rec.Cycle)
	if err == nil {
		err = run.Commit(rec, series.All{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func summaryText(t *testing.T, dir string, s *study.Study) string {
	t.Helper()
	res, err := Summarize(dir, s, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := res.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSummaryFromRuns: the summary folded from the journal is the one that the runs
// themselves give, with lines of an earlier version and without a journal.
func TestSummaryFromRuns(t *testing.T) {
	dir, s := smallStudy(t, 3, 2)
	want := summaryText(t, dir, s)
	path := filepath.Join(dir, JournalFile)
	entries, err := ReadJournal(dir)
	if err != nil || len(entries) != 6 {
		t.Fatalf("%d lines, %v", len(entries), err)
	}
	var old bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&old, `{"id":%q,"cycle":%d,"status":"ok","run":%q,"at":"2026-01-02T03:04:05Z"}`+"\n", e.ID,
			e.Cycle, e.Run)
	}
	if err := os.WriteFile(path, old.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := summaryText(t, dir, s); got != want {
		t.Errorf("lines without values give\n%s\nwant\n%s", got, want)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	rows, err := Rows(dir)
	if err != nil || len(rows) != 6 || !rows[0].Made() || rows[0].TookS != 12.5 {
		t.Errorf("without a journal: %+v, %v", rows, err)
	}
	if got := summaryText(t, dir, s); len(got) != len(want) {
		t.Errorf("without a journal the summary has %d bytes, want %d: %s", len(got), len(want), got)
	}
}

// TestLastTry: a crash between the folder of a second try and its line leaves the line of
// the first; the folder counts.
func TestLastTry(t *testing.T) {
	dir, s := smallStudy(t, 1, 1)
	path := filepath.Join(dir, JournalFile)
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := Reopen(dir)
	if err != nil {
		t.Fatal(err)
	}
	again := fullRecord(s.Experiments[0], 1)
	again.Throughput.OutputTokensPerS = 4711
	commit(t, d, again)
	d.Close()
	if err := os.WriteFile(path, first, 0o600); err != nil {
		t.Fatal(err)
	}
	rows, err := Rows(dir)
	if err != nil || len(rows) != 1 {
		t.Fatalf("%v, %v", rows, err)
	}
	if v, _ := rows[0].Values.Get("throughput.output_tokens_per_s"); v != 4711 {
		t.Errorf("%v tokens/s, want the last try's", v)
	}
}

// TestRoundTrip: a large summary says what a small one says, without the records, and
// its records are still to be had one at a time.
func TestRoundTrip(t *testing.T) {
	dir, s := smallStudy(t, 3, (maxRecords+3)/3)
	res, err := Summarize(dir, s, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := (&Dir{path: dir}).WriteSummary(res); err != nil {
		t.Fatal(err)
	}
	read, err := result.ReadStudy(dir)
	if err != nil {
		t.Fatal(err)
	}
	if read.Runs != nil || read.RunsReason == "" || len(read.Rows) != len(res.Rows) || !read.Complete ||
		read.Ended != result.EndComplete || read.ElapsedS != res.ElapsedS {
		t.Fatalf("%d runs (%s), %d rows, complete %v, ended %s", len(read.Runs), read.RunsReason, len(read.Rows),
			read.Complete, read.Ended)
	}
	for i, e := range read.Experiments {
		if !e.Metrics.Equal(res.Experiments[i].Metrics) || e.ID != res.Experiments[i].ID ||
			*e.Standing != *res.Experiments[i].Standing {
			t.Errorf("experiment %d is %+v, was %+v", i, e, res.Experiments[i])
		}
	}
	n := 0
	for rec, err := range read.Records() {
		if err != nil || rec.ID != read.Rows[n].ID || rec.Cycle != read.Rows[n].Cycle {
			t.Fatalf("record %d: %v", n, err)
		}
		n++
	}
	if n != len(read.Rows) {
		t.Errorf("%d records of %d runs", n, len(read.Rows))
	}
	head, err := result.ReadHead(dir)
	if err != nil || !head.Complete || head.OK != res.OK || len(head.Experiments) != 0 {
		t.Errorf("head %+v, %v", head, err)
	}
}

// TestWorkloadsDiffer: runs of other token ids under one id are pointed out.
func TestWorkloadsDiffer(t *testing.T) {
	s := runsOf(t, [][]float64{{1, 1, 1}}, [][]float64{{1, 1, 1}})
	s.Runs[2].WorkloadHash = "other"
	if err := summarizeRuns(s, study.Until{}); err != nil {
		t.Fatal(err)
	}
	if c := s.Experiments[0].Caveats; len(c) != 1 || c[0].Code != codes.WorkloadsDiffer ||
		!strings.Contains(c[0].Message, "cycles 1 and 3 differ") {
		t.Errorf("caveats %+v", c)
	}
}
