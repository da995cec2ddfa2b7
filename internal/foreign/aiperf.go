package foreign

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/stats"
)

// aiperfSchema is the schema_version of AIPerf 0.13.
const aiperfSchema = "1.4"

// aiperf is a run as AIPerf writes it to profile_export_aiperf.json.
func aiperf(r Run) object {
	all := r.requests()
	ok := finished(all)
	start, end := span(ok)
	duration := max(seconds(end-start), 1e-9)
	prompt, output := float64(sum(ok, promptTokens)), float64(sum(ok, outputTokens))
	scalar := func(unit string, v float64) object { return object{"unit": unit, "avg": v} }
	out := object{
		"schema_version": aiperfSchema, "benchmark_id": r.Record.ID, "was_cancelled": false, "is_complete": true,
		"start_time": r.Record.Window.Start.UTC(), "end_time": r.Record.Window.End.UTC(), "metadata": r.origin(),
		"run_info": object{"benchmark_id": r.Record.ID, "run_label": runName(r.Record), "trial": r.Record.Cycle - 1,
			"variation_label": cmp.Or(r.Label, "base")},

		"request_count":           scalar("requests", float64(len(ok))),
		"benchmark_duration":      scalar("sec", duration),
		"request_throughput":      scalar("requests/sec", float64(len(ok))/duration),
		"output_token_throughput": scalar("tokens/sec", output/duration),
		"total_token_throughput":  scalar("tokens/sec", (prompt+output)/duration),
		"total_isl":               scalar("tokens", prompt),
		"total_osl":               scalar("tokens", output),
		"total_output_tokens":     scalar("tokens", output),
		"min_request_timestamp":   scalar("ns", float64(r.wall(start))),
		"max_response_timestamp":  scalar("ns", float64(r.wall(end))),
	}
	if failed := len(all) - len(ok); failed > 0 {
		out["error_request_count"] = scalar("requests", float64(failed))
		out["error_summary"] = failures(all)
	}
	if good, has := r.good(ok); has {
		out["good_request_count"] = scalar("requests", float64(good))
		out["goodput"] = scalar("requests/sec", float64(good)/duration)
	}
	aiperfRequests(out, ok)
	maps.Copy(out, r.aiperfEnergy(float64(len(ok)), prompt, output, duration))
	return out
}

// aiperfRequests adds the distributions over requests.
func aiperfRequests(out object, ok []request) {
	gap := func(q request) (float64, bool) {
		if len(q.TokenNS) < 2 {
			return 0, false
		}
		return seconds(q.TokenNS[1] - q.TokenNS[0]), true
	}
	perUser := func(q request) (float64, bool) {
		v, has := q.perToken()
		if !has || v <= 0 {
			return 0, false
		}
		return 1 / v, true
	}
	var gaps []float64
	for _, q := range ok {
		gaps = append(gaps, q.gaps()...)
	}
	ms := func(of func(request) (float64, bool)) []float64 { return milliseconds(each(ok, of)) }
	ratio := func(n func(request) int64, time func(request) float64) []float64 {
		return each(ok, func(q request) (float64, bool) {
			t := time(q)
			return float64(n(q)) / max(t, 1e-9), t > 0
		})
	}
	for _, m := range []struct {
		tag, unit string
		values    []float64
	}{
		{"time_to_first_token", "ms", ms(always(request.ttft))},
		{"time_to_second_token", "ms", ms(gap)},
		{"inter_token_latency", "ms", ms(request.perToken)},
		{"inter_chunk_latency", "ms", milliseconds(gaps)},
		{"request_latency", "ms", ms(always(request.latency))},
		{"output_token_throughput_per_user", "tokens/sec/user", each(ok, perUser)},
		{"e2e_output_token_throughput", "tokens/sec/user", ratio(outputTokens, request.latency)},
		{"prefill_throughput_per_user", "tokens/sec/user", ratio(promptTokens, request.ttft)},
		{"input_sequence_length", "tokens", each(ok, counted(promptTokens))},
		{"output_sequence_length", "tokens", each(ok, counted(outputTokens))},
		{"output_token_count", "tokens", each(ok, counted(outputTokens))},
	} {
		if d := aiperfValues(m.unit, m.values); d != nil {
			out[m.tag] = d
		}
	}
}

