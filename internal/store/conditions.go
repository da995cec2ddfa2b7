package store

import (
	"math"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/result"
)

// Changes of the GPUs' state between runs from which they are reported: in degrees, and as a fraction of the
// clock.
const (
	warmed   = 10.0
	clockOff = 0.03
)

// conditions warns if GPUs were warmer or colder at the end of the study than at its beginning, and if clocks
// changed: the runs are in the order of execution. Temperatures are also compared between configurations,
// because the chip's leakage follows them; clocks are only compared within configurations.
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
				"the GPU was at %.0f °C in the first run (%s) and at %.0f °C in the last (%s): a warmer chip "+
					"draws more "+
					"power for the same work, so early and late runs differ; let it warm up first "+
					"(warmup.runs), let runs "+
					"rest equally long (execution.rest), or shuffle them (execution.order)",
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
				"this changes time and energy of the same work; lock the clock with nvidia-smi -lgc",
			100*stats.Mean(changes), n)
	}
}

// ends returns the first and the last run with a metric; ok is false for fewer than two.
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
