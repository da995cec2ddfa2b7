package result

import (
	"fmt"
	"slices"
	"strings"
)

// Codes of the warnings that say that the engine did other work than it was asked for.
// The energy of failed requests is in the total and their tokens are not, so that figures
// per token or request are of other work, too.
const (
	WarnUnequalWork    = "unequal_work"
	WarnRequestsFailed = "requests_failed"
)

// unequal are those codes, in words, with what to do.
var unequal = []struct{ code, why, next string }{
	{WarnUnequalWork, "the engine did not compute the tokens that it was given and asked for",
		"look for a prefix cache, prompts that are cut to the model's context, or an output that ends early; mend " +
			"it and run the configuration again in a new study"},
	{WarnRequestsFailed, "requests failed, and the energy that they took is in the total",
		"look for their reasons in requests.parquet (failure) and engine.log of the run; mend it and run the " +
			"configuration again in a new study"},
}

// Unequal is the code of the warning that keeps the run out of every mean and comparison;
// empty if there is none.
func (r Row) Unequal() string {
	for _, u := range unequal {
		if slices.Contains(r.Warnings, u.code) {
			return u.code
		}
	}
	return ""
}

// Comparable says that the run may stand for its configuration in means, intervals,
// comparisons, fronts and estimates: it was ok and did the work that it was asked for.
// This is the one definition.
func (r Row) Comparable() bool { return r.Status == OK && r.Unequal() == "" }

// brief is as much of a record as tells whether it is comparable.
func (r *Record) brief() Row {
	out := Row{Status: r.Status}
	for _, w := range r.Warnings {
		out.Warnings = append(out.Warnings, w.Code)
	}
	return out
}

// Unequal is that of the record's row.
func (r *Record) Unequal() string { return r.brief().Unequal() }

// Comparable is that of the record's row.
func (r *Record) Comparable() bool { return r.brief().Comparable() }

// Exclusion counts runs that were ok and are part of no figure of their configuration.
type Exclusion struct {
	// Code is that of the runs' warning, Reason and Next say what it means and what to do.
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Next   string `json:"next"`
	Runs   int    `json:"runs"`
}

// Exclusions count the runs that are not comparable, by the reason.
func Exclusions(runs []Row) []Exclusion {
	var out []Exclusion
	for _, u := range unequal {
		n := 0
		for _, r := range runs {
			if r.Status == OK && r.Unequal() == u.code {
				n++
			}
		}
		if n > 0 {
			out = append(out, Exclusion{u.code, u.why, u.next, n})
		}
	}
	return out
}

// Compared is the number of runs behind the figures of the configuration.
func (e *ExperimentSummary) Compared() int {
	n := e.OK
	for _, x := range e.Excluded {
		n -= x.Runs
	}
	return n
}

// noMetrics says why a configuration has no figures.
func (e *ExperimentSummary) noMetrics() string {
	if len(e.Excluded) == 0 {
		return "no run was ok"
	}
	var codes []string
	for _, x := range e.Excluded {
		codes = append(codes, x.Code)
	}
	return fmt.Sprintf("none of its %d ok runs did the work that it was asked for (%s)", e.OK,
		strings.Join(codes, ", "))
}

// Stale says that the summary was made by a version that let runs into its figures which
// are not comparable: those figures are wrong.
func (s *StudyResult) Stale() bool {
	bad := map[string]int{}
	for _, r := range s.Rows {
		if r.Status == OK && !r.Comparable() {
			bad[r.ID]++
		}
	}
	for i := range s.Experiments {
		if e := &s.Experiments[i]; e.OK-e.Compared() != bad[e.ID] {
			return true
		}
	}
	return false
}
