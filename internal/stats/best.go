package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Objective is the column of points to optimise.
type Objective struct {
	// Column is the index of the metric in each point.
	Column int
	// Better is the direction in which the metric is better.
	Better Better
}

// Op is the comparison of a value with a limit.
type Op string

// Ops of a constraint.
const (
	Below   Op = "<"
	AtMost  Op = "<="
	Above   Op = ">"
	AtLeast Op = ">="
)

// Constraint is a limit on a column of points, such as p99 TTFT < 200.
type Constraint struct {
	// Column is the index of the metric in each point.
	Column int
	// Op is how the value must lie to the limit.
	Op Op
	// Limit in the unit of the metric.
	Limit float64
}

// Verdict is whether a constraint is met.
type Verdict string

// Verdicts on a constraint.
const (
	// Met: the whole interval meets it.
	Met Verdict = "met"
	// NotMet: no part of the interval meets it.
	NotMet Verdict = "not met"
	// Straddles: the interval lies on both sides of the limit.
	Straddles Verdict = "uncertain"
	// NoValue: the value is missing or not usable.
	NoValue Verdict = "no value"
)

// Choice is the result of Best. Its lists are ordered by the objective, best first.
type Choice struct {
	// Index is the best configuration that meets all constraints; −1 if there is none.
	Index int
	// NotSeparable lists other configurations that meet all constraints and whose intervals of the objective
	// overlap with Index.
	NotSeparable []int
	// Possible lists configurations that straddle a limit, fail none, and are not separably worse than Index
	// in the objective: more measurements could make them the choice.
	Possible []int
	// Verdicts has one verdict per configuration and constraint.
	Verdicts [][]Verdict
	// Unrated lists the configurations without a usable value of the objective.
	Unrated []int
}

// Best chooses the configuration with the best value of the objective among the configurations that meet all
// constraints with their whole interval. points has one row per configuration; objective and constraints
// refer to its columns. Of equal values, the first is chosen and the others are listed.
func Best(points [][]Point, objective Objective, constraints []Constraint) (Choice, error) {
	choice := Choice{Index: -1, Verdicts: make([][]Verdict, len(points))}
	if objective.Better != Lower && objective.Better != Higher {
		return choice, fmt.Errorf("objective: better is %q: want %q or %q", objective.Better, Lower, Higher)
	}
	var met, possible []int
	for row, cells := range points {
		verdicts, err := judge(cells, constraints)
		if err != nil {
			return choice, fmt.Errorf("configuration %d: %w", row, err)
		}
		if objective.Column < 0 || objective.Column >= len(cells) {
			return choice, fmt.Errorf("configuration %d has no column %d for the objective", row, objective.Column)
		}
		choice.Verdicts[row] = verdicts
		switch {
		case cells[objective.Column].flaw() != "":
			choice.Unrated = append(choice.Unrated, row)
		case slices.Contains(verdicts, NotMet) || slices.Contains(verdicts, NoValue):
		case slices.Contains(verdicts, Straddles):
			possible = append(possible, row)
		default:
			met = append(met, row)
		}
	}
	at := func(row int) Point { return objective.cost(points[row]) }
	byValue := func(i, j int) int { return cmp.Compare(at(i).Value, at(j).Value) }
	slices.SortStableFunc(met, byValue)
	slices.SortStableFunc(possible, byValue)
	if len(met) == 0 {
		choice.Possible = possible
		return choice, nil
	}
	choice.Index = met[0]
	worse := func(row int) bool { return at(choice.Index).High < at(row).Low }
	choice.NotSeparable = slices.DeleteFunc(met[1:], worse)
	choice.Possible = slices.DeleteFunc(possible, worse)
	return choice, nil
}

// cost returns the objective with a sign so that lower is better.
func (o Objective) cost(cells []Point) Point {
	p := cells[o.Column].bounded()
	if o.Better == Higher {
		return Point{Value: -p.Value, Low: -p.High, High: -p.Low}
	}
	return p
}

// judge returns the verdicts on one configuration.
func judge(cells []Point, constraints []Constraint) ([]Verdict, error) {
	out := make([]Verdict, len(constraints))
	for i, c := range constraints {
		if c.Column < 0 || c.Column >= len(cells) {
			return nil, fmt.Errorf("constraint %d: no column %d", i, c.Column)
		}
		v, err := c.judge(cells[c.Column])
		if err != nil {
			return nil, fmt.Errorf("constraint %d: %w", i, err)
		}
		out[i] = v
	}
	return out, nil
}

// judge returns the verdict on one point.
func (c Constraint) judge(p Point) (Verdict, error) {
	var meets func(v float64) bool
	switch c.Op {
	case Below:
		meets = func(v float64) bool { return v < c.Limit }
	case AtMost:
		meets = func(v float64) bool { return v <= c.Limit }
	case Above:
		meets = func(v float64) bool { return v > c.Limit }
	case AtLeast:
		meets = func(v float64) bool { return v >= c.Limit }
	default:
		return "", fmt.Errorf("operator %q: want <, <=, > or >=", c.Op)
	}
	if math.IsNaN(c.Limit) {
		return "", fmt.Errorf("the limit is not a number")
	}
	if p.flaw() != "" {
		return NoValue, nil
	}
	p = p.bounded()
	switch low, high := meets(p.Low), meets(p.High); {
	case low && high:
		return Met, nil
	case low || high:
		return Straddles, nil
	}
	return NotMet, nil
}
