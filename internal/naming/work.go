package naming

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/study"
)

// Trace names what a load takes from a trace: the file, and the part of it; empty for other loads.
func Trace(a study.Arrivals) string {
	if a.Trace == "" {
		return ""
	}
	return strings.TrimSpace(path.Base(filepath.ToSlash(a.Trace)) + " " + a.Span)
}

// Replayed names a trace with how it is replayed, such as "azure.csv 10m..20m at 2 times its speed"; empty for other
// loads.
func Replayed(a study.Arrivals) string {
	text := Trace(a)
	switch {
	case text == "":
	case a.Rate > 0:
		text += fmt.Sprintf(" at %g requests/s", a.Rate)
	case a.Speed > 0 && a.Speed != 1:
		text += fmt.Sprintf(" at %g times its speed", a.Speed)
	}
	return text
}

// Prompts names the requests of a workload: their number, or the trace that they are from.
func Prompts(w study.Workload) string {
	switch {
	case w.Load.Trace != "":
		return "trace " + Replayed(w.Load)
	case w.Load.Turns > 1:
		return fmt.Sprintf("%s of %d turns", digits.Count(w.Prompts, "conversation"), w.Load.Turns)
	}
	return digits.Count(w.Prompts, "prompt")
}
