package loads

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/backend"
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
	return "write limits and a fraction, such as --slo ttft=500ms,tpot=50ms,attainment=0.95; it takes runs with " +
		"workload.load or workload.slo"
}

// IsUsage marks a mistake of the command line.
func (e *SLOError) IsUsage() {}

// ParseSLO reads an objective such as "ttft=500ms,tpot=50ms,e2e=10s,attainment=95%".
func ParseSLO(text string) (study.SLO, error) {
	var slo study.SLO
	limits := map[string]*float64{"ttft": &slo.TTFTMS, "tpot": &slo.TPOTMS, "e2e": &slo.E2EMS}
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		limit := limits[name]
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
// per good token. It reads the requests that each run stored. A run without them keeps its load without an
// attainment, with the reason.
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
	if r.Files["requests"] == "" {
		err = errors.New("the run stored no requests")
	}
	if err != nil {
		return nil, fmt.Errorf("judging %s by another objective: %w", filepath.Base(dir), err)
	}
	requests := make([]backend.Request, len(rows))
	for i, q := range rows {
		requests[i] = latencies.Unpack(q)
	}
	return JudgeRequests(requests, r, slo), nil
}

// JudgeRequests returns a record as another objective has it, from its requests.
func JudgeRequests(requests []backend.Request, r *result.Record, slo study.SLO) *result.Record {
	out, l := *r, *r.Load
	from, to := r.Window.StartMonoNS, r.Window.EndMonoNS
	c := count(requests, slo, from, to)
	l.Good, l.Scheduled = c.good, c.scheduled
	l.Attainment = proportion(c.good, c.scheduled, l.EffectiveN)
	l.GoodputRPS = float64(c.good) / (float64(to-from) / 1e9)
	l.GoodTokens, l.WastedTokens = c.goodTokens, c.wastedTokens
	l.PerGoodTokenJ, l.WastedJ = nil, nil
	if e := r.Energy.TotalJ; e != nil && r.Unequal() == "" {
		if c.goodTokens > 0 {
			l.PerGoodTokenJ = scaled(e, 1/float64(c.goodTokens))
		} else {
			l.EnergyReason = "no output token belongs to a good request"
		}
		if all := c.goodTokens + c.wastedTokens; all > 0 {
			l.WastedJ = scaled(e, float64(c.wastedTokens)/float64(all))
		}
	}
	l.SLOMet = verdict(l.Attainment, cmp.Or(slo.Attainment, DefaultAttainment))
	out.Load, out.Config.Workload.SLO = &l, slo
	return &out
}

// counts are the requests and tokens of a window by an objective.
type counts struct {
	scheduled, good, goodTokens, wastedTokens int64
}

// count judges requests: a request belongs to the window in which it was scheduled, a token to the one in which it
// was produced.
func count(requests []backend.Request, slo study.SLO, from, to int64) (c counts) {
	for _, q := range requests {
		good := Good(q, slo)
		if q.ArrivedNS >= from && q.ArrivedNS < to {
			c.scheduled++
			if good {
				c.good++
			}
		}
		for _, at := range q.TokenNS {
			switch {
			case at < from || at >= to:
			case good:
				c.goodTokens++
			default:
				c.wastedTokens++
			}
		}
	}
	return c
}

// Good reports whether a request was completed within the limits of an objective, counted from its scheduled arrival.
func Good(q backend.Request, slo study.SLO) bool {
	within := func(ns, limitMS float64) bool { return limitMS == 0 || ns/1e6 <= limitMS }
	if !q.OK || !within(float64(q.FirstTokenNS-q.ArrivedNS), slo.TTFTMS) ||
		!within(float64(q.EndNS-q.ArrivedNS), slo.E2EMS) {
		return false
	}
	return q.OutputTokens < 2 ||
		within(float64(q.EndNS-q.FirstTokenNS)/float64(q.OutputTokens-1), slo.TPOTMS)
}

// verdict compares an attainment with the required fraction.
func verdict(a *result.Estimate, required float64) string {
	switch {
	case a == nil:
		return Unresolved
	case a.CI95[0] >= required:
		return Met
	case a.CI95[1] < required:
		return NotMet
	}
	return Unresolved
}

// z95 is the normal quantile of a 95 % interval.
const z95 = 1.959963984540054

// proportion is a share with Wilson's interval, for the number of independent requests that they are worth.
func proportion(k, n int64, effective *float64) *result.Estimate {
	if n == 0 {
		return nil
	}
	m, p := float64(n), float64(k)/float64(n)
	if effective != nil && *effective >= 1 {
		m = min(m, *effective)
	}
	centre := (p + z95*z95/(2*m)) / (1 + z95*z95/m)
	half := z95 / (1 + z95*z95/m) * math.Sqrt(p*(1-p)/m+z95*z95/(4*m*m))
	return &result.Estimate{Value: p, CI95: [2]float64{max(0, min(p, centre-half)), min(1, max(p, centre+half))}}
}

// scaled is a quantity times a factor.
func scaled(q *result.Quantity, factor float64) *result.Quantity {
	out := *q
	out.Value *= factor
	out.CI95[0], out.CI95[1] = out.CI95[0]*factor, out.CI95[1]*factor
	out.Gain95 *= factor
	out.Budget = nil
	return &out
}
