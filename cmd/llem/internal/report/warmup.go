package report

import (
	"fmt"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/result"
)

// warmup returns a line on what ran before the window; empty if the record does not have it.
func warmup(r *result.Record) string {
	w := r.Warmup
	if w == nil {
		return ""
	}
	full := fmt.Sprintf("a full batch and the last one %s", digits.Times(w.Runs))
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
		s += "the last as long as the previous one"
	case "limit":
		s += "until its time limit"
	default:
		s += "whose times did not settle"
	}
	return s + "; then " + full + took
}

// leftOut returns a line on requests that are left out of the latencies; empty if there are none.
func leftOut(l *result.Latency) string {
	if l.Excluded == 0 {
		return ""
	}
	return fmt.Sprintf("\nwithout %s slowed by the first use of a shape", digits.Count(l.Excluded, "request"))
}
