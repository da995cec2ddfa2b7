package store

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

func TestComparable(t *testing.T) {
	for _, c := range []struct {
		status result.Status
		codes  []note.Code
		want   bool
		why    note.Code
	}{
		{result.OK, nil, true, ""},
		{result.OK, []note.Code{codes.GPUShared, codes.Synthetic}, true, ""},
		{result.OK, []note.Code{codes.Synthetic, codes.UnequalWork}, false, codes.UnequalWork},
		{result.OK, []note.Code{codes.RequestsFailed}, false, codes.RequestsFailed},
		{result.Failed, nil, false, ""},
		{result.Interrupted, nil, false, ""},
	} {
		rec := &result.Record{Status: c.status}
		for _, code := range c.codes {
			rec.Warn(code, "in words")
		}
		row := RowOf(rec)
		if row.Comparable() != c.want || rec.Comparable() != c.want || row.Unequal() != c.why ||
			rec.Unequal() != c.why {
			t.Errorf("%s %q: row %v %q, record %v %q; want %v %q", c.status, c.codes, row.Comparable(), row.Unequal(),
				rec.Comparable(), rec.Unequal(), c.want, c.why)
		}
	}
}

// spoil gives runs of a configuration a warning, and makes the summary again.
func spoil(t *testing.T, s *result.StudyResult, id string, code note.Code, cycles ...int) {
	t.Helper()
	for _, r := range s.Runs {
		for _, c := range cycles {
			if r.ID == id && r.Cycle == c {
				r.Warn(code, "in words")
			}
		}
	}
	if err := summarizeRuns(s, study.Until{Metric: "energy.per_output_token_j", RelativeHalfWidth: 0.1,
		MaxCycles: 9}); err != nil {
		t.Fatal(err)
	}
}

// TestUnequalRunsMoveNoMean: two bad runs of four change nothing but the counts, and a
// configuration with bad runs alone has no figures and no place on the front.
func TestUnequalRunsMoveNoMean(t *testing.T) {
	joules, rate := [][]float64{{1, 0.01, 1.1, 90}, {2, 2.1, 1.9, 2},
		{0.001, 0.001}}, [][]float64{{100, 9000, 102, 1}, {50, 51, 49, 50}, {9000, 9000}}
	s := runsOf(t, joules, rate)
	spoil(t, s, "e0", codes.UnequalWork, 2)
	spoil(t, s, "e0", codes.RequestsFailed, 4)
	spoil(t, s, "e2", codes.UnequalWork, 1, 2)
	e := s.Experiments[0]
	if m := spread(t, e, "energy.per_output_token_j"); m.N != 2 || m.Mean != 1.05 || m.Max != 1.1 {
		t.Errorf("%+v, want the mean of cycles 1 and 3", m)
	}
	if e.OK != 4 || e.Compared() != 2 || len(e.Excluded) != 2 || e.Excluded[0].Code != codes.UnequalWork ||
		e.Excluded[0].Runs != 1 || e.Excluded[1].Code != codes.RequestsFailed {
		t.Errorf("%d ok, excluded %+v", e.OK, e.Excluded)
	}
	if p := e.Precision; p == nil || p.Reached == nil || *p.Reached < 0.5 {
		t.Errorf("precision %+v, want the precision of two runs", p)
	}
	if s.Experiments[1].Excluded != nil || s.Experiments[1].Compared() != 4 {
		t.Errorf("%+v, want nothing left out", s.Experiments[1])
	}
	none := s.Experiments[2]
	text, err := json.Marshal(none)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"metrics":null`) ||
		!strings.Contains(none.MetricsReason, "none of its 2 successful runs") || none.Status != result.OK {
		t.Errorf("%s, want no figures, with the reason", text)
	}
	if st := none.Standing; st == nil || st.Status != "excluded" || st.Reason != none.MetricsReason ||
		s.Experiments[0].Standing.Status != "front" {
		t.Errorf("standings %+v and %+v", s.Experiments[0].Standing, none.Standing)
	}
	if c, err := s.Best("energy.per_output_token_j"); err != nil || c.Best == nil || c.Best.ID != "e0" {
		t.Errorf("best %+v, %v, want e0", c, err)
	}
	var back result.ExperimentSummary
	if err := json.Unmarshal(text, &back); err != nil || !back.Metrics.Equal(none.Metrics) {
		t.Errorf("read back %+v, %v", back.Metrics, err)
	}
}

// TestStaleSummary: a summary whose means hold bad runs is known, in a large one too.
func TestStaleSummary(t *testing.T) {
	dir, of := smallStudy(t, 2, 3)
	rec, err := result.ReadRun(dir, of.Experiments[1].ID(), 2)
	if err != nil {
		t.Fatal(err)
	}
	rec.Warn(codes.RequestsFailed, "one failed")
	text, err := json.Marshal(rec)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, filepath.FromSlash(result.RunPath(rec.ID, rec.Cycle)),
			result.RecordFile), text, 0o600)
	}
	if err == nil { // an earlier version has no sums
		err = os.Remove(filepath.Join(dir, filepath.FromSlash(result.RunPath(rec.ID, rec.Cycle)), ManifestFile))
	}
	if err == nil {
		err = os.Remove(filepath.Join(dir, JournalFile))
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := Summarize(dir, of, time.Unix(0, 0))
	if err != nil || s.Stale() {
		t.Fatalf("%v, stale %v", err, s.Stale())
	}
	for i := range s.Experiments {
		s.Experiments[i].Excluded = nil // as an earlier version wrote it
	}
	if !s.Stale() {
		t.Error("means with a run that is not comparable are taken")
	}
}
