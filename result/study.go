package result

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/study"
)

// StudyResult is what a study found: the content of summary.json, and what --json
// prints. It can be rebuilt from the study's folder.
type StudyResult struct {
	SchemaVersion int       `json:"schema_version"`
	Name          string    `json:"name"`
	Dir           string    `json:"dir"`
	Finished      time.Time `json:"finished"`
	// Complete says that every planned run has been made, well or badly; an
	// interrupted run has not.
	Complete bool `json:"complete"`
	Planned  int  `json:"planned"`
	OK       int  `json:"ok"`
	Failed   int  `json:"failed"`
	// Interrupted runs are on record, but not made.
	Interrupted int `json:"interrupted"`
	// Experiments are the configurations over their cycles.
	Experiments []ExperimentSummary `json:"experiments"`
	Runs        []*Record           `json:"runs"`
}

// NewStudyResult collects the finished runs of a folder.
func NewStudyResult(dir string, s *study.Study, finished time.Time) (*StudyResult, error) {
	out := &StudyResult{SchemaVersion: SchemaVersion, Name: s.Name, Dir: dir, Finished: finished.UTC(),
		Planned: len(s.Experiments) * s.Execution.Cycles, Runs: []*Record{}}
	if abs, err := filepath.Abs(dir); err == nil {
		out.Dir = abs
	}
	for rec, err := range Records(dir) {
		if err != nil {
			return nil, err
		}
		out.Runs = append(out.Runs, rec)
		switch rec.Status {
		case OK:
			out.OK++
		case Interrupted:
			out.Interrupted++
		default:
			out.Failed++
		}
	}
	// More cycles than planned are made until a metric is known well enough.
	out.Planned = max(out.Planned, len(out.Runs))
	out.Complete = out.OK+out.Failed >= out.Planned
	return out, out.summarize()
}

// Experiment returns the one run of a study with a single run, or nil.
func (s *StudyResult) Experiment() *Record {
	if len(s.Runs) != 1 {
		return nil
	}
	return s.Runs[0]
}

// ReadStudy reads the summary of a study's folder.
func ReadStudy(dir string) (*StudyResult, error) {
	b, err := os.ReadFile(filepath.Join(dir, SummaryFile))
	if err != nil {
		return nil, fmt.Errorf("read the study: %w", err)
	}
	var s StudyResult
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("read the study %s: %w", dir, err)
	}
	if abs, err := filepath.Abs(dir); err == nil {
		s.Dir = abs // the folder may have been moved
	}
	return &s, nil
}
