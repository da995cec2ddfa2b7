package foreign

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// guidellmVersion is the version of the schema of GuideLLM's report.
const guidellmVersion = 2

// guidellm are runs as GuideLLM 0.8 writes them to benchmarks.json, a benchmark for each. Its format wants the
// settings of a benchmark of its own: what it would have been started with.
func guidellm(runs []Run) object {
	first := runs[0].Record
	benchmarks := make([]object, len(runs))
	for i, r := range runs {
		benchmarks[i] = guidellmBenchmark(r, i)
	}
	profile, _ := guidellmLoad(runs[0])
	return object{
		"metadata": object{"version": guidellmVersion, "guidellm_version": "none: written by llem " + first.Program,
			"python_version": "none", "platform": "none"},
		"config": object{"metadata": object{"labels": runs[0].origin()}, "benchmarks": []any{nil}, "spec": object{
			"backend": object{"kind": "openai_http", "target": "http://localhost", "model": first.Config.Model},
			"profile": profile,
			"data": []object{{"kind": "synthetic_text", "prompt_tokens": first.Config.Workload.InputTokens,
				"output_tokens": first.Config.Workload.OutputTokens}},
			"metrics": object{"kind": "generative", "confidence": nil},
		}},
		"benchmarks": benchmarks, "conclusions": []any{},
	}
}

// guidellmLoad is how the requests were sent: as a profile and as a strategy. Arrivals that GuideLLM does not have are
// told as their rate.
func guidellmLoad(r Run) (profile, strategy object) {
	concurrency := r.Record.Config.Workload.Concurrency
	if rate, _ := r.arrivals(); rate != "inf" {
		kind := "constant"
		if r.Record.Config.Workload.Load.Kind != kind {
			kind = "poisson"
		}
		return object{"kind": kind, "rate": []any{rate}}, object{"type_": kind, "rate": rate}
	}
	if concurrency > 0 {
		return object{"kind": "concurrent", "streams": []int{concurrency}},
			object{"type_": "concurrent", "streams": concurrency}
	}
	return object{"kind": "throughput", "max_concurrency": nil}, object{"type_": "throughput"}
}

// guidellmBenchmark is one run.
func guidellmBenchmark(r Run, index int) object {
	all := r.requests()
	ok := finished(all)
	failed := slices.DeleteFunc(slices.Clone(all), func(q request) bool { return q.OK })
	startNS, endNS := span(all)
	w := r.window()
	start, end := w(startNS), w(endNS)
	profile, strategy := guidellmLoad(r)
	counts := object{"successful": len(ok), "incomplete": 0, "errored": len(failed), "total": len(all)}
	stats := make([][]object, 2)
	for i, list := range [][]request{ok, failed} {
		stats[i] = []object{}
		for _, q := range list {
			stats[i] = append(stats[i], guidellmRequest(r, q))
		}
	}
	return object{
		"type_": "generative_benchmark",
		"config": object{"id_": runName(r.Record), "run_id": r.Study, "run_index": index, "strategy": strategy,
			"constraints": object{}, "confidence": nil, "profile": profile,
			"requests": object{"data": "synthetic_text"}, "environment": r.origin(),
			"backend": object{"name": r.Record.Backend.Name, "version": r.Record.Backend.Version,
				"model": r.Record.Config.Model}},
		"scheduler_state": object{"node_id": 0, "num_processes": 1, "start_time": start, "end_time": end,
			"start_requests_time": start, "end_requests_time": end, "created_requests": len(all),
			"processed_requests": len(all), "successful_requests": len(ok), "errored_requests": len(failed)},
		"scheduler_metrics": object{"start_time": start, "request_start_time": start, "measure_start_time": start,
			"measure_end_time": end, "request_end_time": end, "end_time": end, "requests_made": counts,
			"queued_time_avg": unknown, "resolve_start_delay_avg": unknown,
			"resolve_targeted_start_delay_avg": unknown, "request_start_delay_avg": unknown,
			"request_targeted_start_delay_avg": unknown,
			"request_time_avg":                 mean(each(all, always(request.latency))),
			"resolve_end_delay_avg":            unknown, "resolve_time_avg": unknown, "finalized_delay_avg": unknown,
			"processed_delay_avg": unknown, "strategy_type": strategy["type_"]},
		"metrics":    guidellmMetrics(r, ok, failed, counts, start, end),
		"requests":   object{"successful": stats[0], "incomplete": []any{}, "errored": stats[1], "total": nil},
		"warnings":   []any{},
		"start_time": start, "end_time": end, "duration": end - start, "warmup_duration": 0.0, "cooldown_duration": 0.0,
	}
}

