package atload

import (
	"fmt"
	"math"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// SaturatedReason is why a load whose backlog grows has no latencies.
const SaturatedReason = "the backlog grew: the latencies would describe the length of the run, not the engine"

// Doubts reports to warn what a load does not tell, or not well. ttftMS is the median response time to the first token,
// in milliseconds; nil if it is unknown.
func Doubts(l *result.Load, ttftMS *float64, warn func(code note.Code, message string)) {
	if l.Saturated {
		warn(codes.Saturated, fmt.Sprintf("%s requests/s were offered and %s completed: the requests in flight "+
			"increased by %s per second, so %s; throughput and energy describe a saturated engine; "+
			"lower the rate",
			digits.Significant(l.OfferedRPS, 3), digits.Significant(l.CompletedRPS, 3),
			digits.Significant(l.BacklogSlope.Value, 2), SaturatedReason))
	}
	if n := l.Capped; n > 0 {
		warn(codes.LoadCapped, fmt.Sprintf("%d of %d requests (%.0f %%) were due but waited for "+
			"workload.concurrency: the load was less than offered, and latencies from the schedule include the wait; "+
			"raise workload.concurrency or set it to 0", n, l.Scheduled, percent(n, l.Scheduled)))
	}
	if ttftMS != nil && Late(l, *ttftMS) {
		warn(codes.SendLag, fmt.Sprintf("requests were sent up to %s after their time (99th percentile): latencies "+
			"from the schedule include it; leave more processors to llem, or lower the rate",
			digits.SI(Lag(l)/1e3, "s")))
	}
	if h := l.Halves; h != nil && !h.Stationary {
		warn(codes.LoadUnsteady, fmt.Sprintf("the second half of the window differs from the first one%s%s, by more "+
			"than chance explains: the load is not steady; %s",
			differs(" in power", h.PowerPct), differs(" in tokens per second", h.RatePct), Longer(l.Kind)))
	}
	if n := l.Failed + l.Cut; n > 0 {
		warn(codes.LoadLost, fmt.Sprintf("%d of %d requests failed and %d had no answer at the end of the run: they "+
			"are not good, and total_j includes their energy; see failure in requests.parquet", l.Failed, l.Scheduled,
			l.Cut))
	}
	fewRequests(l, warn)
}

// fewRequests warns if the requests are worth too few independent ones for percentiles, although they are many.
func fewRequests(l *result.Load, warn func(code note.Code, message string)) {
	floor := stats.PercentileFloor(95)
	if l.EffectiveN == nil || l.Saturated || *l.EffectiveN >= float64(floor) {
		return
	}
	warn(codes.LoadFew, fmt.Sprintf("the %d requests of the window are worth %.0f independent ones, because their "+
		"times resemble the times of their neighbours; a 95th percentile needs %d: %s", l.Scheduled,
		math.Floor(*l.EffectiveN), floor, Longer(l.Kind)))
}

func percent(n, of int64) float64 { return 100 * float64(n) / float64(max(1, of)) }

// differs describes a difference in percent; empty if it is unknown.
func differs(what string, pct *float64) string {
	if pct == nil {
		return ""
	}
	return fmt.Sprintf("%s by %+.1f %%", what, *pct)
}