// counted makes a value of a count.
func counted(of func(request) int64) func(request) (float64, bool) {
	return func(q request) (float64, bool) { return float64(of(q)), true }
}

// aiperfValues are the statistics of values: percentiles interpolated, deviation divided by n.
func aiperfValues(unit string, values []float64) object {
	s, ok := stats.Summarize(values)
	if !ok {
		return nil
	}
	total := 0.0
	for _, v := range values {
		total += v
	}
	out := object{"unit": unit, "avg": total / float64(len(values)), "min": slices.Min(values),
		"max": slices.Max(values), "std": spread(values), "count": len(values), "sum": total}
	for _, p := range []int{1, 5, 10, 25, 50, 75, 90, 95, 99} {
		out["p"+strconv.Itoa(p)] = s.Percentile(float64(p))
	}
	return out
}

// aiperfVendors are the prefixes of AIPerf's metrics of energy, by the beginning of the source that llem read.
var aiperfVendors = []struct{ source, prefix string }{{"nvml.", "nvidia_"}, {"amdgpu.", "amd_"}}

// aiperfEnergy are the metrics of the energy of GPUs, from the energy of the window.
func (r Run) aiperfEnergy(requests, prompt, output, duration float64) object {
	joules := r.wholeJ()
	if joules == nil || *joules <= 0 || len(r.Record.Energy.Sources) == 0 || requests == 0 || output == 0 {
		return nil
	}
	i := slices.IndexFunc(aiperfVendors, func(v struct{ source, prefix string }) bool {
		return strings.HasPrefix(r.Record.Energy.TotalJ.Source, v.source)
	})
	if i < 0 {
		return nil
	}
	j, watts := *joules, *joules/r.duration()
	latency := 0.0
	ok := finished(r.requests())
	for _, q := range ok {
		latency += q.latency() / float64(len(ok))
	}
	out := object{}
	for _, m := range []struct {
		tag, unit string
		value     float64
	}{
		{"total_gpu_energy", "J", j},
		{"total_gpu_power", "W", watts},
		{"average_gpu_power", "W", watts},
		{"energy_per_output_token", "mJ/token", j * 1e3 / output},
		{"energy_per_total_token", "mJ/token", j * 1e3 / (prompt + output)},
		{"energy_per_request", "joules/request", j / requests},
		{"output_tokens_per_joule", "tokens/J", output / j},
		{"energy_delay_product", "J*s", j / requests * latency},
		{"performance_per_watt", "requests/sec/W", requests / duration / watts},
		{"output_tps_per_watt", "tokens/sec/W", output / duration / watts},
	} {
		out[aiperfVendors[i].prefix+m.tag] = object{"unit": m.unit, "avg": m.value}
	}
	if good, has := r.good(ok); has {
		out[aiperfVendors[i].prefix+"goodput_per_watt"] = object{"unit": "good-req/s/W",
			"avg": float64(good) / duration / watts}
	}
	if n := r.Record.Config.Workload.Concurrency; n > 0 {
		out[aiperfVendors[i].prefix+"energy_per_user"] = object{"unit": "joules/user", "avg": j / float64(n)}
	}
	return out
}

// failures counts the requests that failed, by their message.
func failures(all []request) []object {
	counts, order := map[string]int{}, []string{}
	for _, q := range all {
		if q.OK {
			continue
		}
		if counts[q.Failure] == 0 {
			order = append(order, q.Failure)
		}
		counts[q.Failure]++
	}
	out := []object{}
	for _, message := range order {
		out = append(out, object{"count": counts[message],
			"error_details": object{"type": "RequestFailed", "message": cmp.Or(message, "the request failed")}})
	}
	return out
}

// isAIPerf reports whether a document has the shape of AIPerf's summary.
func isAIPerf(d object) bool {
	m, ok := d["request_throughput"].(object)
	_, version := d["aiperf_version"]
	_, unit := m["unit"]
	_, schema := d["schema_version"].(string)
	return version || ok && unit || schema && d["run_info"] != nil
}
