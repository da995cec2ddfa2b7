package llem

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// ResumeError says why a study cannot be gone on with.
type ResumeError struct {
	Msg string
	// Differences between the study that was given and the one in the folder.
	Differences []string
	Next        string
}

// Error says what is wrong.
func (e *ResumeError) Error() string {
	if len(e.Differences) == 0 {
		return e.Msg
	}
	return e.Msg + "\n  - " + strings.Join(e.Differences, "\n  - ")
}

// Hint says what to do.
func (e *ResumeError) Hint() string { return e.Next }

// Unfinished is the folder of the newest study below results that has not been
// finished.
func Unfinished(results string) (string, error) {
	found, err := filepath.Glob(filepath.Join(results, "*", result.StudyFile))
	if err != nil {
		return "", fmt.Errorf("look for studies: %w", err)
	}
	newest, at := "", int64(0)
	for _, f := range found {
		info, err := os.Stat(f)
		if err != nil || info.ModTime().UnixNano() <= at || complete(filepath.Dir(f)) {
			continue
		}
		newest, at = filepath.Dir(f), info.ModTime().UnixNano()
	}
	if newest == "" {
		return "", &ResumeError{Msg: fmt.Sprintf("there is no unfinished study below %s", results),
			Next: "name the study's folder with --resume=DIR, or the folder of all results with --output"}
	}
	return newest, nil
}

// complete says whether a study's summary states that every run was made.
func complete(dir string) bool {
	f, err := os.Open(filepath.Join(dir, result.SummaryFile))
	if err != nil {
		return false
	}
	defer f.Close()
	// The summary may be large; what is asked for stands before its runs.
	d := json.NewDecoder(f)
	for depth := 0; ; {
		t, err := d.Token()
		if err != nil {
			return false
		}
		switch v := t.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				depth++
			} else {
				depth--
			}
		case string:
			if depth == 1 && v == "complete" {
				value, err := d.Token()
				done, ok := value.(bool)
				return err == nil && ok && done
			}
		}
	}
}

// Frozen is the study of a folder, as it was started. If given is not nil it must ask
// for the same runs.
func Frozen(dir string, given *study.Study) (*study.Study, error) {
	path := filepath.Join(dir, result.StudyFile)
	if _, err := os.Stat(path); err != nil {
		return nil, &ResumeError{Msg: fmt.Sprintf("%s is not the folder of a study: it has no %s", dir, result.StudyFile),
			Next: "give the folder that `llem run` made, or leave it out to take the newest unfinished one"}
	}
	frozen, err := study.ReadFrozen(path)
	if err != nil {
		return nil, &ResumeError{Msg: err.Error(), Next: "restore the file, or start the study anew without --resume"}
	}
	if given != nil {
		if d := given.Differences(frozen); len(d) > 0 {
			return nil, &ResumeError{Msg: "the study is not the one that was started in " + dir, Differences: d,
				Next: "start it anew without --resume, or leave the study file out to finish the one that was started"}
		}
	}
	return frozen, nil
}
