package atload

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// TestLonger: the doubts of a load name a key that its kind has.
func TestLonger(t *testing.T) {
	const duration = "workload.load.duration_s"
	for kind, want := range map[string]string{load.Trace: "workload.load.span", load.Rates: "workload.load.rates",
		load.Closed: "energy.min_window", load.Poisson: duration, load.Ramp: duration} {
		few, power := 3.0, 20.0
		told := 0
		l := &result.Load{Kind: kind, Scheduled: 200, EffectiveN: &few, Halves: &result.Halves{PowerPct: &power}}
		Doubts(l, nil,
			func(_ note.Code, message string) {
				if told++; !strings.Contains(message, want) || want != duration && strings.Contains(message, duration) {
					t.Errorf("%s: %q, want %q", kind, message, want)
				}
			})
		if told != 2 {
			t.Errorf("%s: %d doubts, want 2", kind, told)
		}
	}
}
