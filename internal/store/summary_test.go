package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// runsOf makes runs of experiments that differ in batch size: each has the energies per
// token and the tokens per second of its cycles.
func runsOf(t *testing.T, joules, rate [][]float64) *result.StudyResult {
	t.Helper()
	s := &result.StudyResult{}
	for i := range joules {
		for c := range joules[i] {
			e := study.DefaultExperiment(engines.All()[0])
			e.Section = engine.JSON(fmt.Sprintf(`{"batch_size":%d,"threads":0,"prefill_chunk":512}`, i+1))
			r := &result.Record{ID: fmt.Sprint("e", i), Cycle: c + 1, Status: result.OK, Config: e,
				Throughput: &result.Throughput{OutputTokensPerS: rate[i][c]}}
			if joules[i][c] > 0 {
				r.Energy.PerOutputTokenJ = &result.Quantity{Value: joules[i][c]}
			}
			s.Runs = append(s.Runs, r)
		}
	}
	if err := summarizeRuns(s, study.Until{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// summarizeRuns makes the rows and summaries of the records at hand.
func summarizeRuns(s *result.StudyResult, until study.Until) error {
	configs := map[string]study.Experiment{}
	s.Rows = nil
	for _, r := range s.Runs {
		s.Rows = append(s.Rows, RowOf(r))
		configs[r.ID] = r.Config
	}
	of := &study.Study{Execution: study.Execution{Until: until}}
	return summary{s}.summarize(of, func(r result.Row) (study.Experiment, error) { return configs[r.ID], nil })
}

// spread returns the spread of an existing metric.
func spread(t *testing.T, e result.ExperimentSummary, metric string) result.Spread {
	t.Helper()
	m, ok := e.Metrics.Get(metric)
	if !ok {
		t.Fatalf("%s has no %s", e.ID, metric)
	}
	return m
}

func TestSummary(t *testing.T) {
	s := runsOf(t,
		[][]float64{{1.0, 1.1, 0.9}, {2.0, 2.1, 1.9}, {0.5, 0.52, 0.48}, {0.50, 0.53, 0.48}, {0, 0, 0}},
		[][]float64{{100, 101, 99}, {50, 51, 49}, {40, 41, 39}, {39, 40, 38}, {10, 10, 10}})
	e := spread(t, s.Experiments[0], "energy.per_output_token_j")
	if e.N != 3 || e.Mean != 1 || e.Median != 1 || e.SD == nil || e.CI95 == nil ||
		!(e.CI95[0] < 0.76 && e.CI95[0] > 0.74) {
		t.Errorf("spread %+v, want 1 with Student's interval ±0.248", e)
	}
	var got []string
	for _, e := range s.Experiments {
		got = append(got, strings.TrimSpace(e.Standing.Status+" "+e.Standing.By))
	}
	// The second is beaten by the first in both; the fourth by the third by value only;
	// the last has no energy.
	if want := []string{"front", "dominated e0", "front", "uncertain e2", "excluded"}; !slices.Equal(got, want) {
		t.Errorf("standings %q, want %q", got, want)
	}

	c, err := s.Best("energy.per_output_token_j", "throughput.output_tokens_per_s >= 45")
	if err != nil || c.Best == nil || c.Best.ID != "e0" || len(c.NotSeparable)+len(c.Possible) != 0 {
		t.Errorf("best %+v, %v, want e0", c, err)
	}
	if c, err = s.Best("energy.per_output_token_j"); err != nil || c.Best.ID != "e2" || len(c.NotSeparable) != 1 {
		t.Errorf("best %+v, %v, want e2 and e3 beside it", c, err)
	}
	if c, err = s.Best("energy.per_output_token_j", "throughput.output_tokens_per_s>1000"); err != nil ||
		c.Best != nil {
		t.Errorf("nothing is as fast: %+v, %v", c, err)
	}
	for _, bad := range []string{"latency<", "throughput.output_tokens_per_s=3", "nothing.at_all<3",
		"throughput.output_tokens_per_s<NaN"} {
		if _, err := s.Best("energy.per_output_token_j", bad); err == nil {
			t.Errorf("constraint %q was taken", bad)
		}
	}

	if err := s.SortBy("energy.per_output_token_j"); err != nil || s.Experiments[0].ID != "e2" ||
		s.Experiments[4].ID != "e4" {
		t.Errorf("sorted: %v, first %s, last %s", err, s.Experiments[0].ID, s.Experiments[4].ID)
	}
	if err := s.SortBy("throughput.output_tokens_per_s"); err != nil || s.Experiments[0].ID != "e0" {
		t.Errorf("sorted by rate: %v, first %s", err, s.Experiments[0].ID)
	}
}

// TestOneRunIsNotSeparable: without repeats nothing is known of the spread.
func TestOneRunIsNotSeparable(t *testing.T) {
	s := runsOf(t, [][]float64{{1}, {2}}, [][]float64{{100}, {50}})
	if e := spread(t, s.Experiments[0], "energy.per_output_token_j"); e.SD != nil || e.CI95 != nil {
		t.Errorf("one run has a spread: %+v", e)
	}
	usual, err := s.Pareto()
	if err != nil || len(usual) != len(s.Experiments) || usual[1] != *s.Experiments[1].Standing || usual[1].ID != "e1" {
		t.Errorf("without metrics %+v, %v; want the standings of the summary with their ids", usual, err)
	}
	if got := s.Experiments[1].Standing; got.Status != "uncertain" || got.By != "e0" {
		t.Errorf("standing %+v, want it uncertain", got)
	}
}

func TestCaveats(t *testing.T) {
	s := runsOf(t, [][]float64{{1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6}, {1, 1.01, 0.99, 1, 1.02, 3, 1}},
		[][]float64{make([]float64, 7), make([]float64, 7)})
	for i, want := range []note.Code{codes.Drift, codes.Outliers} {
		c := spread(t, s.Experiments[i], "energy.per_output_token_j").Caveats
		if _, ok := c.Find(want); !ok {
			t.Errorf("caveats %+v, want %s", c, want)
		}
	}
}

// TestOrderOfTheStudy: configurations stand in the order of the study, whatever ran first; what the
// study does not have follows.
func TestOrderOfTheStudy(t *testing.T) {
	of := &study.Study{}
	for _, id := range []string{"a", "b", "c"} {
		of.Experiments = append(of.Experiments, study.Experiment{RecordedID: id})
	}
	rows := []result.Row{}
	for _, id := range []string{"y", "c", "a", "x", "b", "c", "y", "a"} {
		rows = append(rows, result.Row{ID: id})
	}
	var got []string
	for _, i := range inOrder(rows, of) {
		got = append(got, rows[i].ID)
	}
	if text := strings.Join(got, " "); text != "a a b c c y y x" {
		t.Errorf("in the order %s", text)
	}
}

// TestWarningsByConfiguration: the summary counts the runs of each configuration that have a warning.
func TestWarningsByConfiguration(t *testing.T) {
	d, err := Create(t.TempDir(), "small", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s := &study.Study{Name: "small", Execution: study.Execution{Cycles: 3, Order: terms.Interleave}}
	for i := range 2 {
		e := study.DefaultExperiment(engines.Find(nil, "fake"))
		e.Model, e.Seed = "random:tiny-llama", uint64(i+1)
		s.Experiments = append(s.Experiments, e)
		for c := range 3 {
			r := fullRecord(e, c+1)
			if r.Warnings = nil; i == 1 && c > 0 {
				r.Warn(codes.HostBusy, "others took processor time")
				r.Warn(codes.HostBusy, "and more of it")
			}
			commit(t, d, r)
		}
	}
	res, err := Summarize(d.Path(), s, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	want := []result.Warned{{Code: codes.HostBusy, Runs: 2}}
	if got := res.Experiments[1].Warnings; len(res.Experiments[0].Warnings) > 0 || !slices.Equal(got, want) {
		t.Errorf("%v and %v, want none and %v", res.Experiments[0].Warnings, got, want)
	}
}
