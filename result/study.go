package result

import (
	"iter"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/note"
)

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
	return func(yield func(*Record, error) bool) {
		if s.Runs != nil {
			for _, r := range slices.Clone(s.Runs) {
				if !yield(r, nil) {
					return
				}
			}
			return
		}
		for _, r := range s.Rows {
			if !yield(ReadRun(s.Dir, r.ID, r.Cycle)) {
				return
			}
		}
	}
}

// mainMetrics are those that the rows of a large study's summary have.
var mainMetrics = []string{"energy.per_output_token_j", "energy.total_j", "energy.mean_w",
	"throughput.output_tokens_per_s", "latency.ttft_ms.p50", "latency.itl_ms.p50"}

// mainPlaces are their places, in order.
var mainPlaces = func() (places []int) {
	for i, m := range metricInfos {
		if slices.Contains(mainMetrics, m.Name) {
			places = append(places, i)
		}
	}
	return places
}()
