package result

import (
	"encoding/json"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Unequal is the code of the warning that keeps the run out of every mean and comparison, by the
// table of codes: its energy cannot be attributed, or the engine did other work than it was asked
// for. The energy of failed requests is in the total and their tokens are not, so that figures per
// token or request are of other work, too. It is empty if there is none.
func (r Row) Unequal() note.Code { return codes.ExcludedBy(r.Warnings) }

// Flags are the codes of the warnings that mark every line of the run, by the table of codes, the
// heaviest first.
func (r Row) Flags() []note.Code { return codes.FlagsOf(r.Warnings) }

// Comparable says that the run may stand for its configuration in means, intervals,
// comparisons, fronts and estimates: it was ok, it did the work that it was asked for, and its
// energy is its own. This is the one definition.
func (r Row) Comparable() bool { return r.Status == OK && r.Unequal() == "" }

// brief is as much of a record as tells whether it is comparable.
func (r *Record) brief() Row {
	return Row{Status: r.Status, Warnings: r.Warnings.Codes()}
}

// Unequal is that of the record's row.
func (r *Record) Unequal() note.Code { return r.brief().Unequal() }

// Marks are the flags of the record's row.
func (r *Record) Marks() []note.Code { return r.brief().Flags() }

// Comparable is that of the record's row.
func (r *Record) Comparable() bool { return r.brief().Comparable() }

// Exclusion counts runs that were ok and are part of no figure of their configuration.
type Exclusion struct {
	// Note has the code of the runs' warning, what it means and what to do.
	note.Note
	// Runs is how many there are.
	Runs int `json:"runs"`
}

// UnmarshalJSON also reads what earlier versions wrote: reason for message.
func (x *Exclusion) UnmarshalJSON(text []byte) error {
	type plain Exclusion
	if err := json.Unmarshal(text, (*plain)(x)); err != nil {
		return err
	}
	return x.ReadEarlier(text)
}

// Compared is the number of runs behind the figures of the configuration.
func (e *ExperimentSummary) Compared() int {
	n := e.OK
	for _, x := range e.Excluded {
		n -= x.Runs
	}
	return n
}

// Stale says that the summary was made by a version that let runs into its figures which
// are not comparable, or whose times to the first token were response times on engines that
// queue requests: those figures are wrong.
func (s *StudyResult) Stale() bool {
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
