package view

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// Failing are the runs that have no result for one reason.
type Failing struct {
	// First is the first of them.
	First *result.Record
	// Runs are all of them. Of runs that were not read, only what names them is set.
	Runs []*result.Record
}

// outcome is what runs that failed alike share.
type outcome struct {
	status  result.Status
	class   note.Class
	message string
}

// FailingOf returns the runs without a result by reason, in the order of their first runs. Of a large study, it reads
// the first run of each of the first most reasons; the others have no failure.
func FailingOf(s *result.StudyResult, most int) ([]Failing, error) {
	var out []Failing
	at := map[outcome]int{}
	add := func(key outcome, r *result.Record) {
		i, seen := at[key]
		if !seen {
			i = len(out)
			at[key], out = i, append(out, Failing{First: r})
		}
		out[i].Runs = append(out[i].Runs, r)
	}
	for _, r := range s.Runs {
		if r.Status != result.OK && r.Failure != nil {
			add(outcome{r.Status, r.Failure.Class, r.Failure.Message}, r)
		}
	}
	if s.Runs != nil {
		return out, nil
	}
	configs := make(map[string]int, len(s.Experiments))
	for i, e := range s.Experiments {
		configs[e.ID] = i
	}
	for _, row := range s.Rows {
		if row.Status == result.OK {
			continue
		}
		r := &result.Record{ID: row.ID, Cycle: row.Cycle, Status: row.Status}
		if i, ok := configs[row.ID]; ok {
			r.Config, r.Backend.DType = s.Experiments[i].Config, row.DType
		}
		add(outcome{row.Status, row.Class, row.Message}, r)
	}
	for i := range out[:min(len(out), most)] {
		f := &out[i]
		rec, err := result.ReadRun(s.Dir, f.First.ID, f.First.Cycle)
		if err != nil {
			return nil, err
		}
		if rec.Failure == nil {
			rec.Failure = &note.Failure{Message: string(rec.Status)}
		}
		f.First, f.Runs[0] = rec, rec
	}
	return out, nil
}

// namedFailing is how many of the runs that failed alike are named.
const namedFailing = 10

// Called names the runs, the first ones of many.
func (f Failing) Called(named Names) string {
	shown := f.Runs[:min(len(f.Runs), namedFailing)]
	names := named.InOrderOf(nil, shown)
	var labels []string
	for i := range shown {
		labels = append(labels, names.Called(i))
	}
	if n := len(f.Runs) - len(shown); n > 0 {
		labels = append(labels, fmt.Sprintf("and %d more", n))
	}
	text := strings.Join(labels, "; ")
	if n := len(f.Runs); n > 1 {
		text = fmt.Sprintf("%d runs: %s", n, text)
	}
	return text
}
