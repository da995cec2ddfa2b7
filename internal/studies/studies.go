// Package studies finds the folders of studies in a folder of results: the newest one, and the unfinished ones. It
// reads the names and the heads of their summaries only.
package studies

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/result"
)

// Error is the error if a folder does not have the study that was asked for.
type Error struct {
	Msg string
	// Studies are the folders to choose from.
	Studies []string
	Next    string
}

// Error names the folder and the studies in it.
func (e *Error) Error() string {
	return strings.Join(append([]string{e.Msg}, e.Studies...), "\n  - ")
}

// NextStep returns the next step for the user.
func (e *Error) NextStep() string { return e.Next }

// IsUsage marks a mistake of usage.
func (*Error) IsUsage() {}

// StudyFile is the frozen study of a folder.
const StudyFile = "study.yaml"

// Inside returns the folders of studies in a folder, the newest first.
func Inside(dir string) []string {
	began := map[string]time.Time{}
	for _, name := range []string{result.SummaryFile, StudyFile} { // the study is as old as its start
		found, _ := filepath.Glob(filepath.Join(dir, "*", name)) // fails only for a bad pattern
		for _, file := range found {
			if info, err := os.Stat(file); err == nil {
				began[filepath.Dir(file)] = info.ModTime()
			}
		}
	}
	return slices.SortedFunc(maps.Keys(began), func(a, b string) int {
		return cmp.Or(began[b].Compare(began[a]), cmp.Compare(b, a))
	})
}

// Newest returns the folder of the newest study in a folder of results, or "" if there is none.
func Newest(results string) string {
	for _, dir := range Inside(results) {
		return dir
	}
	return ""
}

// Unfinished returns the folder of the newest study in results with remaining runs. With retryFailed, failed runs also
// remain.
func Unfinished(results string, retryFailed bool) (string, error) {
	if open := unfinished(results, retryFailed); len(open) > 0 {
		return open[0], nil
	}
	none := &Error{Msg: fmt.Sprintf("there is no unfinished study in %s", results),
		Next: "give the study's folder with --resume=DIR, or the folder of all results with --output"}
	if failed := unfinished(results, true); len(failed) > 0 {
		none.Next = "`llem run --resume=" + shell.Path(failed[0]) +
			" --retry-failed` reruns the failed runs of the newest study with some"
	}
	return "", none
}

// unfinished returns the folders of studies with remaining runs, the newest first.
func unfinished(dir string, retryFailed bool) []string {
	return slices.DeleteFunc(Inside(dir), func(study string) bool {
		_, err := os.Stat(filepath.Join(study, StudyFile))
		return err != nil || finished(study, retryFailed)
	})
}

// finished reports whether a study's summary states that no runs remain. A summary that cannot be read states nothing.
func finished(dir string, retryFailed bool) bool {
	s, err := result.ReadHead(dir)
	return err == nil && s.Complete && (s.Failed == 0 || !retryFailed)
}

// named is how many studies an error names.
const named = 5

// NotOne returns the error for a folder that is to be resumed and is not the folder of a study: it names the studies in
// it that can be resumed.
func NotOne(dir string) *Error {
	inside := Inside(dir)
	if len(inside) == 0 {
		return &Error{Msg: fmt.Sprintf("%s is not the folder of a study: it has no %s", dir, StudyFile),
			Next: "give a folder that `llem run` created, or omit it to continue the newest unfinished study"}
	}
	holds := dir + " is not the folder of a study: it holds 1 study"
	if n := len(inside); n > 1 {
		holds = fmt.Sprintf("%s is not the folder of a study: it holds %d studies", dir, n)
	}
	open := unfinished(dir, false)
	if len(open) == 0 {
		return &Error{Msg: holds + ", none of them unfinished", Next: "`llem report " + shell.Path(inside[0]) +
			"` prints the newest one; without --resume, a new study starts"}
	}
	e := &Error{Msg: fmt.Sprintf("%s, %d unfinished:", holds, len(open)),
		Studies: slices.Clone(open[:min(len(open), named)]),
		Next:    "continue the newest one: `llem run --resume=" + shell.Path(open[0]) + "`"}
	if more := len(open) - named; more > 0 {
		e.Studies = append(e.Studies, fmt.Sprintf("and %d more", more))
	}
	return e
}
