// Package compare compares the runs of two configurations, number by number: by how much they differ, whether
// that may be chance, and if that is unknown, what would be needed to know it.
//
// One number, the primary metric, is tested at the full level of 5 %. The others are tested together: their
// p-values are corrected for their number (Holm), so that the probability of any false finding among them
// also stays below 5 %. Every number has the smallest difference that as many runs with as much scatter would
// show: below it nothing can be concluded.
package compare

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/result"
)

// Side is one configuration with its comparable runs.
type Side struct {
	// Study is the folder of the runs.
	Study string
	// Runs are the comparable runs.
	Runs []*result.Record
	// Machine describes the machine; empty if unknown.
	Machine string
	// Until is the wanted precision that determined the number of cycles; empty if it was fixed.
	Until string

	// id is the configuration, and rows are the comparable runs of the whole study.
	id   string
	rows []result.Row
	// nodes are the machines of the workers.
	nodes map[string]string
}

// SideOf reads the comparable runs of a configuration of a study. The machine is left to the caller.
func SideOf(s *result.StudyResult, id string) (Side, error) {
	var runs []*result.Record
	for _, row := range s.Rows {
		if !row.Comparable() || row.ID != id {
			continue
		}
		r, err := result.ReadRun(s.Dir, row.ID, row.Cycle)
		if err != nil {
			return Side{}, err
		}
		runs = append(runs, r)
	}
	return SideWith(s, id, runs), nil
}

// SideWith has comparable runs of a configuration of a study that were read before. The machine is left to the caller.
func SideWith(s *result.StudyResult, id string, runs []*result.Record) Side {
	out := Side{Study: filepath.Clean(s.Dir), id: id, nodes: s.Nodes}
	if out.nodes == nil { // the summary of an earlier version
		out.nodes = nodes.Of(s.Dir, s.Rows)
	}
	for _, e := range s.Experiments {
		if p := e.Precision; e.ID == id && p != nil {
			out.Until = fmt.Sprintf("%s to ±%s %%", p.Metric, digits.Significant(100*p.Wanted, 2))
		}
	}
	workers := map[int]string{}
	for _, row := range s.Rows {
		if row.Comparable() {
			out.rows = append(out.rows, row)
		}
		if row.ID == id {
			workers[row.Cycle] = row.Worker
		}
	}
	for _, r := range runs {
		run := *r
		run.Worker = workers[r.Cycle] // of a merged study, the row has the machine
		out.Runs = append(out.Runs, &run)
	}
	return out
}

// Options are the options of a comparison.
type Options struct {
	// Primary names the metric that is tested separately; empty means the first of primaries that both sides
	// have.
	Primary string
	// All compares every metric instead of the main ones.
	All bool
	// Metrics replace the main ones, if there are any; the first one that both sides have is the primary metric.
	Metrics []string
	// Without are metrics that are not compared although both sides may have them.
	Without []Gap
}

// Comparison is the result of a comparison.
type Comparison struct {
	// Answer is one sentence about the primary metric.
	Answer string `json:"answer"`
	// Primary names the metric that is tested separately.
	Primary string `json:"primary"`
	// Paired reports whether values of the same cycle were compared, and PairedWhy is the reason.
	Paired    bool   `json:"paired"`
	PairedWhy string `json:"paired_why"`
	// Machines is set if the runs are from several machines: they are then compared within machines.
	Machines *Machines `json:"machines,omitempty"`
	// Metrics begin with the primary one.
	Metrics []Metric `json:"metrics"`
	// Missing is why metrics are not compared.
	Missing []Gap `json:"missing,omitempty"`
	// Warnings are reasons to doubt the whole comparison.
	Warnings []string `json:"warnings,omitempty"`

	instead string // the usual primary metric, where one side lacks it and Primary replaces it
	// used is what comparisons within machines rest on, by metric; unit is machine or GPU.
	used map[string]stats.Blocks
	unit string
}

// Verdict is what is known about a difference.
type Verdict string

