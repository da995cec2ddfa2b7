package workload

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// MaxProblems is how many bad lines a [DatasetError] lists; the rest are counted.
const MaxProblems = 20

// Problem is one bad line of a file.
type Problem struct {
	// Line counts from 1.
	Line int
	note.Note
}

// DatasetError is a user mistake: a data set that cannot be used. Nothing was started. Its message describes the
// whole; it is empty if Problems do.
type DatasetError struct {
	// Source is the data set as the user wrote it.
	Source string
	note.Failure
	// Problems are the first MaxProblems bad lines, in file order.
	Problems []Problem
	// More is the number of further bad lines.
	More int
}

// wrong returns the error of a data set as a whole.
func wrong(source string, cause error, next, message string) *DatasetError {
	return &DatasetError{Source: source,
		Failure: note.Failure{Class: codes.ClassConfig, Message: message, Next: next, Err: cause}}
}

// Error returns one line per problem, each as file:line: message, then the next step.
func (e *DatasetError) Error() string {
	var b strings.Builder
	if len(e.Problems) == 0 {
		if e.Source != "" {
			fmt.Fprintf(&b, "dataset %s: ", e.Source)
		}
		b.WriteString(e.Message)
		if e.Next != "" {
			fmt.Fprintf(&b, ": %s", e.Next)
		}
		return b.String()
	}
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "%s:%d: %s\n", e.Source, p.Line, p.Message)
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "%s: %d more bad lines\n", e.Source, e.More)
	}
	b.WriteString(e.Next)
	return b.String()
}

func (e *DatasetError) add(line int, message string) {
	if len(e.Problems) == MaxProblems {
		e.More++
		return
	}
	e.Problems = append(e.Problems, Problem{line, note.Note{Code: codes.Mistake, Message: message}})
}
