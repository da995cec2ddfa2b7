package naming

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/study"
)

// Differences describes how a study differs from the one that was frozen; it returns nothing if both ask for the
// same runs. Experiments are the same if their meanings are equal: [study.Experiment.Measured], or what is known
// beyond it.
func Differences(s, frozen *study.Study, meaning func(study.Experiment) study.Experiment) []string {
	added, gone := without(s, frozen, meaning), without(frozen, s, meaning)
	var out []string
	// Experiments at the same position of both lists are changed, not added and removed.
	if len(added) == len(gone) && len(s.Experiments) == len(frozen.Experiments) {
		out = changed(added, gone)
	}
	if out == nil {
		varying := Varying(append(measuredOf(added), measuredOf(gone)...))
		out = append(only("not in the study that was started", added, varying),
			only("no longer in the study", gone, varying)...)
	}
	a, b := s.Execution, frozen.Execution
	if a.Cycles != b.Cycles {
		out = append(out, fmt.Sprintf("execution.cycles is %d, was %d", a.Cycles, b.Cycles))
	}
	// Sequential was the default of earlier versions: the runs are the same ones, in the order of the study's start.
	if a.Order != b.Order && (a.Order != terms.Balanced || b.Order != terms.Sequential) {
		out = append(out, fmt.Sprintf("execution.order is %s, was %s", a.Order, b.Order))
	}
	// A seed derived from the experiments changes with them.
	own := a.Seed == ownSeed(s) && b.Seed == ownSeed(frozen)
	if a.Order == terms.Shuffle && a.Seed != b.Seed && !own {
		out = append(out, fmt.Sprintf("execution.seed is %d, was %d", a.Seed, b.Seed))
	}
	if a.Until != b.Until {
		out = append(out, fmt.Sprintf("execution.until is %v, was %v", a.Until, b.Until))
	}
	return out
}

// ownSeed returns the seed of a study that sets none.
func ownSeed(s *study.Study) uint64 {
	ids := make([]string, len(s.Experiments))
	for i, e := range s.Experiments {
		ids[i] = e.ID()
	}
	return keys.Seed(ids)
}

// without returns the experiments that the other study does not have.
func without(s, other *study.Study, meaning func(study.Experiment) study.Experiment) []study.Experiment {
	has := make(map[study.Experiment]bool, len(other.Experiments))
	for _, e := range other.Experiments {
		has[meaning(e)] = true
	}
	var out []study.Experiment
	for _, e := range s.Experiments {
		if !has[meaning(e)] {
			out = append(out, e)
		}
	}
	return out
}

// mostDifferences bounds the experiments, or keys, that are named.
const mostDifferences = 5

// changed names the keys that differ between experiments in pairs, with both values, if every pair differs in the
// same few keys in the same way; nil otherwise.
func changed(now, then []study.Experiment) []string {
	var out []string
	for i := range now {
		d := differences(now[i].Measured(), then[i].Measured())
		if i == 0 {
			out = d
		} else if !slices.Equal(out, d) {
			return nil
		}
	}
	if len(out) > mostDifferences {
		return nil
	}
	return out
}

// differences lists the keys in which two experiments differ, as "key is X, was Y".
func differences(e, then study.Experiment) []string {
	var out []string
	for _, k := range resolvedKeys(e, then) {
		a, b := k.Text(e), k.Text(then)
		if a != b {
			out = append(out, fmt.Sprintf("%s is %s, was %s", k.Name, orUnset(a), orUnset(b)))
		}
	}
	return out
}

func orUnset(text string) string {
	if text == "" {
		return "not set"
	}
	return text
}

// measuredOf removes from all experiments what does not change a measurement.
func measuredOf(list []study.Experiment) []study.Experiment {
	out := make([]study.Experiment, len(list))
	for i, e := range list {
		out[i] = e.Measured()
	}
	return out
}

// only lists experiments, the first few by name and with the values of the keys.
func only(what string, list []study.Experiment, varying []Key) []string {
	var out []string
	for _, e := range list[:min(len(list), mostDifferences)] {
		var values []string
		for _, k := range varying {
			if text := k.Text(e); text != "" {
				values = append(values, k.Name+"="+text)
			}
		}
		text := fmt.Sprintf("%s: %s (%s)", what, e.Label(), e.ID())
		if len(values) > 0 {
			text += " " + strings.Join(values, " ")
		}
		out = append(out, text)
	}
	slices.Sort(out)
	if len(list) > mostDifferences {
		out = append(out, fmt.Sprintf("%s: %d more", what, len(list)-mostDifferences))
	}
	return out
}