// unknown is what GuideLLM writes for a mean of nothing.
const unknown = -1.0

// mean is unknown without values.
func mean(values []float64) float64 {
	if len(values) == 0 {
		return unknown
	}
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total / float64(len(values))
}

// window maps stamps to seconds since 1970.
func (r Run) window() func(ns int64) float64 {
	return func(ns int64) float64 { return float64(r.wall(ns)) / 1e9 }
}

// guidellmRequest are the stamps and the numbers of a request.
func guidellmRequest(r Run, q request) object {
	w, id := r.window(), fmt.Sprintf("%s-%d", runName(r.Record), q.ID)
	timings := object{"request_start": w(q.sent), "resolve_start": w(q.sent), "request_end": w(q.EndNS),
		"resolve_end": w(q.EndNS)}
	out := object{"type_": "generative_request_stats", "request_id": id,
		"input_metrics":  object{"text_tokens": q.PromptTokens},
		"output_metrics": object{"text_tokens": q.OutputTokens}}
	info := object{"request_id": id, "status": "errored", "error": cmp.Or(q.Failure, "the request failed"),
		"timings": timings}
	if q.OK {
		info["status"], info["error"] = "completed", nil
		timings["first_token_iteration"], timings["last_token_iteration"] = w(q.FirstTokenNS), w(q.EndNS)
		timings["first_output_token_iteration"] = w(q.FirstTokenNS)
		timings["token_iterations"], timings["request_iterations"] = q.OutputTokens, q.OutputTokens
		out["time_to_first_token_ms"] = q.ttft() * 1e3
		out["time_per_output_token_ms"] = q.latency() * 1e3 / float64(max(q.OutputTokens, 1))
		if v, has := q.perToken(); has {
			out["inter_token_latency_ms"] = v * 1e3
		}
	}
	out["info"], out["request_latency"] = info, q.latency()
	out["prompt_tokens"], out["output_tokens"] = q.PromptTokens, q.OutputTokens
	return out
}

