package foreign

import (
	"cmp"
	"slices"

	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/result"
)

// jPerKWh are the joules of a kilowatt hour.
const jPerKWh = 3.6e6

// call is what optimum-benchmark times: one call of generate for a batch. Here it is the requests that were in flight
// together.
type call struct {
	requests          []request
	start, first, end int64 // nanoseconds of CLOCK_MONOTONIC; first: all have their first token
}

// calls are the calls of a full batch, and nil for a closed loop, which has none.
func (r Run) calls() []call {
	if r.Record.Config.Workload.Concurrency > 0 {
		return nil
	}
	ok := finished(r.requests())
	slices.SortStableFunc(ok, func(a, b request) int { return cmp.Compare(a.SubmittedNS, b.SubmittedNS) })
	var out []call
	for _, q := range ok {
		if len(out) == 0 || q.SubmittedNS >= out[len(out)-1].end {
			out = append(out, call{start: q.SubmittedNS})
		}
		c := &out[len(out)-1]
		c.requests, c.first, c.end = append(c.requests, q), max(c.first, q.FirstTokenNS), max(c.end, q.EndNS)
	}
	full := 0
	for _, c := range out {
		full = max(full, len(c.requests))
	}
	return slices.DeleteFunc(out, func(c call) bool { return len(c.requests) < full })
}

// optimum is a run as optimum-benchmark 0.6 writes it to benchmark.json: the configuration and the report.
func optimum(r Run) object {
	calls := r.calls()
	x := r.Record
	batch := x.Config.BatchSize()
	if len(calls) > 0 {
		batch = len(calls[0].requests)
	}
	tokens := x.Config.Workload.OutputTokens
	report := object{"load_model": target(optimumLatency([]float64{x.Timing.LoadS}), nil),
		"prefill": target(nil, nil), "decode": target(nil, nil), "generate": target(nil, nil)}
	if len(calls) > 0 {
		of := func(length func(call) int64) []float64 {
			out := make([]float64, len(calls))
			for i, c := range calls {
				out[i] = seconds(length(c))
			}
			return out
		}
		prefill := of(func(c call) int64 { return c.first - c.start })
		decode := of(func(c call) int64 { return c.end - c.first })
		generate := of(func(c call) int64 { return c.end - c.start })
		samples := float64(batch)
		report["prefill"] = target(optimumLatency(prefill), perSecond(samples, prefill, "samples/s"))
		report["generate"] = target(optimumLatency(generate), perSecond(samples, generate, "samples/s"))
		report["decode"] = target(optimumLatency(decode), perSecond(samples*float64(tokens-1), decode, "tokens/s"))
		if gaps := stepGaps(calls); len(gaps) > 0 {
			report["per_token"] = target(optimumLatency(gaps), nil)
		}
	}
	r.optimumEnergy(report, float64(batch), tokens)
	if m := optimumMemory(x.Memory); m != nil {
		report["generate"].(object)["memory"] = m
	}
	energy := r.energyJ() != nil
	return object{"report": report, "config": object{
		"name": cmp.Or(r.Label, r.Study),
		"backend": object{"name": x.Backend.Name, "version": x.Backend.Version, "_target_": nil,
			"task": "text-generation", "library": "transformers", "model": x.Config.Model,
			"processor": x.Config.Model, "device": optimumDevice(x.Backend.Device), "seed": x.Config.Seed},
		"scenario": object{"name": "inference", "_target_": nil,
			"iterations": len(calls), "duration": 0, "warmup_runs": x.Config.Warmup.Runs,
			"input_shapes": object{"batch_size": batch, "num_choices": 1,
				"sequence_length": x.Config.Workload.InputTokens},
			"memory": true, "latency": true, "energy": energy,
			"generate_kwargs": object{"max_new_tokens": tokens, "min_new_tokens": tokens, "num_beams": 1}},
		"launcher":    object{"name": "llem", "_target_": nil},
		"environment": r.origin(), "print_report": false, "log_report": false,
	}}
}

// optimumDevice is the name of a device in optimum-benchmark.
func optimumDevice(name string) string {
	if name == "rocm" {
		return "cuda" // PyTorch's name of both
	}
	return name
}

