package store

import (
	"math"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/result"
)

// Changes of the GPUs' state between runs that are told: in degrees, and as a share of the clock.
const (
	warmed   = 10.0
	clockOff = 0.03
)

// conditions warns of GPUs that were warmer at the end of the study than at its beginning, or the other way round, and
// of clocks that were others: the runs are in the order in which they were made. Temperatures differ between
// configurations, too, and are told nevertheless, since the chip's leakage follows them; clocks are compared within
// configurations alone.
func (s summary) conditions() {
	var made []*result.Row
	for i := range s.Rows {
		if r := &s.Rows[i]; r.Comparable() {
			made = append(made, r)
		}
	}
	const temperature, clock = "gpu.temperature_c", "gpu.clock_mhz"
	if first, last, ok := ends(made, temperature); ok {
		from, _ := first.Values.Get(temperature)
		to, _ := last.Values.Get(temperature)
		if math.Abs(to-from) > warmed {
			s.Caveats.Warnf(codes.TemperatureDrift,
				"the GPU was at %.0f °C in the first run (%s) and at %.0f °C in the last (%s): the same work "+
					"draws more "+
					"on a warmer chip, so runs differ by when they were made; let it warm up first "+
					"(warmup.runs), let runs "+
					"rest alike (execution.rest), or shuffle them (execution.order)",
				from, runName(RunKey{first.ID, first.Cycle}), to, runName(RunKey{last.ID, last.Cycle}))
		}
	}
	of := map[string][]*result.Row{}
	for _, r := range made {
		of[r.ID] = append(of[r.ID], r)
	}
	var changes []float64
	for _, e := range s.Experiments {
		if first, last, ok := ends(of[e.ID], clock); ok {
			from, _ := first.Values.Get(clock)
			to, _ := last.Values.Get(clock)
			changes = append(changes, to/from-1)
		}
	}
	if n := len(changes); n > 0 && math.Abs(stats.Mean(changes)) > clockOff {
		s.Caveats.Warnf(codes.ClocksMoved,
			"the mean clock of the GPU changed by %+.1f %% from the first run of a configuration to its last "+
				"(mean of %d): "+
				"time and energy of the same work changed with it; nvidia-smi -lgc pins it", 100*stats.Mean(changes), n)
	}
}

// ends are the first and the last of several runs that have a metric; false for fewer than two.
func ends(runs []*result.Row, metric string) (first, last *result.Row, ok bool) {
	for _, r := range runs {
		if v, has := r.Values.Get(metric); has && v > 0 {
			if last = r; first == nil {
				first = r
			}
		}
	}
	return first, last, first != last
}
