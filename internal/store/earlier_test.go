package store

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/result"
)

// TestEarlierSimulatedRuns: what an earlier version stored of the simulated engine as modelled
// is simulated, in the record, in the rows and in the summary, stored or made again.
func TestEarlierSimulatedRuns(t *testing.T) {
	dir := filepath.Join("..", "..", "testdata", "stored", "simulated")
	text, err := os.ReadFile(filepath.Join(dir, result.SummaryFile))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"provenance": "modelled"`) {
		t.Fatal("the stored summary does not have the earlier word")
	}
	stored, err := result.ReadStudy(dir)
	if err != nil {
		t.Fatal(err)
	}
	of, _, err := plan(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Summarize(dir, of, stored.Finished)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*result.StudyResult{"stored": stored, "made again": again} {
		var got []result.Provenance
		for _, e := range s.Experiments {
			got = append(got, e.Provenance)
		}
		for i, r := range s.Rows {
			got = append(got, r.Provenance, s.Runs[i].Energy.Provenance)
			if !r.Simulated() {
				t.Errorf("%s: run %s is not simulated", name, r.ID)
			}
		}
		if want := slices.Repeat([]result.Provenance{result.Simulated}, 2+4+4); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	journal, err := ReadJournal(dir)
	if err != nil || len(journal) != 4 {
		t.Fatalf("%d lines of the journal, %v", len(journal), err)
	}
	for _, e := range journal {
		if e.Provenance != result.Simulated {
			t.Errorf("journal: run %s is %s, as its record is not", e.Run, e.Provenance)
		}
	}
	for _, p := range []result.Provenance{result.Measured, result.Modelled} {
		if got := p.Of("vllm"); got != p {
			t.Errorf("%s of vLLM became %s", p, got)
		}
	}
}

// TestEarlierLatencies: an earlier version had response times under the names of service times
// where an engine queued requests itself. They have their own names now, wherever they are read,
// and no mean is of both kinds.
func TestEarlierLatencies(t *testing.T) {
	t.Parallel()
	const static, continuous = "a0ad14b62020", "12b25febfcc7"
	dir := filepath.Join(t.TempDir(), "queued")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "testdata", "stored", "queued"))); err != nil {
		t.Fatal(err)
	}
	stored, err := Open(dir)
	if err != nil || stored.Rebuilt {
		t.Fatalf("%+v, %v", stored, err)
	}
	if err := os.Remove(filepath.Join(dir, result.SummaryFile)); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir)
	if err != nil && !strings.Contains(err.Error(), result.SummaryFile) {
		t.Fatal(err)
	}
	for name, s := range map[string]*result.StudyResult{"stored": stored.StudyResult, "made again": again.StudyResult} {
		for _, e := range s.Experiments {
			service, isService := e.Metrics.Get("latency.ttft_ms.p50")
			response, isResponse := e.Metrics.Get("latency.response_ttft_ms.p50")
			switch e.ID {
			case static:
				if !isService || service.Mean > 5 || isResponse {
					t.Errorf("%s: static: TTFT %+v, response %+v", name, service, response)
				}
			case continuous:
				if isService || !isResponse || response.Mean < 20 {
					t.Errorf("%s: continuous: TTFT %+v, response %+v", name, service, response)
				}
			default:
				t.Errorf("configuration %s", e.ID)
			}
		}
		for r, err := range s.Records() {
			if err != nil || r.Latency.Reason == "" || (r.Latency.TTFT == nil) != (r.ID == continuous) {
				t.Errorf("%s: %s has latency %+v, %v", name, r.ID, r.Latency, err)
			}
		}
	}
}

// TestFirstSummary: the first version's summary had the runs alone. The result is built from the runs, and nothing is
// reported as damaged.
func TestFirstSummary(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "study")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "testdata", "stored", "simulated"))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, result.SummaryFile)
	text, err := os.ReadFile(path)
	var all map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	for _, key := range []string{"rows", "experiments", "caveats", "left", "left_out", "ended"} {
		delete(all, key)
	}
	if err == nil {
		text, err = json.Marshal(all)
	}
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir)
	if err != nil || len(s.Experiments) != 2 || len(s.Rows) != 4 || s.Rebuilt {
		t.Errorf("%+v, %v, want two configurations with four runs", s, err)
	}
}
