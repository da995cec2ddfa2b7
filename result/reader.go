package result

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/secret"
)

// ReadRecord reads the result.json of one run.
func ReadRecord(path string) (*Record, error) {
	b, err := disk.ReadFile(path, disk.MaxDocument)
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read result %s: %w", path, err)
	}
	if r.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("result %s has schema version %d; this version of llem reads version %d", path,
			r.SchemaVersion,
			SchemaVersion)
	}
	if secret.Odd(b) {
		secret.CleanPlain(&r)
	}
	r.Config = r.Config.Recorded(r.ID)
	r.Energy.Provenance = r.Energy.Provenance.Of(r.Backend.Name)
	r.Latency.convert(r.Config)
	return &r, nil
}

// Names of files in a study's folder.
const (
	// SummaryFile holds a [StudyResult].
	SummaryFile = "summary.json"
	// RunsDir holds the folders of runs.
	RunsDir = "runs"
	// RecordFile, in the folder of a run, holds its [Record].
	RecordFile = "result.json"
)

// RunPath returns the folder of a run relative to its study's folder.
func RunPath(id string, cycle int) string { return fmt.Sprintf("%s/%s-c%d", RunsDir, id, cycle) }

// ReadRun reads the record of one run of a study.
func ReadRun(dir, id string, cycle int) (*Record, error) {
	return ReadRecord(filepath.Join(dir, filepath.FromSlash(RunPath(id, cycle)), RecordFile))
}
