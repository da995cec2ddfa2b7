package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// large is the summary of a study with more runs than a summary holds records.
func large(t *testing.T, n int) *result.StudyResult {
	t.Helper()
	s := &result.StudyResult{Name: "large", Planned: n, OK: n, Complete: true, RunsReason: "too many",
		Doubts: []result.Doubt{{Kind: "warning",
			Note: note.Note{Code: codes.NoisyHost, Message: "the machine was busy"}, Runs: 3}},
		Caveats: note.List{{Code: codes.LatinSquareUnbalanced, Message: "not balanced"}}}
	for i := range n {
		e := study.DefaultExperiment(engines.All()[0])
		e.Model, e.Section = "random:tiny-llama",
			engine.JSON(fmt.Sprintf(`{"batch_size":%d,"threads":0,"prefill_chunk":512}`, i+1))
		e.Warmup.Runs = i % 2
		sum := result.ExperimentSummary{ID: e.ID(), Config: e, OK: 1, Status: result.OK, DType: "float16",
			Provenance: result.Measured}
		text := fmt.Sprintf(`{"throughput.output_tokens_per_s":{"n":1,"mean":%d},`+
			`"energy.per_output_token_j":{"n":3,"mean":2,"p5":1,"p50":2,"p95":3,"ci95":[1,3]}}`, 100+i)
		if err := json.Unmarshal([]byte(text), &sum.Metrics); err != nil {
			t.Fatal(err)
		}
		s.Experiments = append(s.Experiments, sum)
		s.Rows = append(s.Rows, result.Row{ID: sum.ID, Cycle: 1, Status: result.OK})
	}
	s.Experiments[1].Caveats = note.List{{Code: codes.PrecisionNotReached,
		Message: "known to ±50 %; wanted was ±2 %"}}
	return s
}

// TestLargeTable: the table of thousands of configurations ends after a page and says how
// to see more.
func TestLargeTable(t *testing.T) {
	s := large(t, 3000)
	for limit, want := range map[int]int{0: DefaultLimit, 7: 7, -1: 3000} {
		text := render(t, Terminal{Limit: limit}, s)
		if got := strings.Count(text, " measured\n"); got != want {
			t.Errorf("limit %d: %d lines, want %d", limit, got, want)
		}
		if cut := strings.Contains(text,
			fmt.Sprintf("the first %d of 3000 configurations", want)); cut != (want < 3000) {
			t.Errorf("limit %d: that it is cut is said: %v", limit, cut)
		}
		for _, want := range []string{"large: 3000 of 3000 runs ok", "caution (3 of 3000 runs): the machine was busy",
			"caution: not balanced", "known to ±50 %; wanted was ±2 %"} {
			if !strings.Contains(text, want) {
				t.Errorf("limit %d: no %q", limit, want)
			}
		}
	}
	if text := render(t, Terminal{Front: []string{"latency.ttft_ms.p99"}, Sort: "throughput.requests_per_s"},
		s); strings.Contains(text, "requests_per_s") {
		t.Errorf("a column without values is shown:\n%s", text[:400])
	}
}

// TestCSVTellsApart: every key that varies has a column, and every spread its percentiles.
func TestCSVTellsApart(t *testing.T) {
	var b bytes.Buffer
	if err := CSV(&b, large(t, 4), 3); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	at := map[string]string{}
	for i, h := range rows[0] {
		if _, twice := at[h]; twice {
			t.Errorf("two columns are called %s", h)
		}
		at[h] = rows[3][i]
	}
	for key, want := range map[string]string{"embedded.batch_size": "3", "warmup.runs": "0",
		"energy.per_output_token_j.p5": "1", "energy.per_output_token_j.p95": "3",
		"throughput.output_tokens_per_s": "102", "throughput.output_tokens_per_s.p50": "", "energy.total_j": ""} {
		if got, ok := at[key]; !ok || got != want {
			t.Errorf("%s is %q (%v), want %q", key, got, ok, want)
		}
	}
}
