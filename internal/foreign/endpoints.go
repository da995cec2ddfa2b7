package foreign

import (
	"strconv"

	"github.com/llenergymeasure/llem/internal/stats"
)

// endpoints is a run as result_summary.json of a point of MLPerf Endpoints (submission checker 1.0.1). Its rules know
// no measured energy: energy has the fields that were proposed for MLPerf Inference, in
// https://github.com/mlcommons/inference/pull/2587.
func endpoints(r Run) object {
	all := r.requests()
	ok := finished(all)
	output, duration := sum(ok, outputTokens), r.duration()
	out := object{
		"n_samples_issued": len(all), "n_samples_completed": len(ok), "n_samples_failed": len(all) - len(ok),
		"duration_ns": duration * 1e9, "system_tps": float64(output) / duration,
		"output_sequence_lengths": nanoseconds(each(ok, counted(outputTokens)), 1),
		"ttft":                    nanoseconds(each(ok, always(request.ttft)), 1e9),
		"metadata":                r.origin(),
	}
	if n := r.Record.Config.Workload.Concurrency; n > 0 {
		out["concurrency"] = n
	}
	perToken := each(ok, request.perToken)
	out["tpot"] = nanoseconds(perToken, 1e9)
	if s, has := stats.Summarize(perToken); has && s.Percentile(90) > 0 {
		out["tps_per_user"] = 1 / s.Percentile(90)
	}
	if e := r.endpointsEnergy(output); e != nil {
		out["energy"] = e
	}
	return out
}

// nanoseconds are the sum and the percentiles of values times a factor.
func nanoseconds(values []float64, factor float64) object {
	total, percentiles := 0.0, object{}
	for _, v := range values {
		total += v * factor
	}
	if s, ok := stats.Summarize(values); ok {
		for _, p := range []int{50, 90, 95, 99} {
			percentiles[strconv.Itoa(p)] = s.Percentile(float64(p)) * factor
		}
	}
	return object{"total": total, "percentiles": percentiles}
}

// endpointsEnergy are the fields of the proposal; nil if the energy was not measured.
func (r Run) endpointsEnergy(output int64) object {
	joules := r.wholeJ()
	if joules == nil || output == 0 {
		return nil
	}
	e := r.Record.Energy
	out := object{"total_energy_joules": *joules, "inference_active_power_watts": *joules / r.duration(),
		"measurement_method":            e.TotalJ.Source,
		"thermal_stabilization_seconds": r.Record.Timing.WarmupS, "scenario": "Server"}
	if e.BaselineW != nil { // the proposal counts the power above the baseline
		out["static_power_baseline_watts"] = e.BaselineW.Value
		out["energy_per_token_joules"] = (*joules - e.BaselineW.Value*r.duration()) / float64(output)
	}
	counted, rate := 0, 0.0
	for _, d := range e.Devices {
		if !d.Counted || d.Kind != "gpu" {
			continue
		}
		if counted++; d.Series != nil {
			rate = d.Series.SamplesPerS
		}
	}
	if counted > 0 {
		out["accelerator_count"] = counted
	}
	if rate > 0 {
		out["sampling_rate_hz"] = rate
	}
	return out
}

// isEndpoints reports whether a document is the summary of a point of MLPerf Endpoints.
func isEndpoints(d object) bool {
	_, issued := d["n_samples_issued"].(float64)
	_, duration := d["duration_ns"].(float64)
	return issued && duration
}