// Verdicts.
const (
	// Lower and Higher: B differs, beyond chance.
	Lower  Verdict = "lower"
	Higher Verdict = "higher"
	// MaybeLower and MaybeHigher: the interval excludes equality, but among so many metrics one may do so by
	// chance.
	MaybeLower  Verdict = "maybe lower"
	MaybeHigher Verdict = "maybe higher"
	// NotTold: the difference cannot be distinguished from chance; it may be anything inside the interval.
	NotTold Verdict = "not told"
	// Same: all runs of both sides have the same value.
	Same Verdict = "same"
	// NotTested: a side has a single run, so chance cannot be judged.
	NotTested Verdict = "not tested"
	// Confounded: the sides share no machine, so their difference cannot be told from the machines' difference.
	Confounded Verdict = "confounded"
)

// Metric is one number on both sides.
type Metric struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Label is the heading of a column with the metric.
	Label string `json:"-"`
	// A and B are the means over NA and NB runs.
	A  float64 `json:"a"`
	B  float64 `json:"b"`
	NA int     `json:"n_a"`
	NB int     `json:"n_b"`
	// Ratio is B / A (of geometric means) with its 95 % confidence interval; null if unknown.
	Ratio *float64    `json:"ratio"`
	CI95  *[2]float64 `json:"ratio_ci95"`
	// Difference is B − A in the unit, with its 95 % confidence interval.
	Difference     float64     `json:"difference"`
	DifferenceCI95 *[2]float64 `json:"difference_ci95"`
	Verdict        Verdict     `json:"verdict"`
	// Test is the test behind Verdict; null if nothing could be tested.
	Test *Test `json:"test"`
	// Permutation assumes nothing about the distribution of the values, but cannot find anything in few of
	// them.
	Permutation Permutation `json:"permutation"`
	// Visible is what as many runs with this scatter can show; null if the scatter is unknown.
	Visible *Visible `json:"visible"`

	scatter stats.Scatter
}

// Test is a test of two samples.
type Test struct {
	Name string `json:"name"`
	// P is the probability of such a difference or a larger one without a true difference; PAdjusted is P
	// corrected for the number of secondary metrics, and equal to P for the primary metric.
	P         float64 `json:"p"`
	PAdjusted float64 `json:"p_adjusted"`
	// Correlation is the correlation of successive runs, if it is positive and the sides are not paired:
	// CountAs is the number of independent runs that the sides then count as.
	Correlation float64     `json:"serial_correlation,omitempty"`
	CountAs     *[2]float64 `json:"runs_count_as,omitempty"`
}

// Permutation is a permutation test.
type Permutation struct {
	P float64 `json:"p"`
	// LeastP is the smallest P that so many runs can have, and Needs the number of runs on each side from
	// which it is below 0.05.
	LeastP float64 `json:"least_p"`
	Needs  int     `json:"cycles_needed"`
}

// Visible is what a number of runs can show with 80 % power.
type Visible struct {
	// From is the smallest relative difference that these runs can show, and FromFive the same for five on
	// each side. Without a ratio, both are in the unit of the metric.
	From     float64 `json:"from"`
	FromFive float64 `json:"from_with_5_cycles"`
	// Needed is the number of runs on each side that would show a difference as large as the observed one; 0
	// means more than 10,000.
	Needed int `json:"cycles_for_the_difference_seen"`
}

// level is the accepted probability of a false finding.
const level = 0.05

// primaries are the default primary metrics.
var primaries = []string{"energy.per_output_token_j", "throughput.output_tokens_per_s"}

// mainMetrics are compared by default. The more metrics, the larger a difference must be for any one of them.
var mainMetrics = []string{"energy.per_output_token_j", "energy.mean_w", "energy.phases.prefill.j_per_token",
	"energy.phases.decode.j_per_token",
	"throughput.output_tokens_per_s", "latency.ttft_ms.p50", "latency.itl_ms.p50", "memory.peak_bytes"}

// main are the metrics that are compared unless all are.
func (o Options) main() []string {
	if len(o.Metrics) > 0 {
		return o.Metrics
	}
	return mainMetrics
}

// ErrNothing is the error if two sides have no number in common.
var ErrNothing = errors.New("the two have no number in common")

// ErrPrimary is the error for a primary metric that one side lacks.
var ErrPrimary = errors.New("is not measured on both sides")

// SameError is the error if two sides have runs in common: a comparison takes runs of their own on both sides.
type SameError struct {
	// Runs is the number of runs that are on both sides, of Of runs of the first one.
	Runs, Of int
}

