package shard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// MergedFile is the name of the file that records a merge in the folder of the merged study.
const MergedFile = "merged.json"

// Merged is the content of the file.
type Merged struct {
	// Of is the number of shards; 0 if the study was not divided into shards, or in several ways.
	Of int `json:"of,omitempty"`
	// Folders were merged.
	Folders []Folder `json:"folders"`
	// Marked are the checksums that the manifests of runs had before the merge marked the runs as measured on another
	// machine, by the paths of the runs.
	Marked map[string]string `json:"marked,omitempty"`
}

// Folder is a folder that was merged.
type Folder struct {
	Name string `json:"name"`
	// Shard is the index of its shard; 0 if it was not one.
	Shard int `json:"shard,omitempty"`
	// Runs is the number of runs that were taken from it.
	Runs int `json:"runs"`
}

// ReadMerged reads what a merge recorded in a folder; nil if the folder is not the result of one.
func ReadMerged(dir string) (*Merged, error) {
	path := filepath.Join(dir, MergedFile)
	text, err := disk.ReadFile(path, disk.MaxList)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // there is none
	}
	var m Merged
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return nil, fmt.Errorf("read how the study was merged, %s: %w", path, err)
	}
	return &m, nil
}

// Origin returns the checksum that the manifest of a run had before a merge marked the run; sum if none did.
func (m *Merged) Origin(run, sum string) string {
	if m != nil && m.Marked[run] != "" {
		return m.Marked[run]
	}
	return sum
}

// Doubt adds to the result of a folder that it has a shard only, or that it lacks runs although it was merged; m is nil
// if it was not.
func (s Shard) Doubt(r *result.StudyResult, of *study.Study, m *Merged) {
	if !s.Whole() {
		r.Caveats.Warnf(codes.ShardOnly,
			"this is %s: %d of the %s of the study; llem merge makes one study of all shards", s, s.Runs(of),
			digits.Count(Shard{}.Runs(of), "run"))
		return
	}
	if m == nil || r.Left == 0 {
		return
	}
	if missing := m.missing(r, of); len(missing) > 0 {
		r.Caveats.Warnf(codes.ShardsMissing, "merged before all runs were there: %s", strings.Join(missing, "; "))
	}
}

// missing describes the runs that a merged study lacks, by shard.
func (m *Merged) missing(r *result.StudyResult, of *study.Study) (out []string) {
	type key struct {
		id    string
		cycle int
	}
	made := map[key]bool{}
	for _, row := range r.Rows {
		if row.Made() {
			made[key{row.ID, row.Cycle}] = true
		}
	}
	index := func(e, cycle int) int {
		if m.Of == 0 {
			return 0
		}
		return indexOf(len(of.Experiments), e, cycle, m.Of, together(of))
	}
	planned, lacks := make([]int, max(1, m.Of)), make([]int, max(1, m.Of))
	for e := range of.Experiments {
		for c := range of.Execution.Cycles {
			i := index(e, c)
			planned[i]++
			if !made[key{of.Experiments[e].ID(), c + 1}] {
				lacks[i]++
			}
		}
	}
	for i, n := range lacks {
		switch {
		case n == 0:
		case m.Of == 0:
			out = append(out, fmt.Sprintf("%d of %s are missing", n, digits.Count(planned[i], "run")))
		case n == planned[i]:
			out = append(out, fmt.Sprintf("%s is missing: %s", Shard{i + 1, m.Of}, digits.Count(n, "run")))
		default:
			out = append(out, fmt.Sprintf("%s lacks %d of its %s", Shard{i + 1, m.Of}, n,
				digits.Count(planned[i], "run")))
		}
	}
	if more := len(out) - mostMissing; more > 0 {
		out = append(out[:mostMissing], fmt.Sprintf("and %d more shards", more))
	}
	return out
}

// mostMissing is the number of shards that are named.
const mostMissing = 8
