package report

import (
	"fmt"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/result"
)

// warmup tells in a line what ran before the window; empty for runs that do not say it.
func warmup(r *result.Record) string {
	w := r.Warmup
	if w == nil {
		return ""
	}
	full := fmt.Sprintf("a full batch and the last one %s", times(w.Runs))
	took := " · " + digits.SI(r.Timing.WarmupS, "s")
	if w.Cover == terms.CoverSizes {
		return "warm-up: " + full + took
	}
	s := fmt.Sprintf("warm-up: %d of %s", w.Warmed, digits.Count(w.Shapes, "shape"))
	if w.Warmed < w.Shapes && w.Buckets != "" && w.Buckets != "exact" {
		s += " (the longest of each bucket: " + w.Buckets + ")"
	}
	s += " in " + digits.Count(w.Rounds, "round") + ", "
	switch w.Outcome {
	case "steady":
		s += "the last as long as the one before"
	case "limit":
		s += "until the time for it was over"
	default:
		s += "whose times did not settle"
	}
	return s + "; then " + full + took
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// leftOut tells of the requests that are in no latency; empty without any.
func leftOut(l *result.Latency) string {
	if l.Excluded == 0 {
		return ""
	}
	return fmt.Sprintf("\nwithout %s that paid for the first use of a shape", digits.Count(l.Excluded, "request"))
}
