package nodes

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/result"
)

// Doubts adds to a summary which results of workers do not count, and how far their machines lie apart, by their runs
// and by their canaries.
func Doubts(s *result.StudyResult) {
	study := summary{s}
	study.discarded()
	study.nodes()
	study.canary()
}

// summary is a result that is being built.
type summary struct{ *result.StudyResult }

// Twice marks the folder of a run that another worker had also executed: its result does not count.
const Twice = ".twice-"

// discarded warns of results that do not count because their runs were executed twice.
func (s summary) discarded() {
	entries, _ := os.ReadDir(filepath.Join(s.Dir, result.RunsDir))
	n, first := 0, ""
	for _, e := range entries { // sorted by name
		if run, _, found := strings.Cut(e.Name(), Twice); found {
			n, first = n+1, cmp.Or(first, run)
		}
	}
	if n == 0 {
		return
	}
	s.Caveats.Warnf(codes.RunTwice,
		"%d results do not count, because another worker had executed their runs meanwhile "+
			"(the first is %s): their worker was paused or cut off for longer than its term; they are kept as %s/*%s*",
		n, first, result.RunsDir, Twice)
}

// compared are the metrics by which machines are compared.
var compared = []string{"energy.per_output_token_j", "throughput.output_tokens_per_s"}

// nodes compares the machines of the workers.
func (s summary) nodes() {
	machine := map[string]string{}
	for _, metric := range compared {
		var runs []Measured
		for _, r := range s.Rows {
			v, ok := r.Values.Get(metric)
			if !ok || v <= 0 || r.Worker == "" || !r.Comparable() {
				continue
			}
			if _, known := machine[r.Worker]; !known {
				machine[r.Worker] = cmp.Or(NodeOf(s.Dir, r.Worker), r.Worker)
			}
			runs = append(runs, Measured{Config: r.ID, Node: machine[r.Worker], Value: v})
		}
		spread, ok := SpreadOf(runs)
		if !ok {
			continue
		}
		if len(spread.Apart) > 0 {
			s.Caveats.Warnf(codes.NodesApart,
				"configurations such as %s and %s share no machine: their difference cannot "+
					"be told from the difference of the machines", spread.Apart[0], spread.Apart[1])
			return
		}
		within := "within one machine it is unknown"
		if !math.IsNaN(spread.Within) {
			within = fmt.Sprintf("within one machine the standard deviation is %s", percent(spread.Within))
		}
		s.Caveats.Warnf(codes.NodesSpread, "%s differs by up to %s between the %d machines; %s", labelOf(metric),
			percent(spread.Between), spread.Nodes, within)
		return
	}
}

// CanaryDir has a folder for the canary of each worker, in the form of a run.
const CanaryDir = "canary"

// CanaryOf reads the canary of a worker of a study; nil if there is none.
func CanaryOf(dir, worker string) *result.Record {
	rec, err := result.ReadRecord(filepath.Join(dir, CanaryDir, worker, result.RecordFile))
	if err != nil || rec.Worker != worker { // an earlier one of the worker has another name
		return nil
	}
	return rec
}

// canary summarizes the canaries of the workers.
func (s summary) canary() {
	entries, _ := os.ReadDir(filepath.Join(s.Dir, CanaryDir))
	machines := map[string]bool{}
	c := &result.Canary{Spreads: []result.CanarySpread{}}
	for _, entry := range entries {
		worker := entry.Name()
		rec := CanaryOf(s.Dir, worker)
		if rec == nil {
			continue
		}
		run := result.CanaryRun{Worker: worker, Node: NodeOf(s.Dir, worker), Status: rec.Status,
			Values: result.ValuesOf(rec)}
		if rec.Failure != nil {
			run.Message = rec.Failure.Message
			s.Caveats.Warnf(codes.CanaryFailed, "the canary of the worker %s failed, so it executed no run: %s", worker,
				run.Message)
		}
		if c.ID, c.Workers = rec.ID, append(c.Workers, run); run.Status == result.OK {
			machines[cmp.Or(run.Node, worker)] = true
		}
	}
	if c.Machines = len(machines); len(c.Workers) == 0 {
		return
	}
	s.Canary = c
	for _, metric := range compared {
		s.canarySpread(metric)
	}
}

// labelOf returns the heading of a column with a metric.
func labelOf(metric string) string {
	if m, err := result.Metric(metric); err == nil {
		return m.Label
	}
	return metric
}

// percent prints a share.
func percent(v float64) string { return digits.Significant(100*v, 2) + " %" }

// canarySpread adds the spread of a metric over the canaries.
func (s summary) canarySpread(metric string) {
	c := s.Canary
	var all []Canary
	for _, r := range c.Workers {
		if v, ok := r.Values.Get(metric); ok && v > 0 && r.Status == result.OK {
			all = append(all, Canary{Worker: r.Worker, Value: v})
		}
	}
	spread, ok := SpreadOfCanaries(all)
	if !ok {
		return
	}
	out := result.CanarySpread{Metric: metric, N: len(all), MaxOverMin: spread.Ratio, CV: spread.CV,
		Outliers: []string{}}
	label := labelOf(metric)
	if !slices.ContainsFunc(c.Spreads, func(o result.CanarySpread) bool { return o.N == out.N }) {
		// said once: of energy if it is known of as many
		s.Caveats.Warnf(codes.CanarySpread, "the canary, one configuration on %d workers of %s, differs by up to %s "+
			"in %s (standard deviation %s): the error of the cluster itself", out.N,
			digits.Count(c.Machines, "machine"), percent(spread.Ratio-1), label, percent(spread.CV))
	}
	for _, o := range spread.Outliers {
		out.Outliers = append(out.Outliers, o.Worker)
	}
	s.outliers(spread.Outliers, out.N, label)
	c.Spreads = append(c.Spreads, out)
}

// outliers names the worker whose canary lies farthest from the others.
func (s summary) outliers(all []Outlier, of int, label string) {
	if len(all) == 0 {
		return
	}
	first, direction, others := all[0], "above", ""
	if first.Off < 0 {
		direction, first.Off = "below", -first.Off
	}
	if n := len(all); n > 1 {
		others = fmt.Sprintf(" (and %s more, see canary in %s)", digits.Count(n-1, "worker"), result.SummaryFile)
	}
	s.Caveats.Warnf(codes.CanaryOutlier, "the canary of the worker %s lies %s %s the median of %d workers in %s%s: "+
		"its machine may be hot, throttled, shared or set otherwise", first.Worker, percent(first.Off), direction, of,
		label, others)
}
