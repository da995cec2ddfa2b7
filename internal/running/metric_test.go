package running_test

import (
	"math"
	"testing"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// TestMetricOfARun: the goal's metric, else energy, else speed; nothing for a failed run.
func TestMetricOfARun(t *testing.T) {
	const perToken, speed, power = "energy.per_output_token_j", "throughput.output_tokens_per_s", "energy.mean_w"
	rec := func(energy result.Provenance, backend string) *result.Record {
		r := &result.Record{Status: result.OK, Throughput: &result.Throughput{OutputTokensPerS: 50}}
		r.Config.Backend, r.Energy.Provenance = backend, energy
		if energy != result.None {
			r.Energy.PerOutputTokenJ, r.Energy.MeanW = &result.Quantity{Value: 0.8}, &result.Quantity{Value: 400}
		}
		return r
	}
	failed := rec(result.Measured, "vllm")
	failed.Status = result.Failed
	unequal := rec(result.Measured, "vllm")
	unequal.Warn(codes.UnequalWork, "other work")
	for name, c := range map[string]struct {
		goal string
		rec  *result.Record
		want event.Metric
	}{
		"measured": {"", rec(result.Measured, "vllm"), event.Metric{Name: perToken, Unit: "J", Value: 0.8}},
		"modelled": {"", rec(result.Modelled, "embedded"),
			event.Metric{Name: perToken, Unit: "J", Value: 0.8, Origin: "modelled"}},
		"simulated": {"", rec(result.Simulated, "fake"),
			event.Metric{Name: perToken, Unit: "J", Value: 0.8, Origin: "simulated"}},
		"no energy":    {"", rec(result.None, "vllm"), event.Metric{Name: speed, Unit: "1/s", Value: 50}},
		"goal":         {power, rec(result.Measured, "vllm"), event.Metric{Name: power, Unit: "W", Value: 400}},
		"goal unknown": {power, rec(result.None, "vllm"), event.Metric{Name: speed, Unit: "1/s", Value: 50}},
		"a failed run": {"", failed, event.Metric{Value: math.NaN()}},
		"other work":   {"", unequal, event.Metric{Value: math.NaN()}},
	} {
		if got := running.Shown(c.goal, store.RowOf(c.rec)); got != c.want &&
			!(math.IsNaN(got.Value) && math.IsNaN(c.want.Value) && got.Name == "") {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
