package cli

import (
	"context"
	"errors"

	"github.com/llenergymeasure/llem/cmd/llem/internal/ending"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/secret"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// errorDocument is the JSON document of a command with --json that fails before it has a result.
type errorDocument struct {
	SchemaVersion int `json:"schema_version"`
	// ExitCode is the program's exit code.
	ExitCode int `json:"exit_code"`
	// Error is the failure as a whole.
	Error struct {
		Class   note.Class `json:"class"`
		Message string     `json:"message"`
		Next    string     `json:"next,omitempty"`
	} `json:"error"`
	// Mistakes lists the mistakes in the study, the settings, the models and the data sets.
	Mistakes []mistakeView `json:"mistakes,omitempty"`
}

// mistakeView is one mistake with its place.
type mistakeView struct {
	Source string `json:"source"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	note.Note
}

func errorDocumentOf(err error, code int) errorDocument {
	d := errorDocument{SchemaVersion: result.SchemaVersion, ExitCode: code}
	d.Error.Class, d.Error.Message, d.Error.Next = fault.Class(err), err.Error(), nextOf(err)
	switch es, mistaken := errors.AsType[study.Errors](err); {
	case errors.Is(err, ending.ErrInterrupted), errors.Is(err, context.Canceled):
		d.Error.Class, d.Error.Message = codes.ClassInterrupted, "interrupted"
		command := "llem run --resume"
		if e, ok := errors.AsType[*interruptedError](err); ok {
			command = e.command()
		}
		d.Error.Next = "`" + command + "` continues with the runs that are not finished"
	case mistaken:
		d.Error.Class, d.Error.Message, d.Error.Next = codes.ClassConfig, digits.Count(len(es), "mistake"), es[0].Next
		for _, e := range es {
			d.Mistakes = append(d.Mistakes, mistakeView{e.Source, e.Line, e.Col, e.Note})
		}
	case isUsage(err):
		d.Error.Class = codes.ClassConfig
	}
	secret.Clean(&d)
	return d
}
