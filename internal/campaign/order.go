package campaign

import (
	"math/rand/v2"
	"slices"

	"github.com/llenergymeasure/llem/internal/measure"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/study"
)

// Planned is one planned run.
type Planned struct {
	Experiment study.Experiment
	Cycle      int
}

// Order lists the runs of a study in the order of execution.
func Order(s *study.Study) []Planned {
	cycles := s.Execution.Cycles
	out := make([]Planned, 0, len(s.Experiments)*cycles)
	if s.Execution.Order == terms.Sequential {
		for _, e := range s.Experiments {
			for c := range cycles {
				out = append(out, Planned{e, c + 1})
			}
		}
		return out
	}
	all := sideBySide(s, s.Experiments)
	for c := range cycles {
		for _, i := range cycleOrder(s.Execution, len(all), c) {
			out = append(out, Planned{all[i], c + 1})
		}
	}
	return out
}

// sideBySide groups experiments that one engine can serve, each group at the position of its first
// experiment. With alternating forward and backward cycles, an engine then serves the end of one cycle and
// the start of the next. Orders other than balanced, and runs with an engine each, are unchanged.
func sideBySide(s *study.Study, all []study.Experiment) []study.Experiment {
	if s.Execution.Order != terms.Balanced || s.Execution.Restart == terms.RestartAlways {
		return all
	}
	var sharing measure.Sharing
	place := map[study.Experiment]int{}
	var groups [][]study.Experiment
	for _, e := range all {
		key := sharing.Loads(s.Engine(e.Backend), e)
		i, seen := place[key]
		if !seen {
			i = len(groups)
			place[key], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], e)
	}
	return slices.Concat(groups...)
}

// Starts returns a function that reports whether run i starts an engine. Otherwise it reuses the engine of
// the previous run, which requires a suitable engine and a successful run.
func Starts(s *study.Study, runs []Planned) func(i int) bool {
	var sharing measure.Sharing
	return func(i int) bool {
		return i == 0 || s.Execution.Restart == terms.RestartAlways ||
			!sharing.Same(s.Engine(runs[i].Experiment.Backend), runs[i-1].Experiment, runs[i].Experiment)
	}
}

// First lists the first n runs of a study in order; 0 means all.
func First(s *study.Study, n int) []Planned {
	if n <= 0 || n >= len(s.Experiments)*s.Execution.Cycles {
		return Order(s)
	}
	// The order of one cycle depends on all experiments, but not on all cycles.
	short := *s
	if s.Execution.Order == terms.Sequential {
		short.Experiments = s.Experiments[:min(len(s.Experiments), n)]
	} else {
		short.Execution.Cycles = min(s.Execution.Cycles, 1+n/len(s.Experiments))
	}
	return Order(&short)[:n]
}

// cycleOrder returns the order of n experiments in one cycle, counted from 0.
func cycleOrder(x study.Execution, n, cycle int) []int {
	if x.Order == terms.LatinSquare {
		return latinRow(n, cycle)
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	switch {
	case x.Order == terms.Shuffle:
		rng := rand.New(rand.NewPCG(x.Seed, uint64(cycle)))
		rng.Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
	case (x.Order == terms.Reverse || x.Order == terms.Balanced) && cycle%2 == 1:
		for i := range order {
			order[i] = n - 1 - i
		}
	}
	return order
}

// latinRow returns a row of a square that is balanced for carry-over (E. J. Williams, 1949): over n rows,
// every experiment is at every position once and follows every other one once. An odd n needs 2n rows, n of
// them mirrored, in which each follows each other twice.
func latinRow(n, row int) []int {
	mirrored := n%2 == 1 && row%2 == 1
	shift := row
	if n%2 == 1 {
		shift = row / 2
	}
	out := make([]int, n)
	for i := range out {
		// 0, 1, n−1, 2, n−2, …
		v := (i + 1) / 2
		if i%2 == 0 {
			v = (n - i/2) % n
		}
		at := i
		if mirrored {
			at = n - 1 - i
		}
		out[at] = (v + shift) % n
	}
	return out
}
