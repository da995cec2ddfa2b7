package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/result"
)

// audited compares a summary with its folder.
func audited(dir string, s *result.StudyResult) (*Opened, error) {
	f, err := lookAt(dir)
	if err != nil {
		return &Opened{StudyResult: s}, err
	}
	if f.noJournal {
		f.problems = append(f.problems, noJournal(dir))
	}
	if damage, bad := errors.AsType[*DamageError](VerifyStudy(dir, true)); bad {
		f.problems = append(f.problems, damage.Problems...)
	}
	if len(f.runs) <= maxRecords {
		f.read()
	}
	if s.Workers == nil { // the summary of an earlier version
		s.Workers = workersOf(dir, f.lines)
	}
	a := audit{summary: s, rows: f.rows(), backends: map[string]string{}}
	for _, e := range s.Experiments {
		a.backends[e.ID] = e.Config.Backend
	}
	a.runs(f.lost)
	if len(f.lost) == 0 {
		a.counts()
		a.means()
	}
	a.records(f)
	if len(f.lost)+len(a.wrong) == 0 {
		a.complete(dir)
	}
	problems := f.problems
	if len(a.wrong) > 0 {
		problems = append(problems, Problem{result.SummaryFile, "does not match the runs: " + a.text(),
			"delete " + filepath.Join(dir, result.SummaryFile) + ": the report is then built from the runs"})
	}
	return &Opened{StudyResult: s, Unchecked: f.unchecked}, damaged(dir, problems)
}

// audit compares a summary with the rows of the folder.
type audit struct {
	summary *result.StudyResult
	rows    []result.Row
	// backends are the backends of the configurations.
	backends map[string]string
	wrong    []string
	// own are the metrics of the configurations computed from their runs, and good the runs.
	own  []result.Spreads
	good [][]*result.Row
}

func (a *audit) add(format string, args ...any) {
	a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
}

func (a *audit) text() string {
	more := ""
	if len(a.wrong) > mostNamed {
		more = fmt.Sprintf(" and %d more", len(a.wrong)-mostNamed)
		a.wrong = a.wrong[:mostNamed]
	}
	return strings.Join(a.wrong, ", ") + more
}

// runs compares the runs in brief, except lost ones. A summary of an earlier version only has records.
func (a *audit) runs(lost map[RunKey]bool) {
	has := map[RunKey]result.Row{}
	for _, r := range a.summary.Rows {
		has[RunKey{r.ID, r.Cycle}] = r
	}
	if len(a.summary.Rows) == 0 {
		for _, r := range a.summary.Runs {
			has[RunKey{r.ID, r.Cycle}] = RowOf(r)
		}
	}
	for _, own := range a.rows {
		key := RunKey{own.ID, own.Cycle}
		r, ok := has[key]
		delete(has, key)
		switch {
		case !ok:
			a.add("it lacks %s", runName(key))
		case r.Status != own.Status || !r.Values.Within(own.Values) || r.Class != own.Class ||
			r.Provenance.Of(a.backends[own.ID]) != own.Provenance.Of(a.backends[own.ID]):
			a.add("%s differs", runName(key))
		}
	}
	more := map[RunKey]bool{}
	for key := range has {
		if !lost[key] {
			more[key] = true
		}
	}
	for _, key := range sortedKeys(more) {
		a.add("%s is not among the runs", runName(key))
	}
}

func runName(key RunKey) string { return filepath.Base(result.RunPath(key.ID, key.Cycle)) }

// counts compares the numbers of runs of each kind.
func (a *audit) counts() {
	want := summary{&result.StudyResult{Rows: a.rows}}
	want.count()
	s := a.summary
	for _, c := range []struct {
		name      string
		has, want int
	}{{"ok", s.OK, want.OK}, {"failed", s.Failed, want.Failed}, {"left_out", s.LeftOut, want.LeftOut},
		{"interrupted", s.Interrupted, want.Interrupted}} {
		if c.has != c.want {
			a.add("%s is %d and should be %d", c.name, c.has, c.want)
		}
	}
	if s.Planned < len(a.rows) {
		a.add("planned is %d, but there are %d runs", s.Planned, len(a.rows))
	}
}

