package report

import (
	"testing"

	"github.com/llenergymeasure/llem/result"
)

func TestWarmup(t *testing.T) {
	for _, c := range []struct {
		want    string
		warmup  *result.Warmup
		seconds float64
	}{
		{"", nil, 3},
		{"warm-up: a full batch and the last one 2 times · 3.50 s",
			&result.Warmup{Cover: "sizes", Runs: 2, Shapes: 9, Warmed: 2}, 3.5},
		{"warm-up: 16 of 16 shapes in 3 rounds, the last as long as the previous one; then a full batch and the last " +
			"one once · 4.20 s", &result.Warmup{Cover: "all", Runs: 1, Shapes: 16, Warmed: 16, Buckets: "exact",
			Rounds: 3, Outcome: "steady"}, 4.2},
		{"warm-up: 9 of 400 shapes (the longest of each bucket: 64 tokens) in 1 round, until its time " +
			"limit; then a full batch and the last one once · 62.0 s", &result.Warmup{Cover: "all", Runs: 1,
			Shapes: 400, Warmed: 9, Buckets: "64 tokens", Rounds: 1, Outcome: "limit"}, 62},
		{"warm-up: 1 of 1 shape in 5 rounds, whose times did not settle; then a full batch and the last one once · " +
			"1.00 s", &result.Warmup{Cover: "all", Runs: 1, Shapes: 1, Warmed: 1, Buckets: "exact", Rounds: 5,
			Outcome: "unsteady"}, 1},
	} {
		r := &result.Record{Warmup: c.warmup}
		r.Timing.WarmupS = c.seconds
		if got := warmup(r); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
	if got := leftOut(&result.Latency{Excluded: 2}); got != "\nwithout 2 requests slowed by the first use of a shape" {
		t.Errorf("left out: %q", got)
	}
	if got := leftOut(&result.Latency{}); got != "" {
		t.Errorf("nothing left out: %q", got)
	}
}