// guidellmMetrics are the distributions over requests and over time.
func guidellmMetrics(r Run, ok, failed []request, counts object, start, end float64) object {
	w := r.window()
	values := func(of func(request) weighted) object {
		return byStatus(ok, failed, func(list []request) distribution { return valuesOf(list, of) })
	}
	only := func(of func(request) weighted) object { // of requests with a first token
		return byStatus(ok, nil, func(list []request) distribution { return valuesOf(list, of) })
	}
	rates := func(of func(request) []weighted) object {
		return byStatus(ok, failed, func(list []request) distribution { return ratesOf(list, of, start, end) })
	}
	count := func(of func(request) int64) func(request) weighted {
		return func(q request) weighted { return weighted{float64(of(q)), 1} }
	}
	total := func(q request) int64 { return q.PromptTokens + q.OutputTokens }
	prompt := func(q request) []weighted { return []weighted{{w(q.FirstTokenNS), float64(q.PromptTokens)}} }
	output := func(q request) []weighted { return evenly(w(q.FirstTokenNS), w(q.EndNS), int(q.OutputTokens)) }
	nothing := byStatus(nil, nil, func([]request) distribution { return distribution{} })
	ones := only(func(request) weighted { return weighted{1, 1} })
	ttft := only(func(q request) weighted { return weighted{q.ttft() * 1e3, 1} })
	none := func(keys ...string) object {
		out := object{}
		for _, key := range keys {
			out[key] = nil
		}
		return out
	}
	return object{
		"request_totals": counts,
		"requests_per_second": rates(func(q request) []weighted {
			return []weighted{{w(q.EndNS), 1}}
		}),
		"request_concurrency": byStatus(ok, failed,
			func(list []request) distribution { return concurrencyOf(list, w, end) }),
		"request_latency":                    values(func(q request) weighted { return weighted{q.latency(), 1} }),
		"request_streaming_iterations_count": values(count(outputTokens)),
		"prompt_token_count":                 values(count(promptTokens)),
		"output_token_count":                 values(count(outputTokens)),
		"total_token_count":                  values(count(total)),
		"time_to_first_token_ms":             ttft,
		"time_to_first_output_token_ms":      ttft,
		"time_per_output_token_ms": only(func(q request) weighted {
			return weighted{q.latency() * 1e3 / float64(max(q.OutputTokens, 1)), float64(q.OutputTokens)}
		}),
		"inter_token_latency_ms": only(func(q request) weighted {
			v, _ := q.perToken()
			return weighted{v * 1e3, float64(q.OutputTokens - 1)}
		}),
		"time_to_last_round_trip_ms": nothing,
		"avg_round_trip_time_ms":     nothing,
		"prompt_tokens_per_second":   rates(prompt),
		"output_tokens_per_second":   rates(output),
		"tokens_per_second": rates(func(q request) []weighted {
			return append(prompt(q), output(q)...)
		}),
		"output_tokens_per_iteration": ones, "iter_tokens_per_iteration": ones,
		"text":      none("tokens", "words", "characters"),
		"image":     none("tokens", "images", "pixels", "bytes"),
		"video":     none("tokens", "frames", "seconds", "bytes"),
		"audio":     none("tokens", "samples", "seconds", "bytes"),
		"tool_call": none("tokens", "mixed_tokens", "count"),
	}
}

// weighted is a value with a weight; of events, the time and how many there are.
type weighted struct{ value, weight float64 }

// distribution are values with weights, and the number of observations behind them.
type distribution struct {
	values []weighted
	count  int
}

// byStatus makes a distribution for each outcome of requests, and for all of them.
func byStatus(ok, failed []request, of func([]request) distribution) object {
	return object{"successful": of(ok).summary(), "errored": of(failed).summary(), "incomplete": of(nil).summary(),
		"total": of(slices.Concat(ok, failed)).summary()}
}

// valuesOf has a value of each request.
func valuesOf(list []request, of func(request) weighted) (d distribution) {
	n := 0.0
	for _, q := range list {
		v := of(q)
		d.values = append(d.values, v)
		n += v.weight
	}
	d.count = int(math.RoundToEven(n))
	return d
}

// together is how near events are merged, in seconds.
const together = 1e-4

// merged sorts events by time and merges the ones near the first of a group.
func merged(events []weighted) (out []weighted) {
	slices.SortStableFunc(events, func(a, b weighted) int { return cmp.Compare(a.value, b.value) })
	for _, e := range events {
		if n := len(out); n > 0 && e.value-out[n-1].value <= together {
			out[n-1].weight += e.weight
			continue
		}
		out = append(out, e)
	}
	return out
}

// ratesOf are the rates of events between start and end: each instant has its events over half the time to both
// neighbours, and that time as its weight.
func ratesOf(list []request, of func(request) []weighted, start, end float64) (d distribution) {
	events := []weighted{{start, 0}, {end, 0}}
	n := 0.0
	for _, q := range list {
		for _, e := range of(q) {
			if e.value >= start && e.value <= end {
				events = append(events, e)
				n += e.weight
			}
		}
	}
	events = merged(events)
	d.count = int(math.RoundToEven(n))
	if len(events) < 2 {
		return d
	}
	last := len(events) - 1
	for i, e := range events {
		before, after := events[max(i-1, 0)].value, events[min(i+1, last)].value
		width := (after - before) / 2
		if i == last {
			width = max(width, 1e-6)
		}
		d.values = append(d.values, weighted{e.weight / width, width})
	}
	return d
}