// means compares the configurations: their numbers of runs, the provenance of the energy, and the metrics.
func (a *audit) means() {
	rows := map[string][]result.Row{}
	for _, r := range a.rows {
		rows[r.ID] = append(rows[r.ID], r)
	}
	for i := range a.summary.Experiments {
		e := &a.summary.Experiments[i]
		own := rows[e.ID]
		delete(rows, e.ID)
		a.runsOf(e, own)
		if e.Config.ID() != e.ID {
			a.add("the configuration of %s differs", e.ID)
		}
		var good []*result.Row
		for i := range own {
			if own[i].Comparable() {
				good = append(good, &own[i])
			}
		}
		spreads, err := result.SpreadsOf(valuesOf(good))
		if err != nil {
			a.add("the metrics of %s: %v", e.ID, err)
			continue
		}
		a.own, a.good = append(a.own, spreads), append(a.good, good)
		for _, m := range result.Metrics() {
			has, ok := e.Metrics.Get(m.Name)
			if !ok || has.N == 0 {
				continue // rows do not have percentiles over the requests of all runs
			}
			if want, there := spreads.Get(m.Name); !there || !sameSpread(has, want) {
				a.add("%s of %s differs", m.Name, e.ID)
				break // others probably differ too
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		a.add("it lacks the configuration %s", id)
	}
	a.standings()
}

// complete adds missing metrics to a summary: a large study's summary is written without some, and earlier
// versions had fewer. Pooled percentiles are kept.
func (a *audit) complete(dir string) {
	for i := range a.summary.Experiments {
		e := experiment{&a.summary.Experiments[i]}
		was := e.Metrics
		e.Metrics = a.own[i]
		if n := len(a.good[i]); n < 2 || !a.keep(e, was) && len(a.rows) <= maxRecords {
			e.pool(dir, a.good[i])
		}
	}
	if len(a.rows) > maxRecords {
		return
	}
	own := map[RunKey]result.Values{}
	for _, r := range a.rows {
		own[RunKey{r.ID, r.Cycle}] = r.Values
	}
	for i := range a.summary.Rows {
		r := &a.summary.Rows[i]
		r.Values = own[RunKey{r.ID, r.Cycle}]
	}
}

// keep copies pooled percentiles, and reports whether there are any.
func (a *audit) keep(e experiment, was result.Spreads) (found bool) {
	for _, m := range result.Metrics() {
		if s, _ := was.Get(m.Name); s.Pooled != nil {
			e.Metrics.Pool(m.Name, s.Pooled)
			found = true
		}
	}
	return found
}

// runsOf compares the runs of a configuration. An energy is called measured, modelled or simulated only if a
// run's is; without energy, versions use different words.
func (a *audit) runsOf(e *result.ExperimentSummary, own []result.Row) {
	ok, known := 0, false
	for _, r := range own {
		if r.Status == result.OK {
			ok++
		}
		known = known || r.Provenance.Of(e.Config.Backend) == e.Provenance
	}
	if e.OK != ok {
		a.add("ok of %s is %d and should be %d", e.ID, e.OK, ok)
	}
	switch e.Provenance {
	case result.Measured, result.Modelled, result.Simulated:
		if !known {
			a.add("no run of %s is %s", e.ID, e.Provenance)
		}
	}
}

// standings compares the standings of the configurations.
func (a *audit) standings() {
	want, err := a.summary.Pareto()
	if err != nil || len(a.wrong) > 0 { // different numbers have different standings
		return
	}
	for i, e := range a.summary.Experiments {
		if e.Standing != nil && (e.Standing.Status != want[i].Status || e.Standing.By != want[i].By) {
			a.add("the standing of %s differs", e.ID)
		}
	}
}

// sameSpread compares spreads that two versions may have rounded differently.
func sameSpread(a, b result.Spread) bool {
	same := a.N == b.N && near(a.Mean, b.Mean) && near(a.Median, b.Median) && near(a.Min, b.Min) &&
		near(a.Max, b.Max) &&
		(a.SD == nil) == (b.SD == nil) && (a.CI95 == nil) == (b.CI95 == nil)
	if same && a.SD != nil {
		same = near(*a.SD, *b.SD)
	}
	if same && a.CI95 != nil && a.Method == b.Method { // versions choose the method differently
		same = near(a.CI95[0], b.CI95[0]) && near(a.CI95[1], b.CI95[1])
	}
	return same
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b)) }

// records compares the records in the summary with the runs.
func (a *audit) records(f *found) {
	own := make(map[RunKey]*result.Record, len(f.runs))
	for _, r := range f.runs {
		own[RunKey{r.ID, r.Cycle}] = r.rec
	}
	for _, r := range a.summary.Runs {
		key := RunKey{r.ID, r.Cycle}
		if rec := own[key]; rec != nil && !sameJSON(r, rec) && !slices.Contains(a.wrong, runName(key)+" differs") {
			a.add("%s differs", runName(key))
		}
	}
}

func sameJSON(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}
