package plan

import (
	"context"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// missingEngine is an engine that cannot run here.
type missingEngine struct {
	backend string
	// failure is why; nil if this build does not know the engine.
	failure  *note.Failure
	concerns func(study.Experiment) bool
}

// text is why the engine cannot run.
func (m missingEngine) text() string {
	if m.failure == nil {
		return "this build cannot run the backend " + m.backend + " yet"
	}
	return m.backend + ": " + m.failure.Error()
}

// missingEngines looks once for each engine of a study, on this machine or in an image.
func missingEngines(ctx context.Context, s *study.Study, backends map[string]backend.Backend) (
	[]missingEngine, error) {
	var out []missingEngine
	seen := map[place]bool{}
	for _, e := range s.Experiments {
		at := placeOf(s, e)
		if seen[at] {
			continue
		}
		seen[at] = true
		m := missingEngine{backend: e.Backend, concerns: func(e study.Experiment) bool { return placeOf(s, e) == at }}
		if b, known := backends[e.Backend]; known {
			err := lookFor(ctx, b, s.Engine(e.Backend), e)
			switch {
			case err == nil:
				continue
			case ctx.Err() != nil:
				return nil, context.Cause(ctx)
			}
			m.failure = fault.As(err)
		}
		out = append(out, m)
	}
	return out, nil
}

// Absent returns a function that returns why an experiment cannot run on this machine because its engine is not
// installed; nil for all others. If no experiment can run, or all have to, the error has the engines, too.
func Absent(ctx context.Context, s *study.Study, backends map[string]backend.Backend, all bool) (
	func(study.Experiment) *note.Failure, error) {
	found, err := missingEngines(ctx, s, backends)
	if err != nil {
		return nil, err
	}
	absent := func(e study.Experiment) *note.Failure {
		for _, m := range found {
			if m.failure != nil && m.concerns(e) && notInstalled(m.failure.Class) {
				return m.failure
			}
		}
		return nil
	}
	can := false
	for _, e := range s.Experiments {
		can = can || absent(e) == nil
	}
	if can && !all {
		return absent, nil
	}
	var errs study.Errors
	for _, m := range found {
		if m.failure != nil && notInstalled(m.failure.Class) {
			errs = append(errs, &study.Error{Source: m.backend,
				Note: note.Note{Code: codes.EngineMissing, Message: m.failure.Error(), Next: m.failure.Next}})
		}
	}
	if len(errs) == 0 {
		return absent, nil
	}
	return absent, errs
}

// notInstalled reports whether a failure to find an engine is certain before a run is started.
func notInstalled(class note.Class) bool {
	return class == codes.ClassNotInstalled || class == codes.ClassImage
}
