package publish

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// Files that push adds to the files of a study.
const (
	cardFile   = "README.md"
	runsFile   = "runs.parquet"
	figureFile = "figure.svg"
)

// own match the files of a study. Of a run there are
// its numbers, series, output and checksums.
var own = []*regexp.Regexp{
	regexp.MustCompile(`^(study\.yaml|journal(-[^/]+)?\.jsonl|summary\.json|manifest\.sha256)$`),
	regexp.MustCompile(`^(env(-\d+)?|doctor|inputs|options|shard|merged|scrubbed)\.json$`),
	regexp.MustCompile(`^workers/[^/]+\.json$`),
	regexp.MustCompile(`^(runs|canary)/[^/]+/(result\.json|(power|telemetry|counters|requests|steps)\.parquet|` +
		`engine\.log|manifest\.sha256)$`),
}

// isOwn reports whether a path is of a study, or was added by push.
func isOwn(name string) bool {
	return isAdded(name) || isStudy(name)
}

// isStudy reports whether a path is of a study.
func isStudy(name string) bool {
	return slices.ContainsFunc(own, func(p *regexp.Regexp) bool { return p.MatchString(name) }) &&
		!strings.HasSuffix(path.Dir(name), store.Partial)
}

// isAdded reports whether push writes a file itself.
func isAdded(name string) bool { return name == cardFile || name == runsFile || name == figureFile }

// contents are the files of a folder.
type contents struct {
	// study are the files of the study, other the files that stay here.
	study, other []string
}

// contentsOf lists the files of a study's folder. Links are not followed.
func contentsOf(dir string) (c contents, err error) {
	err = filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, at)
		if err != nil {
			return fmt.Errorf("find %s: %w", at, err)
		}
		switch name := filepath.ToSlash(rel); {
		case d.Type().IsRegular() && isStudy(name):
			c.study = append(c.study, name)
		case !isAdded(name):
			c.other = append(c.other, name)
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("list the files of %s: %w", dir, err)
	}
	return c, nil
}

// openStudy reads a study that nobody is writing to, and refuses what is not the folder of one.
func openStudy(dir string) (*result.StudyResult, error) {
	if why := disk.NoFolder(dir); why != "" {
		return nil, &Error{why, "give the folder that `llem run` printed"}
	}
	if _, err := os.Stat(filepath.Join(dir, result.RecordFile)); err == nil {
		study := filepath.Dir(filepath.Dir(filepath.Clean(dir)))
		return nil, &Error{dir + " is the folder of one run", "give the folder of its study: llem push " +
			shell.Path(study) + " hf:USER/NAME"}
	}
	journals, _ := filepath.Glob(filepath.Join(dir, "journal*.jsonl"))
	for _, j := range journals {
		f, err := disk.Open(j, disk.Unbounded)
		if err != nil {
			return nil, err
		}
		err = disk.CheckFolder(f)
		if closed := disk.CloseFolder(f); err == nil {
			err = closed
		}
		if err != nil {
			return nil, err
		}
	}
	s, err := store.Open(dir)
	if _, missing := errors.AsType[*disk.PathError](err); missing {
		next := "give the folder that `llem run` printed"
		if step, ok := errors.AsType[interface {
			error
			NextStep() string
		}](err); ok {
			next = step.NextStep()
		}
		return nil, &Error{err.Error(), next}
	}
	if err != nil {
		return nil, err
	}
	return s.StudyResult, nil
}
