package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/latencies"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/result"
)

// mostPooled bounds the number of values of one kind in memory: 32 MB. Each run of a larger number has its
// own percentiles, which differ little.
const mostPooled = 4_000_000

// pooled are the percentiles over the requests of all runs of a configuration.
var pooled = []float64{50, 90, 95, 99}

const requestsFile = "requests.parquet"

// pool computes the percentiles of a configuration over the requests of its runs, from their
// requests.parquet. The mean of the runs' percentiles is not a percentile.
func (e experiment) pool(dir string, runs []*result.Row) {
	if len(runs) < 2 {
		return
	}
	all, lost := map[string]stats.Clusters{}, 0
	counts := map[string]int{}
	for _, r := range runs {
		values, err := latenciesOf(dir, r)
		if err != nil {
			lost++
			continue
		}
		for key, v := range values {
			if counts[key] += len(v); counts[key] > mostPooled {
				all[key] = nil
				continue
			}
			slices.Sort(v)
			all[key] = append(all[key], v)
		}
	}
	missing := ""
	if lost > 0 {
		missing = fmt.Sprintf("%s of %d of %d runs cannot be read", requestsFile, lost, len(runs))
	}
	if lost == len(runs) {
		e.notPooled(missing)
		return
	}
	for key, c := range all {
		name := "latency." + key + ".p"
		if counts[key] > mostPooled {
			for _, p := range pooled {
				e.Metrics.Pool(fmt.Sprint(name, p), &result.Pooled{Runs: len(runs) - lost, Values: counts[key],
					Reason: fmt.Sprintf("more than %d values: the mean of the runs' percentiles is used instead",
						mostPooled)})
			}
			continue
		}
		for i, q := range c.Percentiles(stats.DefaultLevel, pooled...) {
			e.Metrics.Pool(fmt.Sprint(name, pooled[i]), pooledOf(q, pooled[i], len(c), counts[key], missing))
		}
	}
}

// notPooled marks every percentile as the mean of the runs' percentiles.
func (e experiment) notPooled(why string) {
	none := &result.Pooled{Reason: why}
	for _, m := range result.Metrics() {
		if _, ok := e.Metrics.Get(m.Name); ok && strings.HasPrefix(m.Name, "latency.") && isPercentile(m.Name) {
			e.Metrics.Pool(m.Name, none)
		}
	}
}

func isPercentile(name string) bool {
	return slices.ContainsFunc(pooled, func(p float64) bool { return strings.HasSuffix(name, fmt.Sprint(".p", p)) })
}

// pooledOf returns a percentile of n values of some runs; only the median is given for any number of values.
func pooledOf(q stats.Estimate, p float64, runs, n int, missing string) *result.Pooled {
	out := &result.Pooled{Runs: runs, Values: n, Reason: missing}
	if floor := stats.PercentileFloor(p); p > 50 && n < floor {
		out.Reason = strings.TrimSuffix(fmt.Sprintf("too few values, %d: p%g needs %d; %s", n, p, floor, missing), "; ")
		return out
	}
	out.Value = &q.Value
	if q.HasInterval() {
		out.CI95, out.Method = &[2]float64{q.Low, q.High}, string(q.Method)
	}
	return out
}

// errNoLatency is the error for a run without latencies.
var errNoLatency = errors.New("it has no requests")

// latenciesOf reads the latencies of the requests of a run. Changed files are not opened: one flipped bit of
// a Parquet file may request more memory than there is.
func latenciesOf(dir string, r *result.Row) (latencies.Values, error) {
	run := filepath.Join(dir, filepath.FromSlash(result.RunPath(r.ID, r.Cycle)))
	if _, err := os.Stat(filepath.Join(run, requestsFile)); err != nil {
		return nil, err
	}
	if problems, _ := verify(run, filepath.Base(run), "", requestsFile); len(problems) > 0 {
		return nil, errors.New(problems[0].What)
	}
	rec, err := result.ReadRun(dir, r.ID, r.Cycle)
	if err != nil {
		return nil, err
	}
	if rec.Latency == nil {
		return nil, errNoLatency
	}
	return latencies.Read(run, rec)
}
