package report

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// facets say what a run was, in the order of reading; empty where it does not
// apply.
var facets = []func(subject) string{
	func(r subject) string { return r.config.Model },
	func(r subject) string { return r.config.Backend },
	func(r subject) string { return r.dtype },
	func(r subject) string { return "batch " + r.config.BatchText() },
	func(r subject) string { return count(r.config.Workload.Prompts, "prompt") },
	func(r subject) string { return fmt.Sprintf("%d in", r.config.Workload.InputTokens) },
	func(r subject) string { return fmt.Sprintf("%d out", r.config.Workload.OutputTokens) },
	func(r subject) string { return r.config.Workload.Dataset },
	func(r subject) string {
		if c := r.config.PyTorch; c != nil && r.config.Backend == study.PyTorch {
			return c.AttnImplementation + " on " + c.Device
		}
		return ""
	},
	func(r subject) string {
		if c := r.config.PyTorch; c != nil && r.config.Backend == study.PyTorch {
			return strings.Join(c.Knobs(), " ")
		}
		return ""
	},
	func(r subject) string {
		c := r.config.Embedded
		switch {
		case c == nil || r.config.Backend != study.Embedded:
			return ""
		case c.Threads == 0:
			return "auto threads"
		}
		return count(c.Threads, "thread")
	},
	func(r subject) string {
		if c := r.config.Embedded; c != nil && r.config.Backend == study.Embedded {
			return fmt.Sprintf("chunk %d", c.PrefillChunk)
		}
		return ""
	},
	func(r subject) string {
		if c := r.config.Fake; c != nil && r.config.Backend == study.Fake {
			return fmt.Sprintf("%s batching at speed %g", c.Batching, c.Speed)
		}
		return ""
	},
	func(r subject) string { return fmt.Sprintf("warmup %d", r.config.Warmup.Runs) },
	func(r subject) string { return fmt.Sprintf("baseline %g s", r.config.Baseline.Seconds) },
	func(r subject) string { return "energy " + r.config.Energy.Sources },
	func(r subject) string { return fmt.Sprintf("seed %d", r.config.Seed) },
	func(r subject) string { return fmt.Sprintf("cycle %d", r.cycle) },
}

// commonFacets is how many of the facets are worth a word when all runs share
// them.
const commonFacets = 7

// subject is what is to be named: a run, or a configuration.
type subject struct {
	config *study.Experiment
	dtype  string
	cycle  int
}

func subjectOf(r *result.Record) subject { return subject{&r.Config, dtype(r), r.Cycle} }

// dtype is what the engine used, or what was asked for where that is not known.
func dtype(r *result.Record) string { return cmp.Or(r.Backend.DType, r.Config.DType) }

// names divides the facets into those that all runs share and the labels of the
// runs, which tell them apart.
func names(runs []*result.Record) (common string, labels []string) {
	all := make([]subject, len(runs))
	for i, r := range runs {
		all[i] = subjectOf(r)
	}
	return namesOf(all)
}

func namesOf(runs []subject) (common string, labels []string) {
	if len(runs) == 0 {
		return "", nil
	}
	var shared []string
	parts := make([][]string, len(runs))
	for i, facet := range facets {
		values := map[string]bool{}
		for _, r := range runs {
			if f := facet(r); f != "" { // another engine's setting tells nothing apart
				values[f] = true
			}
		}
		if len(values) < 2 {
			if i < commonFacets {
				shared = append(shared, facet(runs[0]))
			}
			continue
		}
		for k, r := range runs {
			if f := facet(r); f != "" {
				parts[k] = append(parts[k], f)
			}
		}
	}
	for i, p := range parts {
		if len(p) == 0 {
			p = []string{fmt.Sprint(i + 1)}
		}
		labels = append(labels, strings.Join(p, " "))
	}
	return strings.Join(shared, " · "), labels
}
