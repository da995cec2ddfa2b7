package nodes

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/result"
)

// Doubts adds to a summary which results of workers do not count, and how far their machines lie apart, by their runs
// and by their canaries.
func Doubts(s *result.StudyResult) {
	study := summary{s}
	if s.Nodes == nil {
		s.Nodes = Of(s.Dir, s.Rows)
	}
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
		"%s not counted, because another worker had executed the run meanwhile (the first is %s): its worker was "+
			"paused or cut off for longer than its term; kept as %s/*%s*", digits.Count(n, "result"), first,
		result.RunsDir, Twice)
}

// Of returns the machines of the workers that executed runs, by the names of the workers; nil in a study of one
// process.
func Of(dir string, rows []result.Row) map[string]string {
	out := map[string]string{}
	for _, r := range rows {
		if _, known := out[r.Worker]; !known {
			out[r.Worker] = cmp.Or(NodeOf(dir, r.Worker), r.Worker)
		}
	}
	if _, alone := out[""]; alone && (len(out) == 1 || out[""] == "") {
		delete(out, "")
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// compared are the metrics by which machines are compared.
var compared = []string{"energy.per_output_token_j", "throughput.output_tokens_per_s"}

// spread compares the machines of a study by the first metric that several of them have.
func (s summary) spread() (found Spread, metric string, runs []Measured, ok bool) {
	for _, metric := range compared {
		var runs []Measured
		for _, r := range s.Rows {
			v, ok := r.Values.Get(metric)
			if node, known := s.Nodes[r.Worker]; known && ok && v > 0 && r.Comparable() {
				runs = append(runs, Measured{Config: r.ID, Node: node, Value: v})
			}
		}
		if found, ok := SpreadOf(runs); ok {
			return found, metric, runs, true
		}
	}
	return found, "", nil, false
}

// Fact returns in a few words how far the machines of a study lie apart, for the line of what repeating has shown;
// empty for one machine.
func Fact(s *result.StudyResult) string {
	spread, _, _, ok := summary{s}.spread()
	text := digits.Count(spread.Nodes, "machine")
	switch {
	case !ok:
		return ""
	case len(spread.Apart) > 0:
		text += " not shared by all"
	default:
		text += " up to " + percent(spread.Between) + " apart"
		if !math.IsNaN(spread.Within) {
			text += " (runs on one ±" + percent(spread.Within) + ")"
		}
	}
	if c := s.Canary; c != nil && len(c.Spreads) > 0 {
		text += ", their canaries " + percent(c.Spreads[0].MaxOverMin-1)
	}
	return text
}

// Uneven returns why the configurations of a study are told apart less well than their intervals promise: they were
// measured on different machines.
func Uneven(s *result.StudyResult) (out []string) {
	for _, n := range s.Caveats {
		if n.Code == codes.NodesApart || n.Code == codes.NodesUneven {
			out = append(out, n.Message)
		}
	}
	return out
}

// nodes compares the machines of the workers.
func (s summary) nodes() {
	spread, metric, runs, ok := s.spread()
	switch {
	case !ok:
		return
	case len(spread.Apart) > 0:
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
	s.uneven(runs, metric)
}

// unevenFrom is the difference of the shares of machines, in the metric, from which it is said.
const unevenFrom = 0.01

// uneven warns if configurations were measured on such different shares of the machines that their means differ by it.
func (s summary) uneven(runs []Measured, metric string) {
	values := make([]stats.InBlock, len(runs))
	for i, r := range runs {
		values[i] = stats.InBlock{Group: r.Config, Block: r.Node, Value: r.Value}
	}
	all := slices.Collect(maps.Values(stats.BlockShifts(values)))
	if len(all) == 0 {
		return
	}
	if most := slices.Max(all)/slices.Min(all) - 1; most > unevenFrom {
		s.Caveats.Warnf(codes.NodesUneven, "configurations were measured on different shares of the machines, which "+
			"by itself makes their means of %s differ by up to %s: the front and --best tell apart only what it does "+
			"not explain, and llem compare compares within machines", labelOf(metric), percent(most))
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
			so := ", so it executed no run"
			if slices.ContainsFunc(s.Rows, func(r result.Row) bool { return r.Worker == "" || r.Worker == worker }) {
				so = ""
			}
			s.Caveats.Warnf(codes.CanaryFailed, "the canary of the worker %s failed%s: %s", worker, so, run.Message)
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
func percent(v float64) string {
	if v < 1e-6 {
		v = 0 // rounding
	}
	return digits.Significant(100*v, 2) + " %"
}

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
	s.outliers(slices.DeleteFunc(spread.Outliers, func(o Outlier) bool { // it is named once
		return slices.ContainsFunc(c.Spreads, func(r result.CanarySpread) bool {
			return slices.Contains(r.Outliers, o.Worker)
		})
	}), out.N, label)
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