// Error reports what the sides have in common.
func (e *SameError) Error() string {
	if e.Runs == e.Of {
		return "both sides are the same runs: a configuration cannot be compared with itself"
	}
	return fmt.Sprintf("%d of %s of the first side are on the second side, too: their differences would look smaller "+
		"than they are", e.Runs, digits.Count(e.Of, "run"))
}

// NextStep returns the next step for the user.
func (e *SameError) NextStep() string {
	return "name two configurations, or the folders of two studies; one may be a copy of the other, or merged from it"
}

// identity is the same for copies of one run, and different for any two runs.
type identity struct {
	id     string
	cycle  int
	start  int64
	monoNS int64
}

func identityOf(r *result.Record) identity {
	return identity{r.ID, r.Cycle, r.Window.Start.UnixNano(), r.Window.StartMonoNS}
}

// apart returns a [*SameError] if the sides have runs in common, whatever the folders are called.
func apart(a, b Side) error {
	seen := map[identity]bool{}
	for _, r := range a.Runs {
		if r.Window != nil && !r.Window.Start.IsZero() {
			seen[identityOf(r)] = true
		}
	}
	same := 0
	for _, r := range b.Runs {
		if r.Window != nil && seen[identityOf(r)] {
			same++
		}
	}
	if same == 0 {
		return nil
	}
	return &SameError{same, len(a.Runs)}
}

// Sides compares b with a.
func Sides(a, b Side, o Options) (*Comparison, error) {
	if err := apart(a, b); err != nil {
		return nil, err
	}
	c := &Comparison{}
	a.Runs, b.Runs = byTime(a.Runs), byTime(b.Runs)
	at := placesOf(a, b)
	if at == nil {
		c.Paired, c.PairedWhy = inPairs(a, b)
	}
	if a.Runs[0].WorkloadHash != b.Runs[0].WorkloadHash {
		c.Warnings = append(c.Warnings, "the two did not compute the same token ids: their workloads differ")
	}
	c.Warnings = append(append(c.Warnings, doubts(a, b, at)...), usedDifferently(a.Runs[0], b.Runs[0])...)
	if err := c.collect(a, b, at, o); err != nil {
		return nil, err
	}
	if len(c.Metrics) == 0 {
		return nil, ErrNothing
	}
	if err := c.choosePrimary(o.Primary, o.Metrics); err != nil {
		return nil, err
	}
	if err := c.judge(); err != nil {
		return nil, err
	}
	c.settle(at)
	c.Answer = c.answer(a, b)
	if c.instead != "" {
		asked, err := result.Metric(c.instead)
		if err != nil {
			return nil, err
		}
		c.Answer = asked.Label + " is not known on both sides. Instead: " + c.Answer
	}
	return c, nil
}

// byTime returns runs in the order of execution.
func byTime(runs []*result.Record) []*result.Record {
	out := slices.Clone(runs)
	slices.SortStableFunc(out, func(x, y *result.Record) int {
		if x.Window == nil || y.Window == nil {
			return cmp.Compare(x.Cycle, y.Cycle)
		}
		return x.Window.Start.Compare(y.Window.Start)
	})
	return out
}

// collect compares the metrics one by one.
func (c *Comparison) collect(a, b Side, at *place, o Options) error {
	otherMemory, noService := false, false
	for _, m := range result.Metrics() {
		// If the methods of the engines' own memory peaks differ, the peaks of their processes replace them;
		// response times replace unknown service times.
		standsIn := otherMemory && m.Name == "memory.process_peak_bytes" ||
			noService && m.Name == "latency.response_ttft_ms.p50"
		if !o.All && m.Name != o.Primary && !slices.Contains(o.main(), m.Name) && (!standsIn || len(o.Metrics) > 0) {
			continue
		}
		if c.refused(m, o.Without) {
			continue
		}
		if text := otherMethods(m, a.Runs, b.Runs); text != "" {
			c.Warnings, otherMemory = append(c.Warnings, text), true
			continue
		}
		c.lack(m, a.Runs, b.Runs)
		found, n, k, err := c.compared(m, a, b, at)
		if err != nil {
			return fmt.Errorf("compare %s: %w", m.Name, err)
		}
		if n == 0 || k == 0 {
			noService = noService || m.Name == serviceMetric
			continue
		}
		c.Metrics = append(c.Metrics, c.metricOf(m, found, n, k, at))
	}
	return nil
}

