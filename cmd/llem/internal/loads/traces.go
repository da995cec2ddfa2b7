package loads

import (
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/result"
)

// mostTraces bounds the traces of a study that are listed.
const mostTraces = 4

// Trace is what a run took from its trace: its requests, and how many of the rows it left out or shortened; empty for
// other loads.
func Trace(r *result.Record) string {
	if r.Load == nil || r.Load.Trace == nil {
		return ""
	}
	return naming.Trace(r.Config.Workload.Load) + ": " + r.Load.Trace.Text()
}

// Traces are what the runs of a study took from their traces, each once.
func (s Study) Traces() (out []string) {
	left := 0
	for _, g := range s.Groups {
		for _, p := range g.Points {
			for _, r := range p.Runs {
				switch text := Trace(r); {
				case text == "" || slices.Contains(out, text):
				case len(out) == mostTraces:
					left++
				default:
					out = append(out, text)
				}
			}
		}
	}
	if left > 0 {
		out = append(out, fmt.Sprintf("… and the traces of %s", digits.Count(left, "more run")))
	}
	return out
}

// TracesOf is [Study.Traces] of the results of a study.
func TracesOf(s *result.StudyResult) ([]string, error) {
	all, err := Of(s)
	return all.Traces(), err
}
