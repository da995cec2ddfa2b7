package nodes

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// TestNodes: the summary tells how much the machines differ, or that they cannot be told from the configurations.
func TestNodes(t *testing.T) {
	facts := map[string]string{"tok/s differs by up to 10 % between the 2 machines": "2 machines up to 10 % apart " +
		"(runs on one ±0 %)",
		"aaaaaaaaaaaa and bbbbbbbbbbbb share no machine":   "2 machines not shared by all",
		"makes their means of tok/s differ by up to 4.9 %": "2 machines up to 10 % apart"}
	for want, runs := range map[string][]struct {
		worker, id string
		cycle      int
		rate       float64
	}{
		"tok/s differs by up to 10 % between the 2 machines": {{"a", "aaaaaaaaaaaa", 1, 100},
			{"b", "aaaaaaaaaaaa", 2, 110},
			{"a", "bbbbbbbbbbbb", 1, 200}, {"b", "bbbbbbbbbbbb", 2, 220}},
		"aaaaaaaaaaaa and bbbbbbbbbbbb share no machine": {{"a", "aaaaaaaaaaaa", 1, 100},
			{"b", "bbbbbbbbbbbb", 1, 220}},
		"makes their means of tok/s differ by up to 4.9 %": {{"a", "aaaaaaaaaaaa", 1, 100},
			{"b", "aaaaaaaaaaaa", 2, 110}, {"b", "bbbbbbbbbbbb", 1, 220}},
		"": {{"a", "aaaaaaaaaaaa", 1, 100}, {"a", "bbbbbbbbbbbb", 1, 220}},
	} {
		sum := &result.StudyResult{Dir: t.TempDir()}
		for _, r := range runs {
			rec := &result.Record{Status: result.OK, Throughput: &result.Throughput{OutputTokensPerS: r.rate}}
			sum.Rows = append(sum.Rows, result.Row{ID: r.id, Cycle: r.cycle, Status: result.OK, Worker: r.worker,
				Values: result.ValuesOf(rec)})
		}
		Doubts(sum)
		got := strings.Join(sum.Caveats.Messages(), " ")
		if !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%q, want %q", got, want)
		}
		if got := Fact(sum); got != facts[want] {
			t.Errorf("%q, want %q", got, facts[want])
		}
	}
}

// TestCanarySummary: the summary has the spread of the canaries of workers, names the odd one, and the failed one.
func TestCanarySummary(t *testing.T) {
	dir := t.TempDir()
	for worker, rate := range map[string]float64{"a": 100, "b": 101, "c": 90, "d": 0, "old.try1": 5} {
		rec := &result.Record{SchemaVersion: result.SchemaVersion, ID: "aaaaaaaaaaaa", Cycle: 1, Status: result.OK,
			Worker: strings.TrimSuffix(worker, ".try1"), Throughput: &result.Throughput{OutputTokensPerS: rate}}
		if rate == 0 {
			rec.Status, rec.Throughput = result.Failed, nil
			rec.Failure = &note.Failure{Class: codes.ClassOOMGPU, Message: "no memory"}
		}
		text, err := json.Marshal(rec)
		if err == nil {
			err = os.MkdirAll(filepath.Join(dir, CanaryDir, worker), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, CanaryDir, worker, result.RecordFile), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sum := &result.StudyResult{Dir: dir}
	Doubts(sum)
	got := strings.Join(sum.Caveats.Messages(), "\n")
	for _, want := range []string{"the canary of the worker d failed, so it executed no run: no memory",
		"one configuration on 3 workers of 3 machines, differs by up to 12 % in tok/s (standard deviation 6.3 %)",
		"the canary of the worker c lies 10 % below the median of 3 workers in tok/s: its machine may be hot"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if c := sum.Canary; c == nil || len(c.Workers) != 4 || c.Machines != 3 || len(c.Spreads) != 1 ||
		!slices.Equal(c.Spreads[0].Outliers, []string{"c"}) {
		t.Errorf("%+v", c)
	}
}
