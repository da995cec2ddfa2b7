package store

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is a damaged file in the folder of a study.
type Problem struct {
	// File is its path relative to the folder of the study.
	File string
	// What describes the problem and continues a sentence that begins with the file.
	What string
	// Next is the next step for the user.
	Next string
}

// DamageError reports a folder whose files do not match each other or their checksums.
type DamageError struct {
	// Dir is the folder of the study.
	Dir string
	// Problems are the files, in the order in which they were found.
	Problems []Problem
}

// mostNamed is the number of problems that are listed; a damaged disk has many.
const mostNamed = 20

// Error names the files.
func (e *DamageError) Error() string {
	if len(e.Problems) == 1 {
		return fmt.Sprintf("the results in %s are damaged: %s %s", e.Dir, e.Problems[0].File, e.Problems[0].What)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the results in %s are damaged:", e.Dir)
	for i, p := range e.Problems {
		if i == mostNamed {
			fmt.Fprintf(&b, "\n  - and %d more", len(e.Problems)-mostNamed)
			break
		}
		fmt.Fprintf(&b, "\n  - %s %s", p.File, p.What)
	}
	return b.String()
}

// NextStep returns the distinct next steps, one per line, each in the order of its first file.
func (e *DamageError) NextStep() string {
	var steps, lines []string
	for _, p := range e.Problems {
		if p.Next != "" && !slices.Contains(steps, p.Next) {
			steps = append(steps, p.Next)
			lines = append(lines, p.File+": "+p.Next)
		}
	}
	if len(steps) == 1 {
		return steps[0]
	}
	return strings.Join(lines, "\n        ")
}

// damaged returns a DamageError, or nil without problems.
func damaged(dir string, problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	return &DamageError{dir, problems}
}
