package join

import (
	"fmt"
	"math"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// Changes of a GPU's state in a window from which it is reported.
const (
	warms      = 10.0 // °C
	clockMoves = 0.03 // fraction of the highest clock
	underLoad  = 50.0 // utilisation in percent above which clocks count as under load
)

// state warns of changes of the counted GPUs in the window: temperature and clocks.
func (j *join) state() {
	for _, d := range j.record.Energy.Devices {
		if !d.Counted || d.Kind != string(power.GPU) {
			continue
		}
		var degrees, clocks []float64 // in the window
		for _, t := range j.Telemetry {
			if t.Device != d.Device || t.MonoNS < j.Window.Start || t.MonoNS > j.Window.End {
				continue
			}
			if t.TemperatureC != nil {
				degrees = append(degrees, *t.TemperatureC)
			}
			if t.SMClockMHz != nil && t.UtilizationPct != nil && *t.UtilizationPct >= underLoad {
				clocks = append(clocks, *t.SMClockMHz)
			}
		}
		j.describe(degrees, clocks)
		if low, high := ends(degrees); high-low > warms {
			j.record.Warn(codes.TemperatureDrift,
				fmt.Sprintf("%s: the temperature went from %.0f to %.0f °C in the window "+
					"(%.0f to %.0f °C): a warmer chip draws more power for the same work; warm up longer "+
					"(warmup.runs), or let "+
					"runs rest equally long (execution.rest)", d.Device, degrees[0], degrees[len(degrees)-1], low,
					high))
		}
		if low, high := ends(clocks); high > 0 && high-low > clockMoves*high {
			j.record.Warn(codes.ClocksMoved,
				fmt.Sprintf("%s: the SM clock was not locked and varied between "+
					"%.0f and %.0f MHz in the window, so time and energy of the same work differ between runs; "+
					"lock it with nvidia-smi -lgc", d.Device, low, high))
		}
	}
}

// describe records the mean temperature and clock of a device in the state of the GPUs, which has the hottest
// and the slowest.
func (j *join) describe(degrees, clocks []float64) {
	if len(degrees)+len(clocks) > 0 && j.record.GPU == nil {
		j.record.GPU = &result.GPUState{}
	}
	if g := j.record.GPU; len(degrees) > 0 {
		if m := stats.Mean(degrees); g.TemperatureC == nil || m > *g.TemperatureC {
			g.TemperatureC = &m
		}
	}
	if g := j.record.GPU; len(clocks) > 0 {
		if m := stats.Mean(clocks); g.ClockMHz == nil || m < *g.ClockMHz {
			g.ClockMHz = &m
		}
	}
}

// ends returns the smallest and the largest value; both 0 without values.
func ends(values []float64) (low, high float64) {
	if len(values) == 0 {
		return 0, 0
	}
	low, high = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	return low, high
}
