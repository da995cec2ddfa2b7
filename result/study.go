package result

import (
	"iter"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/note"
)

// Ended is why a study ended.
type Ended string

// Ends of a study.
const (
	EndComplete    Ended = "complete"
	EndTimeout     Ended = "study_timeout"
	EndInterrupted Ended = "interrupted"
	EndFailFast    Ended = "fail_fast"
	// EndFailures: runs were skipped because their backend kept failing.
	EndFailures Ended = "max_failures"
	// EndError: an error outside of a run, such as writing.
	EndError Ended = "error"
	// EndKilled: no summary was written. The study was killed, or is still running.
	EndKilled Ended = "killed"
)

// StudyResult is the result of a study: the content of summary.json and the output of --json. It can be
// rebuilt from the study's folder.
type StudyResult struct {
	// SchemaVersion is the version of this format.
	SchemaVersion int `json:"schema_version"`
	// Name of the study.
	Name string `json:"name"`
	// Dir is the study's folder.
	Dir string `json:"dir"`
	// Finished is the time when the summary was written.
	Finished time.Time `json:"finished"`
	// Complete reports whether every planned run has finished, successfully or not, and no further cycles are
	// needed. Interrupted and skipped runs have not finished.
	Complete bool `json:"complete"`
	// Ended is why the study ended.
	Ended Ended `json:"ended"`
	// Left is the minimum number of remaining runs: the number of cycles for a wanted precision is not known
	// in advance.
	Left int `json:"left"`
	// Planned is the number of planned runs.
	Planned int `json:"planned"`
	// OK is the number of runs with a result.
	OK int `json:"ok"`
	// Failed is the number of failed runs.
	Failed int `json:"failed"`
	// LeftOut is the number of runs that were recorded as skipped.
	LeftOut int `json:"left_out"`
	// Interrupted is the number of runs that the user interrupted.
	Interrupted int `json:"interrupted"`
	// ElapsedS is the time of all runs in seconds, including pauses, over all starts of a resumed study.
	ElapsedS float64 `json:"elapsed_s"`
	// Workers is what became of the time of several workers; null in a study of one process.
	Workers *Workers `json:"workers,omitempty"`
	// Caveats are reasons to doubt the study as a whole.
	Caveats note.List `json:"caveats"`
	// Doubts are the distinct warnings of its runs, with their numbers of runs.
	Doubts []Doubt `json:"doubts"`
	// RunsReason is why runs is null.
	RunsReason string `json:"runs_reason,omitempty"`
	// Nodes identifies the machines of the workers, by the name of the worker; null in a study of one process.
	Nodes map[string]string `json:"nodes,omitempty"`
	// Canary is what the workers of a study measured before their first runs; null if nothing.
	Canary *Canary `json:"canary,omitempty"`
	// Experiments are the configurations over their cycles.
	Experiments []ExperimentSummary `json:"experiments"`
	// Rows has an entry for each run, in the order of execution.
	Rows []Row `json:"rows"`
	// Runs are the full records; null if there are more than maxRecords. Then the rows have only the main
	// metrics.
	Runs []*Record `json:"runs"`
}

// Canary is one configuration that the workers of a study executed before their first runs. Its spread is how much
// their machines differ; it is not in the means.
type Canary struct {
	// ID of the configuration.
	ID string `json:"id"`
	// Workers has an entry for each worker.
	Workers []CanaryRun `json:"workers"`
	// Machines is the number of machines on which it succeeded.
	Machines int `json:"machines"`
	// Spreads are the spreads of energy per output token and output tokens per second, as far as they are known.
	Spreads []CanarySpread `json:"spreads"`
}

// CanaryRun is the canary of a worker.
type CanaryRun struct {
	// Worker is its name.
	Worker string `json:"worker"`
	// Node identifies its machine.
	Node string `json:"node,omitempty"`
	// Status is the outcome; a worker whose canary failed executed no run.
	Status Status `json:"status"`
	// Message is why it failed.
	Message string `json:"message,omitempty"`
	// Values are its metrics.
	Values Values `json:"values"`
}

// CanarySpread is the spread of a metric over the canaries.
type CanarySpread struct {
	// Metric is its name.
	Metric string `json:"metric"`
	// N is the number of canaries that have it.
	N int `json:"n"`
	// MaxOverMin is the largest value over the smallest one.
	MaxOverMin float64 `json:"max_over_min"`
	// CV is the standard deviation over the mean.
	CV float64 `json:"cv"`
	// Outliers are the workers whose value lies far from the median.
	Outliers []string `json:"outliers"`
}

// Experiment returns the run of a study with a single run, or nil.
func (s *StudyResult) Experiment() *Record {
	if len(s.Runs) != 1 {
		return nil
	}
	return s.Runs[0]
}

// Records returns an iterator over the records of all runs. It reads them from the study's folder if the
// result does not contain them.
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

// mainMetrics are the metrics of the rows in a large study's summary.
var mainMetrics = []string{"energy.per_output_token_j", "energy.total_j", "energy.mean_w",
	"throughput.output_tokens_per_s", "latency.ttft_ms.p50", "latency.itl_ms.p50"}

// mainPlaces are their indices, in order.
var mainPlaces = func() (places []int) {
	for i, m := range metricInfos {
		if slices.Contains(mainMetrics, m.Name) {
			places = append(places, i)
		}
	}
	return places
}()
