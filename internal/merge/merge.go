// Package merge joins the folders of one study, executed on machines that share nothing, to one folder: for
// `llem merge`. The folders are the shards of a study (package shard), or any partial copies of it.
//
//	folders ─ open ─▶ verified runs ─ join ─▶ each run once ─ build ─▶ a new folder beside, renamed
//
// The folders are only read. The new folder appears under its name when it is whole.
package merge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/result"
)

// Options are what is merged, and how.
type Options struct {
	// Dirs are the folders. The first one is the measure of the others.
	Dirs []string
	// Target is the new folder. It must not exist, or be empty.
	Target string
	// AllowMixed takes runs of machines that differ from the first folder's: they are marked, and excluded from means.
	AllowMixed bool
	// Now is the time of the summary.
	Now time.Time
}

// Merged is the result of a merge.
type Merged struct {
	// Result is the result of the study.
	Result *result.StudyResult
	// Notes are for the user: what was found twice, and what cannot be verified.
	Notes []string
}

// Refusal is the error if folders cannot be merged.
type Refusal struct {
	Msg string
	// Items are the folders or runs concerned.
	Items []string
	Next  string
	// Cause may be nil.
	Cause error
}

// mostNamed is the number of items that are listed.
const mostNamed = 20

// Error names the items.
func (e *Refusal) Error() string {
	lines := append([]string{e.Msg}, e.Items[:min(mostNamed, len(e.Items))]...)
	if more := len(e.Items) - mostNamed; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n  - ")
}

// NextStep returns the next step for the user.
func (e *Refusal) NextStep() string { return e.Next }

// Unwrap returns the cause.
func (e *Refusal) Unwrap() error { return e.Cause }

// Mistake is a refusal for what the command line names.
type Mistake struct{ Refusal }

// IsUsage marks a mistake of the command line.
func (e *Mistake) IsUsage() {}

func mistake(next, format string, args ...any) error {
	return &Mistake{Refusal{Msg: fmt.Sprintf(format, args...), Next: next}}
}

// Merge merges folders. The error is the cause of ctx, a [*Refusal], a [*Mistake], damage of a
// folder, or a write error.
func Merge(ctx context.Context, o Options) (*Merged, error) {
	target, err := newFolder(o.Target)
	if err != nil {
		return nil, err
	}
	sources, err := openAll(ctx, o.Dirs, target)
	defer func() {
		for _, s := range sources {
			s.close()
		}
	}()
	if err != nil {
		return nil, err
	}
	j, err := join(sources, o.AllowMixed)
	if err != nil {
		return nil, err
	}
	res, err := j.build(ctx, target, o.Now)
	if err != nil {
		return nil, err
	}
	return &Merged{res, j.notes}, nil
}

// newFolder returns the absolute path of a folder that does not exist or is empty.
func newFolder(path string) (string, error) {
	const next = "name a new folder with -o"
	if path == "" {
		return "", mistake(next+" DIR", "no folder for the merged study")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(abs)
	if errors.Is(err, os.ErrNotExist) {
		return abs, nil
	}
	if err != nil {
		return "", mistake(next, "cannot use the folder %s: %v", path, err)
	}
	if !info.IsDir() {
		return "", mistake(next, "%s is a file", path)
	}
	entries, err := os.ReadDir(abs)
	if err != nil {
		return "", mistake(next, "cannot use the folder %s: %v", path, err)
	}
	if len(entries) > 0 {
		return "", mistake(next, "%s exists and is not empty: a merge changes nothing that is there", path)
	}
	return filepath.EvalSymlinks(abs)
}
