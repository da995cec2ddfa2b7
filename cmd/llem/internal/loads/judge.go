package loads

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/atload"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/latencies"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/study"
)

// SLOError reports a text that is not an objective.
type SLOError struct{ msg string }

// Error returns what is wrong.
func (e *SLOError) Error() string { return e.msg }

// NextStep returns how to write an objective.
func (e *SLOError) NextStep() string {
	return "write limits and a fraction, such as --slo ttft=500ms,tpot=50ms,attainment=0.95 or as in a study, " +
		"ttft_p95_ms=500; it takes runs with workload.load or workload.slo"
}

// IsUsage marks a mistake of the command line.
func (e *SLOError) IsUsage() {}

// NoRequestsError reports a run without stored requests, which another objective cannot judge.
type NoRequestsError struct{ run string }

// Error names the run.
func (e *NoRequestsError) Error() string {
	return "--slo: the folder has no requests.parquet of the run " + e.run + ", and another objective than the " +
		"run's own " +
		"is judged from its requests"
}

// NextStep returns where the requests may be.
func (e *NoRequestsError) NextStep() string {
	return "take the complete folder, as the machine that measured it has it, or leave out --slo: the study's own " +
		"objective needs no requests"
}

// inMS ends the keys of a study's limits, in milliseconds; longestMS is a year.
const inMS, longestMS = "_p95_ms", 365 * 24 * 3600e3

// ParseSLO reads an objective such as "ttft=500ms,tpot=50ms,e2e=10s,attainment=95%", or with the keys of a study, such
// as "ttft_p95_ms=500".
func ParseSLO(text string) (study.SLO, error) {
	var slo study.SLO
	limits := map[string]*float64{"ttft": &slo.TTFTMS, "tpot": &slo.TPOTMS, "e2e": &slo.E2EMS}
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		limit := limits[strings.TrimSuffix(name, inMS)]
		switch {
		case !ok:
			return slo, &SLOError{fmt.Sprintf("--slo: %q has no =", part)}
		case name == "attainment":
			if slo.Attainment != 0 {
				return slo, &SLOError{"--slo: attainment is given twice"}
			}
			v, err := strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
			if strings.HasSuffix(value, "%") {
				v /= 100
			}
			if err != nil || !(v > 0 && v <= 1) {
				return slo, &SLOError{
					fmt.Sprintf("--slo: the attainment %q is not a fraction above 0 and up to 1", value)}
			}
			slo.Attainment = v
		case limit == nil:
			return slo, &SLOError{fmt.Sprintf("--slo: there is no limit %q: use ttft, tpot, e2e or attainment", name)}
		case *limit != 0:
			return slo, &SLOError{fmt.Sprintf("--slo: %s is given twice", name)}
		case strings.HasSuffix(name, inMS):
			v, err := strconv.ParseFloat(value, 64)
			if err != nil || !(v > 0 && v <= longestMS) {
				return slo, &SLOError{fmt.Sprintf("--slo: %s is %q, not a number of milliseconds above 0", name, value)}
			}
			*limit = v
		default:
			d, err := time.ParseDuration(value)
			if err != nil || d <= 0 {
				return slo, &SLOError{fmt.Sprintf("--slo: %s is %q, not a time above 0 such as 500ms", name, value)}
			}
			*limit = float64(d) / float64(time.Millisecond)
		}
	}
	return slo, nil
}

// Judge replaces what the objective decides in the records and means of a study: attainment, goodput, and energy
// per good token. It reads the requests that each run stored.
func Judge(s *result.StudyResult, slo study.SLO) error {
	of := map[string][]result.Values{}
	all, found := []*result.Record(nil), false
	for r, err := range s.Records() {
		if err != nil {
			return err
		}
		if r.Load == nil || r.Status != result.OK {
			all = append(all, r)
			continue
		}
		found = true
		judged, err := JudgeRun(runDir(s, r), r, slo)
		if err != nil {
			return err
		}
		all = append(all, judged)
		if judged.Comparable() {
			of[r.ID] = append(of[r.ID], result.ValuesOf(judged))
		}
	}
	if !found {
		return &SLOError{"--slo: no run of the study has a load"}
	}
	s.Runs = all
	judged := map[string]*result.Record{}
	for _, r := range all {
		judged[result.RunPath(r.ID, r.Cycle)] = r
	}
	for i := range s.Rows { // other configurations may tell how machines differ
		if r := judged[result.RunPath(s.Rows[i].ID, s.Rows[i].Cycle)]; r != nil && r.Load != nil {
			s.Rows[i].Values = result.ValuesOf(r)
		}
	}
	for i := range s.Experiments {
		e := &s.Experiments[i]
		e.Config.Workload.SLO = slo
		if len(of[e.ID]) == 0 {
			continue
		}
		fresh, err := result.SpreadsOf(of[e.ID])
		if err != nil {
			return err
		}
		for _, m := range result.Metrics() {
			if old, ok := e.Metrics.Get(m.Name); ok && old.Pooled != nil {
				fresh.Pool(m.Name, old.Pooled)
			}
		}
		e.Metrics = fresh
	}
	return nil
}

// runDir is the folder of a run.
func runDir(s *result.StudyResult, r *result.Record) string {
	return filepath.Join(s.Dir, result.RunsDir, fmt.Sprintf("%s-c%d", r.ID, r.Cycle))
}

// JudgeRun returns a record as another objective has it, from the requests stored in its folder.
func JudgeRun(dir string, r *result.Record, slo study.SLO) (*result.Record, error) {
	if r.Load == nil || r.Window == nil {
		return nil, &SLOError{"--slo: the run has no load"}
	}
	rows, err := series.ReadFile[series.Request](filepath.Join(dir, r.Files["requests"]))
	missing := r.Files["requests"] == "" || errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && slo.Canonical() == r.Config.Workload.SLO.Canonical():
		return r, nil // as the run itself was judged
	case missing:
		return nil, &NoRequestsError{filepath.Base(dir)}
	case err != nil:
		return nil, fmt.Errorf("judging %s by another objective: %w", filepath.Base(dir), err)
	}
	rows = series.Own(rows)
	requests := make([]backend.Request, len(rows))
	for i, q := range rows {
		requests[i] = latencies.Unpack(q)
	}
	return JudgeRequests(requests, r, slo), nil
}

// JudgeRequests returns a record as another objective has it, from its requests: as the run itself would have been
// judged.
func JudgeRequests(requests []backend.Request, r *result.Record, slo study.SLO) *result.Record {
	out, l := *r, *r.Load
	w := attribute.Window{Start: r.Window.StartMonoNS, End: r.Window.EndMonoNS}
	run := atload.Run{Kind: l.Kind, Requests: requests, Start: l.StartMonoNS, End: l.EndMonoNS,
		Horizon: l.HorizonMonoNS, SLO: slo}
	run.Judge(&l, w)
	l.PerGoodTokenJ, l.WastedJ = nil, nil
	if e := r.Energy.TotalJ; e != nil && r.Unequal() == "" {
		atload.Energies(&l, e)
	}
	out.Load, out.Config.Workload.SLO = &l, slo
	return &out
}