// compared compares values within machines, values that are paired, or each side in one interval of time, in the order
// of the values. n and k are the numbers of values.
func (c *Comparison) compared(m result.MetricInfo, a, b Side, at *place) (_ stats.Comparison, n, k int, err error) {
	if at != nil {
		return c.within(m, a, b, at)
	}
	o := stats.Options{Level: 1 - level, Seed: 1}
	x, y := valuesOf(m, a.Runs, b.Runs, c.Paired)
	if len(x) == 0 || len(y) == 0 {
		return stats.Comparison{}, len(x), len(y), nil
	}
	how := stats.CompareSeries
	if c.Paired {
		how = func(x, y []float64, o stats.Options) (stats.Comparison, error) { return stats.Compare(x, y, true, o) }
	}
	found, err := how(x, y, o)
	return found, len(x), len(y), err
}

// serviceMetric is the time to the first token, which may be unknown for a server with a queue.
const serviceMetric = "latency.ttft_ms.p50"

// metricOf returns the result for one metric.
func (c *Comparison) metricOf(m result.MetricInfo, found stats.Comparison, n, k int, at *place) Metric {
	out := Metric{Name: m.Name, Unit: m.Unit, Label: m.Label, A: found.MeanA, B: found.MeanB, NA: n, NB: k,
		Difference: found.Difference.Value, DifferenceCI95: interval(found.Difference), CI95: interval(found.Ratio),
		Permutation: Permutation{P: found.Permutation.P, LeastP: found.Permutation.SmallestP,
			Needs: stats.PermutationNeeds(c.Paired || at != nil, level)}}
	if !math.IsNaN(found.Ratio.Value) {
		out.Ratio = &found.Ratio.Value
	}
	if found.Test != stats.NoTest {
		out.Test = &Test{Name: string(found.Test), P: found.P, PAdjusted: found.P, Correlation: found.Correlation}
		if found.Correlation > 0 {
			out.Test.CountAs = &found.Effective
		}
	}
	out.scatter = found.Scatter
	switch {
	case out.Test != nil:
		out.Verdict = NotTold
	case at != nil && c.used[m.Name].Used == 0:
		out.Verdict = Confounded
	case min(n, k) < 2 || !found.Difference.HasInterval():
		out.Verdict = NotTested
	case found.Direction == stats.Decrease:
		out.Verdict = Lower
	case found.Direction == stats.Increase:
		out.Verdict = Higher
	default:
		out.Verdict = Same
	}
	return out
}

func interval(e stats.Estimate) *[2]float64 {
	if !e.HasInterval() {
		return nil
	}
	return &[2]float64{e.Low, e.High}
}

// choosePrimary puts the primary metric first.
func (c *Comparison) choosePrimary(asked string, instead []string) error {
	at, usual := -1, primaries
	if len(instead) > 0 {
		usual = instead
	}
	for _, name := range append([]string{asked}, usual...) {
		at = slices.IndexFunc(c.Metrics, func(m Metric) bool { return m.Name == name })
		if at < 0 && asked != "" {
			return fmt.Errorf("%s %w", asked, ErrPrimary)
		}
		if at >= 0 {
			break
		}
	}
	at = max(at, 0)
	primary := c.Metrics[at]
	c.Metrics = append([]Metric{primary}, slices.Delete(c.Metrics, at, at+1)...)
	if c.Primary = primary.Name; asked == "" && c.Primary != usual[0] {
		c.instead = usual[0]
	}
	return nil
}

// judge sets the verdicts: the primary metric at the full level, the others after Holm's correction.
func (c *Comparison) judge() error {
	var p []float64
	for _, m := range c.Metrics[1:] {
		if m.Test != nil {
			p = append(p, m.Test.P)
		}
	}
	adjusted, err := stats.Holm(p)
	if err != nil {
		return fmt.Errorf("correct for the number of metrics: %w", err)
	}
	for i := range c.Metrics {
		m := &c.Metrics[i]
		alpha := level
		if i > 0 {
			alpha = level / float64(max(1, len(p)))
		}
		if m.Test != nil && i > 0 {
			m.Test.PAdjusted, adjusted = adjusted[0], adjusted[1:]
		}
		m.decide()
		m.Visible = m.visible(alpha)
	}
	return nil
}