// concurrencyOf is how many requests were in flight, weighted by time.
func concurrencyOf(list []request, w func(int64) float64, end float64) (d distribution) {
	var changes []weighted
	for _, q := range list {
		changes = append(changes, weighted{w(q.sent), 1}, weighted{w(q.EndNS), -1})
	}
	changes = append(merged(changes), weighted{end, 0})
	level := 0.0
	for i := range len(changes) - 1 {
		level += changes[i].weight
		d.values = append(d.values, weighted{max(level, 0), max(changes[i+1].value-changes[i].value, 0)})
	}
	d.count = len(list)
	return d
}

// evenly are n tokens between the first and the last one: GuideLLM does not keep the time of each.
func evenly(first, last float64, n int) []weighted {
	out := make([]weighted, n)
	for i := range out {
		out[i] = weighted{first, 1}
		if n > 1 {
			out[i].value += (last - first) * float64(i) / float64(n-1)
		}
	}
	return out
}

// guidellmPercentiles are the percentiles of a distribution, by their keys.
var guidellmPercentiles = map[string]float64{"p001": 0.001, "p01": 0.01, "p05": 0.05, "p10": 0.1, "p25": 0.25,
	"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}

// summary are the statistics of a distribution. A percentile is the first value that reaches its share of the weight.
func (d distribution) summary() object {
	values := slices.DeleteFunc(slices.Clone(d.values), func(v weighted) bool { return v.weight <= 0 })
	slices.SortFunc(values, func(a, b weighted) int { return cmp.Compare(a.value, b.value) })
	values = joined(values)
	percentiles := object{}
	out := object{"mean": 0.0, "median": 0.0, "mode": 0.0, "variance": 0.0, "std_dev": 0.0, "min": 0.0, "max": 0.0,
		"count": d.count, "total_sum": 0.0, "percentiles": percentiles, "pdf": nil}
	for key := range guidellmPercentiles {
		percentiles[key] = 0.0
	}
	if len(values) == 0 {
		return out
	}
	all, mean, variance, mode := 0.0, 0.0, 0.0, values[0]
	for _, v := range values {
		all += v.weight
		if v.weight > mode.weight {
			mode = v
		}
	}
	for _, v := range values {
		mean += v.value * v.weight / all
	}
	for _, v := range values {
		variance += (v.value - mean) * (v.value - mean) * v.weight / all
	}
	for key, share := range guidellmPercentiles {
		percentiles[key] = reaches(values, share, all)
	}
	out["mean"], out["median"], out["mode"], out["variance"] = mean, percentiles["p50"], mode.value, variance
	out["std_dev"], out["total_sum"] = math.Sqrt(variance), mean*float64(d.count)
	out["min"], out["max"] = values[0].value, values[len(values)-1].value
	return out
}

// joined adds the weights of equal values.
func joined(sorted []weighted) (out []weighted) {
	for _, v := range sorted {
		if n := len(out); n > 0 && out[n-1].value == v.value {
			out[n-1].weight += v.weight
			continue
		}
		out = append(out, v)
	}
	return out
}

// reaches returns the first of the values whose weights reach a share of all.
func reaches(sorted []weighted, share, all float64) float64 {
	sum := 0.0
	for _, v := range sorted {
		if sum += v.weight / all; sum >= share {
			return v.value
		}
	}
	return sorted[len(sorted)-1].value
}

// isGuideLLM reports whether a document is a report of GuideLLM.
func isGuideLLM(d object) bool {
	_, list := d["benchmarks"].([]any)
	m, _ := d["metadata"].(object)
	_, version := m["guidellm_version"]
	return list && (version || d["config"] != nil || d["args"] != nil)
}
