package result

import (
	"encoding/json"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Unequal returns the code of the warning that excludes the run from all means and comparisons, by the table
// of codes: its energy cannot be attributed, or the engine did not do the requested work. The total includes
// the energy of failed requests but not their tokens, so numbers per token or request are also affected. It
// is empty if there is no such warning.
func (r Row) Unequal() note.Code { return codes.ExcludedBy(r.Warnings) }

// Flags returns the codes of the warnings that mark every line of the run, by the table of codes, most severe
// first.
func (r Row) Flags() []note.Code { return codes.FlagsOf(r.Warnings) }

// Comparable reports whether the run may represent its configuration in means, intervals, comparisons, fronts
// and estimates: its status is ok, it did the requested work, and its energy is its own. This is the only
// definition.
func (r Row) Comparable() bool { return r.Status == OK && r.Unequal() == "" }

// brief returns the part of a record that decides whether it is comparable.
func (r *Record) brief() Row {
	return Row{Status: r.Status, Warnings: r.Warnings.Codes()}
}

// Unequal is [Row.Unequal] of the record's row.
func (r *Record) Unequal() note.Code { return r.brief().Unequal() }

// Marks are the flags of the record's row.
func (r *Record) Marks() []note.Code { return r.brief().Flags() }

// Comparable is [Row.Comparable] of the record's row.
func (r *Record) Comparable() bool { return r.brief().Comparable() }

// Exclusion counts runs with status ok that are excluded from all numbers of their configuration.
type Exclusion struct {
	// Note has the code of the runs' warning, its meaning and the next step.
	note.Note
	// Runs is the number of runs.
	Runs int `json:"runs"`
}

// UnmarshalJSON also accepts the key of earlier versions: reason for message.
func (x *Exclusion) UnmarshalJSON(text []byte) error {
	type plain Exclusion
	if err := json.Unmarshal(text, (*plain)(x)); err != nil {
		return err
	}
	return x.ReadEarlier(text)
}

// Compared returns the number of runs behind the numbers of the configuration.
func (e *ExperimentSummary) Compared() int {
	n := e.OK
	for _, x := range e.Excluded {
		n -= x.Runs
	}
	return n
}

// Stale reports whether the summary is from a version that included runs which are not comparable, or whose
// times to the first token were response times on engines with a queue: its numbers are wrong. The first version had
// the runs alone.
func (s *StudyResult) Stale() bool {
	if len(s.Runs) > 0 && len(s.Rows)+len(s.Experiments) == 0 {
		return true
	}
	bad := map[string]int{}
	for _, r := range s.Rows {
		if r.Status == OK && !r.Comparable() {
			bad[r.ID]++
		}
	}
	for i := range s.Experiments {
		if e := &s.Experiments[i]; e.OK-e.Compared() != bad[e.ID] || e.mixed() {
			return true
		}
	}
	return false
}
