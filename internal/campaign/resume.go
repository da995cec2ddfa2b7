package campaign

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/studies"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/study"
)

// ResumeError reports why a study cannot be resumed.
type ResumeError struct {
	Msg string
	// Differences between the given study and the study in the folder.
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

// Frozen returns the study of a folder as it was started. If given is not nil, it must have the same runs;
// its limits apply.
func Frozen(dir string, given *study.Study) (*study.Study, error) {
	if !IsStudy(dir) {
		return nil, studies.NotOne(dir)
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
