package cluster

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/internal/disk"
)

// Submission is what was submitted for a study, as its folder keeps it.
type Submission struct {
	// On is the scheduler, IDs are its jobs, and Namespace is where they are in Kubernetes.
	On        string   `json:"on"`
	IDs       []string `json:"ids"`
	Namespace string   `json:"namespace,omitempty"`
	// Workers is how many run at a time, and Time when they were submitted.
	Workers int       `json:"workers"`
	Time    time.Time `json:"time"`
	// Cancelled is set by the line that ends earlier ones.
	Cancelled bool `json:"cancelled,omitempty"`
}

// recordFile is within LogDir.
const recordFile = "submitted.jsonl"

// Record adds a submission to the folder of a study.
func Record(dir string, s Submission) error {
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := disk.OpenFile(filepath.Join(LogDir(dir), recordFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644,
		disk.MaxSmall)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// Submissions returns what was submitted for a study and not cancelled since, oldest first.
func Submissions(dir string) ([]Submission, error) {
	path := filepath.Join(LogDir(dir), recordFile)
	data, err := disk.ReadFile(path, disk.MaxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Submission
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data)+1)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var s Submission
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		if s.Cancelled {
			out = nil
			continue
		}
		out = append(out, s)
	}
	return out, lines.Err()
}
