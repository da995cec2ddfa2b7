package campaign

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// ResumeError reports why a study cannot be resumed.
type ResumeError struct {
	Msg string
	// Differences between the given study and the study in the folder, or the studies that can be resumed instead.
	Differences []string
	Next        string
}

// Error describes the problem.
func (e *ResumeError) Error() string {
	if len(e.Differences) == 0 {
		return e.Msg
	}
	return e.Msg + "\n  - " + strings.Join(e.Differences, "\n  - ")
}

// NextStep returns the next step for the user.
func (e *ResumeError) NextStep() string { return e.Next }

// Unfinished returns the folder of the newest study in results with remaining runs. With retryFailed, failed
// runs also remain.
func Unfinished(results string, retryFailed bool) (string, error) {
	newest, err := newestOf(results, func(dir string) bool { return !finished(dir, retryFailed) })
	if err != nil || newest != "" {
		return newest, err
	}
	none := &ResumeError{Msg: fmt.Sprintf("there is no unfinished study in %s", results),
		Next: "give the study's folder with --resume=DIR, or the folder of all results with --output"}
	if failed, err := newestOf(results, func(dir string) bool { return !finished(dir, true) }); err != nil {
		return "", err
	} else if failed != "" {
		none.Next = "`llem run --resume=" + shell.Path(failed) +
			" --retry-failed` reruns the failed runs of the newest study with some"
	}
	return "", none
}

// Newest returns the folder of the newest study below a folder of results, or "" if there is none.
func Newest(results string) (string, error) {
	return newestOf(results, func(string) bool { return true })
}

// newestOf returns the folder of the newest study that is wanted, or "".
func newestOf(results string, wanted func(dir string) bool) (string, error) {
	found, err := filepath.Glob(filepath.Join(results, "*", store.StudyFile))
	if err != nil {
		return "", fmt.Errorf("look for studies: %w", err)
	}
	newest, at := "", int64(0)
	for _, f := range found {
		info, err := os.Stat(f)
		if err != nil || info.ModTime().UnixNano() <= at || !wanted(filepath.Dir(f)) {
			continue
		}
		newest, at = filepath.Dir(f), info.ModTime().UnixNano()
	}
	return newest, nil
}

// finished reports whether a study's summary states that no runs remain. A summary that cannot be read states
// nothing.
func finished(dir string, retryFailed bool) bool {
	s, err := result.ReadHead(dir)
	return err == nil && s.Complete && (s.Failed == 0 || !retryFailed)
}

// meaningIn returns the meaning of an experiment in a resumed study. The built-in prompts are the prompts of
// the version that started the study, which may not have known all types in a model's files.
func meaningIn(frozen *study.Study) func(study.Experiment) study.Experiment {
	edition := workload.Builtin
	if slices.ContainsFunc(frozen.Experiments, func(e study.Experiment) bool {
		return e.Workload.Dataset == workload.BuiltinFirst
	}) {
		edition = workload.BuiltinFirst
	}
	types := map[string]string{}
	return func(e study.Experiment) study.Experiment {
		e = e.Measured()
		if e.Workload.Dataset == workload.Builtin && edition != workload.Builtin {
			e.Workload.Dataset = edition
		}
		if e.DType != terms.DTypeAuto && frozen.Engine(e.Backend).GGUF {
			if _, seen := types[e.Model]; !seen {
				types[e.Model] = model.AutoDType(e.Model)
			}
			if e.DType == types[e.Model] {
				e.DType = terms.DTypeAuto
			}
		}
		return e.Measured() // the first edition ignores some seeds
	}
}

// IsStudy reports whether a folder is the folder of a study.
func IsStudy(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, store.StudyFile))
	return err == nil
}

// namedInside is how many of the studies in a folder a message names.
const namedInside = 5

// noStudy returns the error for a folder that is to be resumed and is not the folder of a study: it names the studies
// in it that can be continued.
func noStudy(dir string) *ResumeError {
	e := &ResumeError{Msg: fmt.Sprintf("%s is not the folder of a study: it has no %s", dir, store.StudyFile),
		Next: "give a folder that `llem run` created, or omit it to continue the newest unfinished study"}
	inside := store.Inside(dir)
	if len(inside) == 0 {
		return e
	}
	count := "1 study"
	if n := len(inside); n > 1 {
		count = fmt.Sprintf("%d studies", n)
	}
	holds := fmt.Sprintf("%s is not the folder of a study: it holds %s", dir, count)
	var open []string
	for _, study := range inside {
		if !finished(study, false) {
			open = append(open, study)
		}
	}
	if len(open) == 0 {
		e.Msg, e.Next = holds+", none of them unfinished", "`llem report "+shell.Path(inside[0])+
			"` prints the newest one; without --resume, a new study starts"
		return e
	}
	e.Msg, e.Next = fmt.Sprintf("%s, %d unfinished:", holds, len(open)),
		"continue the newest one: `llem run --resume="+shell.Path(open[0])+"`"
	for i, study := range open {
		if i == namedInside {
			e.Differences = append(e.Differences, fmt.Sprintf("and %d more", len(open)-i))
			break
		}
		e.Differences = append(e.Differences, study)
	}
	return e
}

// Frozen returns the study of a folder as it was started. If given is not nil, it must have the same runs;
// its limits apply.
func Frozen(dir string, given *study.Study) (*study.Study, error) {
	if !IsStudy(dir) {
		return nil, noStudy(dir)
	}
	frozen, _, err := store.ReadFrozen(dir)
	if damage, ok := errors.AsType[*store.DamageError](err); ok {
		return nil, &ResumeError{Msg: damage.Error(), Next: damage.NextStep()}
	}
	if err != nil {
		return nil, &ResumeError{Msg: err.Error(), Next: "restore the file, or start the study again without --resume"}
	}
	if given != nil {
		if d := naming.Differences(given, frozen, meaningIn(frozen)); len(d) > 0 {
			return nil, &ResumeError{Msg: "the given study differs from the study in " + dir, Differences: d,
				Next: "start it without --resume, or omit the study file to finish the study in the folder"}
		}
		// Limits determine how far a study gets, not what it measures.
		frozen.Engines = given.Engines
		x, g := &frozen.Execution, given.Execution
		x.RunTimeout, x.StudyTimeout, x.MaxFailures = g.RunTimeout, g.StudyTimeout, g.MaxFailures
	}
	return frozen, nil
}