// decide derives the verdict from a test.
func (m *Metric) decide() {
	if m.Test == nil || m.Test.P >= level {
		return
	}
	lower := m.Difference < 0
	if m.Ratio != nil {
		lower = *m.Ratio < 1
	}
	switch sure := m.Test.PAdjusted < level; {
	case sure && lower:
		m.Verdict = Lower
	case sure:
		m.Verdict = Higher
	case lower:
		m.Verdict = MaybeLower
	default:
		m.Verdict = MaybeHigher
	}
}

// visible returns what the runs can show at a level.
func (m *Metric) visible(alpha float64) *Visible {
	if m.Test == nil {
		return nil
	}
	n := min(m.NA, m.NB)
	v := Visible{From: m.scatter.Visible(n, alpha), FromFive: m.scatter.Visible(five, alpha)}
	seen := m.Difference
	if m.Ratio != nil {
		seen = math.Log(*m.Ratio)
		v.From, v.FromFive = math.Expm1(v.From), math.Expm1(v.FromFive)
	}
	if !(v.From < math.MaxFloat64 && v.FromFive < math.MaxFloat64) {
		return nil
	}
	v.Needed = m.scatter.Needed(seen, alpha)
	return &v
}

// five is the minimum number of cycles of a study for publication.
const five = 5

// inPairs reports whether the runs of a cycle were executed together on both sides, so that disturbances
// affected both, with the reason. That holds if each cycle's two runs were both executed before the next
// cycle's, on the same GPUs.
func inPairs(a, b Side) (paired bool, why string) {
	if a.Study != b.Study {
		return false, "the two are from different studies"
	}
	second := map[int]*result.Record{}
	for _, r := range b.Runs {
		second[r.Cycle] = r
	}
	first := slices.Clone(a.Runs)
	slices.SortFunc(first, func(x, y *result.Record) int { return cmp.Compare(x.Cycle, y.Cycle) })
	common, end := 0, int64(math.MinInt64)
	for _, x := range first {
		y, both := second[x.Cycle]
		if !both {
			continue
		}
		if common++; x.Window == nil || y.Window == nil {
			return false, "the times of the runs are unknown"
		}
		if !slices.Equal(x.Backend.GPUs, y.Backend.GPUs) {
			return false, "the runs of a cycle used different GPUs"
		}
		// The wall clock, because a study may be resumed after a restart of the machine.
		if min(x.Window.Start.UnixNano(), y.Window.Start.UnixNano()) < end {
			return false, "the runs of a cycle were not consecutive"
		}
		end = max(x.Window.Start.UnixNano(), y.Window.Start.UnixNano())
	}
	if common == 0 {
		return false, "they have no cycle in common"
	}
	return true, "the runs of each cycle were consecutive"
}

// otherMethods returns that a memory peak has different methods on the two sides, or "".
func otherMethods(m result.MetricInfo, a, b []*result.Record) string {
	methods := func(runs []*result.Record) (out []string) {
		for _, r := range runs {
			if by := string(m.MethodOf(r)); by != "" && !slices.Contains(out, by) {
				out = append(out, by)
			}
		}
		slices.Sort(out)
		return out
	}
	x, y := methods(a), methods(b)
	if len(x) == 0 || len(y) == 0 || len(x) == 1 && slices.Equal(x, y) {
		return ""
	}
	return fmt.Sprintf("%s is not compared: it is measured by %s in A and by %s in B (see Memory in docs/metrics.md)",
		m.Name, strings.Join(x, ", "), strings.Join(y, ", "))
}

// valuesOf returns a metric's values on both sides; paired values are from the cycles that both have.
func valuesOf(m result.MetricInfo, a, b []*result.Record, paired bool) (x, y []float64) {
	other := map[int]float64{}
	for _, r := range b {
		if v, ok := m.Value(r); ok {
			other[r.Cycle] = v
			if !paired {
				y = append(y, v)
			}
		}
	}
	for _, r := range a {
		v, ok := m.Value(r)
		if !ok {
			continue
		}
		if w, both := other[r.Cycle]; paired && both {
			x, y = append(x, v), append(y, w)
		} else if !paired {
			x = append(x, v)
		}
	}
	return x, y
}
