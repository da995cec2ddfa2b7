package workload

import (
	"fmt"
	"strings"
)

// MaxProblems is how many bad lines a [DatasetError] lists; the rest are
// counted.
const MaxProblems = 20

// Problem is one bad line of a file. Lines count from 1.
type Problem struct {
	Line    int
	Message string
}

// DatasetError is a mistake in what the user asked for: a data set that cannot
// be used as it is. Nothing was started.
type DatasetError struct {
	Source   string    // as the user wrote it
	Reason   string    // what is wrong with the whole; empty where Problems says it
	Problems []Problem // the first MaxProblems bad lines, in file order
	More     int       // bad lines beyond those
	Hint     string    // what to do next
	Err      error     // the cause, where there is one
}

// Error gives one line per problem, each as file:line: message, then the hint.
func (e *DatasetError) Error() string {
	var b strings.Builder
	if len(e.Problems) == 0 {
		if e.Source != "" {
			fmt.Fprintf(&b, "dataset %s: ", e.Source)
		}
		b.WriteString(e.Reason)
		if e.Hint != "" {
			fmt.Fprintf(&b, ": %s", e.Hint)
		}
		return b.String()
	}
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "%s:%d: %s\n", e.Source, p.Line, p.Message)
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "%s: %d more bad lines\n", e.Source, e.More)
	}
	b.WriteString(e.Hint)
	return b.String()
}

// Unwrap gives the cause, e.g. fs.ErrNotExist.
func (e *DatasetError) Unwrap() error { return e.Err }

func (e *DatasetError) add(line int, message string) {
	if len(e.Problems) == MaxProblems {
		e.More++
		return
	}
	e.Problems = append(e.Problems, Problem{Line: line, Message: message})
}
