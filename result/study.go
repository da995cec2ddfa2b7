package result

import (
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// maxRecords is the most runs whose full records a summary holds. Of a larger study it
// has a row for each run; [StudyResult.Records] reads the records one at a time.
const maxRecords = 200

// Ended says why a study's runs came to an end.
type Ended string

// Ends of a study.
const (
	EndComplete    Ended = "complete"
	EndTimeout     Ended = "study_timeout"
	EndInterrupted Ended = "interrupted"
	EndFailFast    Ended = "fail_fast"
	// EndFailures: runs were left out because their backend kept failing.
	EndFailures Ended = "max_failures"
	// EndError: something other than a run failed, such as writing.
	EndError Ended = "error"
	// EndKilled: no summary was written. The study was killed, or still runs.
	EndKilled Ended = "killed"
)

// StudyResult is what a study found: the content of summary.json, and what --json
// prints. It can be rebuilt from the study's folder.
type StudyResult struct {
	// SchemaVersion is the version of this form.
	SchemaVersion int `json:"schema_version"`
	// Name of the study.
	Name string `json:"name"`
	// Dir is the study's folder.
	Dir string `json:"dir"`
	// Finished is when the summary was made.
	Finished time.Time `json:"finished"`
	// Complete says that every planned run has been made, well or badly, and that no
	// more cycles are to be made. Runs that were interrupted or left out are not made.
	Complete bool `json:"complete"`
	// Ended says why no more runs were made, and Left how many are left to make, at
	// least: how many cycles a wanted precision takes is not known beforehand.
	Ended Ended `json:"ended"`
	// Left is a number of runs.
	Left int `json:"left"`
	// Planned is how many runs were planned.
	Planned int `json:"planned"`
	// OK is how many runs have a result.
	OK int `json:"ok"`
	// Failed is how many have none.
	Failed int `json:"failed"`
	// LeftOut and Interrupted runs are on record, but not made.
	LeftOut int `json:"left_out"`
	// Interrupted is how many were broken off by the user.
	Interrupted int `json:"interrupted"`
	// ElapsedS is the time that all runs took, pauses included, over all parts of a
	// study that was gone on with.
	ElapsedS float64 `json:"elapsed_s"`
	// Caveats are reasons to doubt the study as a whole, Doubts the warnings of its runs.
	Caveats note.List `json:"caveats"`
	// Doubts are each named once, with the number of runs.
	Doubts []Doubt `json:"doubts"`
	// RunsReason says why runs is null.
	RunsReason string `json:"runs_reason,omitempty"`
	// Experiments are the configurations over their cycles, Rows the runs in brief, in
	// the order in which they were made, and Runs their records: null if there are more
	// than maxRecords. Then rows have the main metrics only.
	Experiments []ExperimentSummary `json:"experiments"`
	// Rows has an entry for each run.
	Rows []Row `json:"rows"`
	// Runs are the full records.
	Runs []*Record `json:"runs"`
}

// NewStudyResult collects the finished runs of a folder. It does not say that a study
// without runs to make was complete, or killed: why it ended is known to its end alone.
func NewStudyResult(dir string, s *study.Study, finished time.Time) (*StudyResult, error) {
	out := &StudyResult{SchemaVersion: SchemaVersion, Name: s.Name, Dir: dir, Finished: finished.UTC(),
		Planned: len(s.Experiments) * s.Execution.Cycles, Caveats: note.List{}, Doubts: []Doubt{}}
	if abs, err := filepath.Abs(dir); err == nil {
		out.Dir = abs
	}
	var err error
	if out.Rows, err = Rows(dir); err != nil {
		return nil, err
	}
	if out.Rows == nil {
		out.Rows = []Row{}
	}
	out.count()
	if err := out.summarize(s.Execution.Until, configs(out.Dir, s)); err != nil {
		return nil, err
	}
	if err := out.collectWarnings(); err != nil {
		return nil, err
	}
	out.left(s)
	out.caveats(s.Execution, len(s.Experiments))
	return out, out.records()
}

// count adds up the rows.
func (s *StudyResult) count() {
	for _, r := range s.Rows {
		s.ElapsedS += r.TookS
		switch {
		case r.Status == OK:
			s.OK++
		case r.Status == Interrupted:
			s.Interrupted++
		case r.Class == codes.ClassLeftOut:
			s.LeftOut++
		default:
			s.Failed++
		}
	}
	// More cycles than planned are made until a metric is known well enough.
	s.Planned = max(s.Planned, len(s.Rows))
}

// configs finds the configuration of a run in the study, or in its record where the
// study does not have it.
func configs(dir string, s *study.Study) func(Row) (study.Experiment, error) {
	known := make(map[string]int, len(s.Experiments))
	for i, e := range s.Experiments {
		if e.Backend != "" {
			known[e.ID()] = i
		}
	}
	return func(r Row) (study.Experiment, error) {
		if i, ok := known[r.ID]; ok {
			return s.Experiments[i], nil
		}
		rec, err := ReadRun(dir, r.ID, r.Cycle)
		if err != nil {
			return study.Experiment{}, err
		}
		return rec.Config, nil
	}
}

// left counts the runs that are still to be made.
func (s *StudyResult) left(of *study.Study) {
	x := of.Execution
	made, last := 0, map[string]int{}
	for _, r := range s.Rows {
		if r.Made() {
			last[r.ID] = max(last[r.ID], r.Cycle)
			if r.Cycle <= x.Cycles {
				made++
			}
		}
	}
	s.Left = max(0, len(of.Experiments)*x.Cycles-made)
	for _, e := range s.Experiments {
		if p := e.Precision; p != nil && !p.Met && last[e.ID] < x.Until.MaxCycles && measured(e, p.Metric) {
			s.Left++
		}
	}
	s.Complete = s.Left == 0
	s.Ended = EndKilled
	if s.Complete {
		s.Ended = EndComplete
	}
}

func measured(e ExperimentSummary, metric string) bool {
	_, ok := e.Metrics.Get(metric)
	return ok
}

// caveats looks at the study as a whole.
func (s *StudyResult) caveats(x study.Execution, n int) {
	if text := Unbalanced(x, n); text != "" {
		s.Caveats.Warn(codes.LatinSquareUnbalanced, text)
	}
	s.memoryCaveats()
	if text := machines(s.Dir); text != "" {
		s.Caveats.Warn(codes.MachinesDiffer, text)
	}
}

// Unbalanced says why the cycles do not fill a latin square of n experiments; empty if
// they do, or none was asked for.
func Unbalanced(x study.Execution, n int) string {
	rows := n
	if n%2 == 1 && n > 1 {
		rows = 2 * n
	}
	if x.Order != study.LatinSquare || n < 2 || x.Cycles%rows == 0 {
		return ""
	}
	return fmt.Sprintf("order latin_square: %d cycles of %d experiments are not balanced for position and for "+
		"what runs before; it takes a multiple of %d cycles", x.Cycles, n, rows)
}

// records reads the full records, unless there are too many.
func (s *StudyResult) records() error {
	if len(s.Rows) > maxRecords {
		s.RunsReason = fmt.Sprintf("the study has more than %d runs: their records are in %s/ID-cCYCLE/%s",
			maxRecords, RunsDir, RecordFile)
		return nil
	}
	s.Runs = make([]*Record, 0, len(s.Rows))
	for _, r := range s.Rows {
		rec, err := ReadRun(s.Dir, r.ID, r.Cycle)
		if err != nil {
			return err
		}
		s.Runs = append(s.Runs, rec)
	}
	return nil
}

// Experiment returns the one run of a study with a single run, or nil.
func (s *StudyResult) Experiment() *Record {
	if len(s.Runs) != 1 {
		return nil
	}
	return s.Runs[0]
}

// Records yields the records of all runs, from the study's folder if the result does not
// hold them.
func (s *StudyResult) Records() iter.Seq2[*Record, error] {
	if s.Runs == nil && len(s.Rows) > 0 {
		return Records(s.Dir)
	}
	return func(yield func(*Record, error) bool) {
		for _, r := range slices.Clone(s.Runs) {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// mainMetrics are those that the rows of a large study's summary have.
var mainMetrics = []string{"energy.per_output_token_j", "energy.total_j", "energy.mean_w",
	"throughput.output_tokens_per_s", "latency.ttft_ms.p50", "latency.itl_ms.p50"}