// target is a phase of the report. What was not measured is null.
func target(latency, throughput any) object {
	return object{"memory": nil, "latency": latency, "throughput": throughput, "energy": nil, "efficiency": nil}
}

// optimumLatency are times in seconds with their statistics; the deviation is divided by n.
func optimumLatency(values []float64) any {
	s, ok := stats.Summarize(values)
	if !ok {
		return nil
	}
	total := 0.0
	for _, v := range values {
		total += v
	}
	out := object{"unit": "s", "values": values, "count": len(values), "total": total,
		"mean": total / float64(len(values)), "p50": s.Percentile(50), "p90": s.Percentile(90),
		"p95": s.Percentile(95), "p99": s.Percentile(99), "stdev": spread(values), "stdev_": 0.0}
	if total > 0 {
		out["stdev_"] = spread(values) / (total / float64(len(values))) * 100
	}
	return out
}

// perSecond is a volume over the mean of times.
func perSecond(volume float64, times []float64, unit string) any {
	mean := stats.Mean(times)
	if mean <= 0 {
		return object{"unit": unit, "value": 0.0}
	}
	return object{"unit": unit, "value": volume / mean}
}

// stepGaps are the times between the tokens of a batch, if all of its sequences get them together.
func stepGaps(calls []call) (out []float64) {
	for _, c := range calls {
		for _, q := range c.requests {
			if !slices.Equal(q.TokenNS, c.requests[0].TokenNS) {
				return nil
			}
		}
		out = append(out, c.requests[0].gaps()...)
	}
	return out
}

// optimumEnergy adds the energy of a call: its share of the window by its requests. Decode is the rest after prefill.
func (r Run) optimumEnergy(report object, batch float64, tokens int) {
	joules := r.energyJ()
	n := float64(r.Record.Tokens.RequestsOK)
	if joules == nil || n == 0 {
		return
	}
	put := func(phase string, j, volume float64, unit string) {
		kwh := j / n * batch / jPerKWh
		e := object{"unit": "kWh", "cpu": nil, "ram": nil, "gpu": nil, "total": kwh}
		if r.Record.Energy.Scope == "gpu" || r.Record.Energy.Scope == "cpu" {
			e[r.Record.Energy.Scope] = kwh
		}
		t := report[phase].(object)
		t["energy"], t["efficiency"] = e, object{"unit": unit, "value": 0.0}
		if kwh > 0 {
			t["efficiency"] = object{"unit": unit, "value": volume / kwh}
		}
	}
	put("generate", *joules, batch, "samples/kWh")
	if p := r.Record.Energy.Phases; p != nil && p.Prefill != nil && p.Prefill.EnergyJ != nil {
		put("prefill", *p.Prefill.EnergyJ, batch, "samples/kWh")
		put("decode", *joules-*p.Prefill.EnergyJ, batch*float64(tokens-1), "tokens/kWh")
	}
}

// optimumMemory is the peak under the key of what it counts, in MB.
func optimumMemory(m result.Memory) any {
	out := object{"unit": "MB", "max_ram": nil, "max_global_vram": nil, "max_process_vram": nil,
		"max_reserved": nil, "max_allocated": nil}
	keys := map[result.MemoryMethod]string{result.MemoryRSS: "max_ram", result.MemoryProcess: "max_process_vram",
		result.MemoryPool: "max_reserved", result.MemoryAllocator: "max_allocated"}
	known := false
	for _, peak := range []struct {
		bytes  *int64
		method result.MemoryMethod
	}{{m.PeakBytes, m.By()}, {m.ProcessPeakBytes, m.ProcessMethod}} {
		if key := keys[peak.method]; key != "" && peak.bytes != nil {
			out[key], known = float64(*peak.bytes)/1e6, true
		}
	}
	if !known {
		return nil
	}
	return out
}

// isOptimum reports whether a document is benchmark.json or benchmark_report.json.
func isOptimum(d object) bool {
	report, ok := d["report"].(object)
	if !ok {
		report = d
	}
	for _, phase := range []string{"generate", "prefill", "decode", "load_model"} {
		if t, ok := report[phase].(object); ok {
			if _, ok := t["latency"]; ok {
				return true
			}
		}
	}
	return false
}
