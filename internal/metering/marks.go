package metering

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/backend"
)

// Marks are what a program marks: the limits of a window and steps in it, in nanoseconds of CLOCK_MONOTONIC.
type Marks struct {
	StartNS int64  `json:"start_ns"`
	EndNS   int64  `json:"end_ns"`
	Steps   []Step `json:"steps,omitempty"`
}

// Step is a marked step: a stretch of one kind of work.
type Step struct {
	// Name is its phase: prefill, decode, or other.
	Name    string `json:"name"`
	StartNS int64  `json:"start_ns"`
	EndNS   int64  `json:"end_ns"`
	// Tokens is how many tokens it computed.
	Tokens int `json:"tokens"`
}

// Phases of a step.
const (
	prefill = "prefill"
	decode  = "decode"
	other   = "other"
)

// MarkError is a mark that cannot be right.
type MarkError struct{ message, next string }

// Error describes the mark.
func (e *MarkError) Error() string { return e.message }

// NextStep returns how to mark.
func (e *MarkError) NextStep() string { return e.next }

// check returns an error for marks that do not lie within a window that was open from begun to now.
func (m Marks) check(begun, now int64) error {
	const clock = "marks are nanoseconds of CLOCK_MONOTONIC, as time.monotonic_ns() returns them"
	switch {
	case m.EndNS <= m.StartNS:
		return &MarkError{fmt.Sprintf("the window ends %.3g ms before it begins", float64(m.StartNS-m.EndNS)/1e6),
			clock}
	case m.StartNS < begun || m.EndNS > now:
		return &MarkError{"the marks of the window lie outside the time in which it was open",
			clock + "; a program in a time namespace of its own has another clock"}
	}
	sorted := slices.Clone(m.Steps)
	slices.SortStableFunc(sorted, func(a, b Step) int { return cmp.Compare(a.StartNS, b.StartNS) })
	at := m.StartNS
	for i, s := range sorted {
		phases := []string{prefill, decode, other}
		switch {
		case !slices.Contains(phases, s.Name):
			return &MarkError{fmt.Sprintf("step %d is named %q", i+1, s.Name),
				"a step is one of " + strings.Join(phases, ", ") + "; measure other parts as windows of their own"}
		case s.Tokens < 0 || s.Tokens == 0 && s.Name != other:
			return &MarkError{fmt.Sprintf("step %d (%s) has %d tokens", i+1, s.Name, s.Tokens),
				"give the number of tokens that it computed"}
		case s.EndNS < s.StartNS:
			return &MarkError{fmt.Sprintf("step %d (%s) ends before it begins", i+1, s.Name), clock}
		case s.StartNS < m.StartNS || s.EndNS > m.EndNS:
			return &MarkError{fmt.Sprintf("step %d (%s) lies outside its window", i+1, s.Name), clock}
		case s.StartNS < at:
			return &MarkError{fmt.Sprintf("step %d (%s) overlaps the step before it by %.3g ms", i+1, s.Name,
				float64(at-s.StartNS)/1e6), "mark steps one after another: concurrent work cannot be separated"}
		}
		at = s.EndNS
	}
	return nil
}

// steps returns the steps as an engine would report them.
func (m Marks) steps() []backend.Step {
	var out []backend.Step
	for _, s := range m.Steps {
		step := backend.Step{StartNS: s.StartNS, EndNS: s.EndNS, Sequences: 1}
		switch s.Name {
		case prefill:
			step.PrefillTokens = s.Tokens
		case decode:
			step.DecodeTokens = s.Tokens
		default:
			continue
		}
		out = append(out, step)
	}
	slices.SortStableFunc(out, func(a, b backend.Step) int { return cmp.Compare(a.StartNS, b.StartNS) })
	return out
}
