package result

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/stats"
)

// Standing is the position of a configuration among all of a study.
type Standing struct {
	// ID identifies the configuration. A summary has it beside the standing.
	ID string `json:"-"`
	// Status is front, dominated, uncertain (dominated by value, but within the intervals) or excluded (a
	// number is missing).
	Status string `json:"status"`
	// By is the id of a configuration that dominates it.
	By string `json:"by,omitempty"`
	// Reason is why the configuration is excluded; empty if it is not.
	Reason string `json:"reason,omitempty"`
}

// ParetoMetrics returns the metrics of a summary's standings: energy per output token and output tokens per
// second.
func ParetoMetrics() []string {
	return []string{"energy.per_output_token_j", "throughput.output_tokens_per_s"}
}

// table returns one row per experiment and one column per metric.
func (s *StudyResult) table(names []string) ([][]stats.Point, []stats.Metric, error) {
	var metrics []stats.Metric
	names = slices.Clone(names)
	for i, name := range names {
		m, err := Metric(name)
		if err != nil {
			return nil, nil, err
		}
		names[i] = m.Name
		metrics = append(metrics, stats.Metric{Name: m.Name, Better: m.better()})
	}
	rows := make([][]stats.Point, len(s.Experiments))
	for _, name := range names {
		shifts := s.shifts(name)
		for i, e := range s.Experiments {
			p := stats.Point{Value: math.NaN()}
			if spread, ok := e.Metrics.Get(name); ok {
				p = spread.point()
			}
			if by, ok := shifts[e.ID]; ok {
				p = shifted(p, by)
			}
			rows[i] = append(rows[i], p)
		}
	}
	return rows, metrics, nil
}

func (m MetricInfo) better() stats.Better {
	if m.HigherIsBetter {
		return stats.Higher
	}
	return stats.Lower
}

// Pareto returns the standing of every experiment by several metrics. A configuration is dominated only if
// another is not worse in any metric, and better in one by more than the intervals of repeated runs; see
// [stats.Pareto]. Without metrics it uses [ParetoMetrics].
func (s *StudyResult) Pareto(metrics ...string) ([]Standing, error) {
	if len(metrics) == 0 {
		metrics = ParetoMetrics()
	}
	rows, columns, err := s.table(metrics)
	if err != nil {
		return nil, err
	}
	found, err := stats.Pareto(rows, columns)
	if err != nil {
		return nil, fmt.Errorf("find the Pareto front: %w", err)
	}
	out := make([]Standing, len(found))
	for i, f := range found {
		out[i] = Standing{ID: s.Experiments[i].ID, Status: string(f.Status), Reason: f.Reason}
		if f.By >= 0 {
			out[i].By = s.Experiments[f.By].ID
		}
		if why := s.Experiments[i].MetricsReason; why != "" {
			out[i].Reason = why
		}
	}
	return out, nil
}

// Choice is the best experiment under constraints.
type Choice struct {
	// Best has the best value of the objective among the experiments that meet all constraints; nil if none
	// does.
	Best *ExperimentSummary `json:"best"`
	// NotSeparable are others that meet all constraints and whose intervals overlap with the best.
	NotSeparable []ExperimentSummary `json:"not_separable"`
	// Possible are others whose intervals contain the limit of a constraint.
	Possible []ExperimentSummary `json:"possible"`
}

// Best returns the experiment with the best value of a metric among the experiments that meet all
// constraints, such as "latency.ttft_ms.p99 < 200" or "TTFT p99 < 200".
func (s *StudyResult) Best(objective string, constraints ...string) (*Choice, error) {
	m, err := Metric(objective)
	if err != nil {
		return nil, err
	}
	objective = m.Name
	names := []string{objective}
	var limits []stats.Constraint
	for _, text := range constraints {
		l, err := metric.ParseLimit(text)
		if err != nil {
			return nil, err
		}
		limits = append(limits, stats.Constraint{Column: len(names), Op: stats.Op(l.Op), Limit: l.Value})
		names = append(names, l.Name)
	}
	rows, columns, err := s.table(names)
	if err != nil {
		return nil, err
	}
	measured := func(e ExperimentSummary) bool {
		_, ok := e.Metrics.Get(objective)
		return ok
	}
	if !slices.ContainsFunc(s.Experiments, measured) {
		return nil, fmt.Errorf("%s has no value in any run of the study%s", objective, s.whyNone(objective))
	}
	found, err := stats.Best(rows, stats.Objective{Column: 0, Better: columns[0].Better}, limits)
	if err != nil {
		return nil, fmt.Errorf("choose the best: %w", err)
	}
	out := &Choice{NotSeparable: []ExperimentSummary{}, Possible: []ExperimentSummary{}}
	if found.Index >= 0 {
		out.Best = &s.Experiments[found.Index]
	}
	for _, i := range found.NotSeparable {
		out.NotSeparable = append(out.NotSeparable, s.Experiments[i])
	}
	for _, i := range found.Possible {
		out.Possible = append(out.Possible, s.Experiments[i])
	}
	return out, nil
}

// whyNone returns why no run has a value of a metric, if the runs state it.
func (s *StudyResult) whyNone(name string) string {
	for _, e := range s.Experiments {
		if e.MetricsReason != "" {
			return ": " + e.MetricsReason
		}
	}
	for _, r := range s.Rows {
		if why := whyMissing(r.Missing, name); why != "" {
			return ": " + why
		}
		if r.Reason != "" && strings.HasPrefix(name, "energy.") { // from an earlier version
			return ": " + r.Reason
		}
	}
	return ""
}

// SortBy sorts the experiments by a metric, best first; experiments without it come last.
func (s *StudyResult) SortBy(name string) error {
	m, err := Metric(name)
	if err != nil {
		return err
	}
	slices.SortStableFunc(s.Experiments, func(a, b ExperimentSummary) int {
		x, okX := a.Metrics.Get(m.Name)
		y, okY := b.Metrics.Get(m.Name)
		u, _, _ := x.Figure()
		v, _, _ := y.Figure()
		switch {
		case okX && okY && u != v:
			if (u < v) != m.HigherIsBetter {
				return -1
			}
			return 1
		case okX && !okY:
			return -1
		case okY && !okX:
			return 1
		}
		return 0
	})
	return nil
}

// NearMetric suggests metrics for an unknown name, the nearest first.
func NearMetric(name string) []string {
	var out []string
	_, err := metric.Find(name)
	if unknown, ok := errors.AsType[*metric.UnknownError](err); ok {
		for _, i := range unknown.Near {
			out = append(out, metricInfos[i].Name)
		}
	}
	return out
}
