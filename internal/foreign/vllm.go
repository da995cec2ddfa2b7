package foreign

import (
	"fmt"
	"math"
	"strings"

	"github.com/llenergymeasure/llem/internal/stats"
)

// vllmPercentiles are the percentiles of vllm bench serve's --metric-percentiles.
var vllmPercentiles = []float64{50, 90, 95, 99}

// vllmBench is a run as vllm bench serve --save-detailed writes it (vLLM 0.33). The keys of llem among them are what
// its --metadata KEY=VALUE adds.
func vllmBench(r Run) object {
	all := r.requests()
	ok := finished(all)
	w, duration := r.Record.Window, r.duration()
	rate, burstiness := r.arrivals()
	prompt, output := sum(ok, promptTokens), sum(ok, outputTokens)
	out := object{
		"date": w.Start.UTC().Format("20060102-150405"), "endpoint_type": r.Record.Backend.Name,
		"backend": r.Record.Backend.Name, "label": r.Label, "model_id": r.Record.Config.Model,
		"tokenizer_id": r.Record.Config.Model, "num_prompts": len(all), "request_rate": rate,
		"burstiness":      burstiness,
		"max_concurrency": nil, "duration": duration, "completed": len(ok), "failed": len(all) - len(ok),
		"total_input_tokens": prompt, "total_output_tokens": output,
		"request_throughput": float64(len(ok)) / duration, "request_goodput": nil,
		"output_throughput":      float64(output) / duration,
		"total_token_throughput": float64(prompt+output) / duration,
	}
	if n := r.Record.Config.Workload.Concurrency; n > 0 {
		out["max_concurrency"] = n
	}
	if good, has := r.good(ok); has {
		out["request_goodput"] = float64(good) / duration
	}
	for key, value := range r.origin() {
		out[key] = value
	}
	out["max_output_tokens_per_s"], out["max_concurrent_requests"] = busiest(ok)
	vllmLists(out, all)
	var gaps []float64
	for _, q := range ok {
		gaps = append(gaps, q.gaps()...)
	}
	for name, values := range map[string][]float64{"ttft": each(ok, always(request.ttft)),
		"tpot": each(ok, request.perToken), "itl": gaps, "e2el": each(ok, always(request.latency))} {
		vllmTimes(out, name, milliseconds(values))
	}
	if r.open() {
		out["queue_times"] = queued(all)
		vllmTimes(out, "client_queue_time", milliseconds(queued(ok)))
		vllmTimes(out, "e2el_including_client_queue", milliseconds(each(ok, always(func(q request) float64 {
			return seconds(q.EndNS - q.due)
		}))))
	}
	return out
}

// vllmTimes adds the statistics of times in milliseconds. As in vllm bench serve, they are 0 without values.
func vllmTimes(out object, name string, values []float64) {
	if len(values) == 0 {
		values = []float64{0}
	}
	s, _ := stats.Summarize(values)
	out["mean_"+name+"_ms"], out["median_"+name+"_ms"] = stats.Mean(values), s.Percentile(50)
	out["std_"+name+"_ms"] = spread(values)
	for _, p := range vllmPercentiles {
		out[fmt.Sprintf("p%g_%s_ms", p, name)] = s.Percentile(p)
	}
}

// vllmLists adds the values of each request; a failed one has zeros.
func vllmLists(out object, all []request) {
	n := len(all)
	in, produced, start, first := make([]int64, n), make([]int64, n), make([]float64, n), make([]float64, n)
	whole, failures, gaps := make([]float64, n), make([]string, n), make([][]float64, n)
	for i, q := range all {
		in[i], start[i], failures[i], gaps[i] = q.PromptTokens, seconds(q.sent), q.Failure, []float64{}
		if q.OK {
			produced[i], first[i], whole[i], gaps[i] = q.OutputTokens, q.ttft(), q.latency(), q.gaps()
		}
	}
	out["input_lens"], out["output_lens"], out["start_times"], out["ttfts"] = in, produced, start, first
	out["latencies"], out["errors"], out["itls"] = whole, failures, gaps
}

// busiest returns the most tokens and the most requests of any second since the first request.
func busiest(ok []request) (tokens float64, requests int) {
	start, _ := span(ok)
	perSecond, running := map[int]float64{}, map[int]int{}
	second := func(ns int64) int { return int(math.Floor(seconds(ns - start))) }
	for _, q := range ok {
		for _, at := range q.TokenNS {
			perSecond[second(at)]++
			tokens = max(tokens, perSecond[second(at)])
		}
		for s := second(q.sent); s <= second(q.EndNS); s++ {
			running[s]++
			requests = max(requests, running[s])
		}
	}
	return tokens, requests
}

// isVLLM reports whether a document has the keys of vllm bench serve.
func isVLLM(d object) bool {
	_, rate := d["request_throughput"].(float64)
	_, done := d["completed"]
	return rate && done || hasPrefixed(d, "mean_ttft_ms", "mean_tpot_ms", "output_throughput")
}

// hasPrefixed reports whether a document has two or more of the keys.
func hasPrefixed(d object, keys ...string) bool {
	n := 0
	for key := range d {
		for _, want := range keys {
			if strings.HasPrefix(key, want) {
				n++
			}
		}
	}
	return n > 1
}
