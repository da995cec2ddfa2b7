package foreign

import (
	"slices"
	"strings"
)

// Definition is a number of another program beside llem's.
type Definition struct {
	// Format is the format that has it.
	Format Format
	// Path leads to it in the document, by keys; %s stands for a statistic.
	Path string
	// Unit is their unit.
	Unit string
	// Ours is llem's metric, without the statistic; empty if llem has none.
	Ours string
	// Factor turns theirs into llem's unit.
	Factor float64
	// Differs is how their definition differs; empty if it is the same.
	Differs string
	// Apart reports that it differs so much that the two are not set side by side.
	Apart bool
	// Required reports that a file without it is damaged.
	Required bool
}

// Definitions is the one table of others' numbers.
func Definitions() []Definition {
	return slices.Concat(vllmTable(), aiperfTable(), guidellmTable(), optimumTable(), endpointsTable())
}

// Names of llem's metrics, and how theirs differ.
const (
	oursTTFT = "latency.response_ttft_ms"
	oursE2E  = "latency.response_e2e_ms"
	oursTPOT = "latency.tpot_ms"
	oursITL  = "latency.itl_ms"
	oursOut  = "throughput.output_tokens_per_s"
	oursAll  = "throughput.total_tokens_per_s"
	oursReq  = "throughput.requests_per_s"
	oursJ    = "energy.total_j"
	ofChunks = "gaps between chunks of the stream: tokens, if the server sends each alone"
	ofSpan   = "per second from the first request to the last token"
	ofLoad   = "of the whole load, with ramp and drain; times from sending, not from the schedule"
)

// row is a line of the table whose unit is llem's.
func row(f Format, path, unit, ours, differs string) Definition {
	return Definition{Format: f, Path: path, Unit: unit, Ours: ours, Factor: 1, Differs: differs}
}

// required marks a line.
func required(d Definition) Definition {
	d.Required = true
	return d
}

// apart marks a line.
func apart(d Definition) Definition {
	d.Apart = true
	return d
}

// scaled gives a line the factor to llem's unit.
func scaled(d Definition, factor float64) Definition {
	d.Factor = factor
	return d
}

func vllmTable() []Definition {
	f := VLLMBench
	return []Definition{
		required(row(f, "duration", "s", "window.duration_s", "")),
		required(row(f, "completed", "", "tokens.requests_ok", "")),
		row(f, "failed", "", "tokens.requests_failed", ""),
		row(f, "total_input_tokens", "tokens", "tokens.prompt", ""),
		row(f, "total_output_tokens", "tokens", "tokens.output", ""),
		required(row(f, "request_throughput", "1/s", oursReq, "")),
		required(row(f, "output_throughput", "1/s", oursOut, "")),
		row(f, "total_token_throughput", "1/s", oursAll, ""),
		row(f, "max_output_tokens_per_s", "1/s", "", "of the busiest second"),
		row(f, "max_concurrent_requests", "", "", "of the busiest second"),
		row(f, "%s_ttft_ms", "ms", oursTTFT, ""),
		row(f, "%s_tpot_ms", "ms", oursTPOT, ""),
		row(f, "%s_itl_ms", "ms", oursITL, ofChunks),
		row(f, "%s_e2el_ms", "ms", oursE2E, ""),
		row(f, "request_goodput", "1/s", "load.goodput_rps", ofLoad),
		row(f, "%s_client_queue_time_ms", "ms", "load.send_lag_ms", "of completed requests of the whole load"),
		row(f, "%s_e2el_including_client_queue_ms", "ms", oursE2E, "of the whole load; from the schedule, as llem's"),
	}
}

func aiperfTable() []Definition {
	f := AIPerf
	out := []Definition{
		row(f, "benchmark_duration.avg", "s", "window.duration_s", "from the first request to the last token"),
		row(f, "request_count.avg", "", "tokens.requests_ok", ""),
		row(f, "error_request_count.avg", "", "tokens.requests_failed", ""),
		row(f, "total_isl.avg", "tokens", "tokens.prompt", ""),
		row(f, "total_osl.avg", "tokens", "tokens.output", ""),
		required(row(f, "request_throughput.avg", "1/s", oursReq, ofSpan)),
		row(f, "output_token_throughput.avg", "1/s", oursOut, ofSpan),
		row(f, "total_token_throughput.avg", "1/s", oursAll, ofSpan),
		row(f, "time_to_first_token.%s", "ms", oursTTFT, ""),
		row(f, "time_to_second_token.%s", "ms", "", "from the first to the second token"),
		row(f, "inter_token_latency.%s", "ms", oursTPOT, "called ITL there: a mean for each request"),
		row(f, "inter_chunk_latency.%s", "ms", oursITL, ofChunks),
		row(f, "request_latency.%s", "ms", oursE2E, ""),
		row(f, "output_token_throughput_per_user.%s", "1/s", "", "1 / inter_token_latency"),
		row(f, "e2e_output_token_throughput.%s", "1/s", "", "tokens of a request over its whole time"),
		row(f, "good_request_count.avg", "", "load.good", ofLoad),
		row(f, "goodput.avg", "1/s", "load.goodput_rps", ofLoad),
	}
	const wider = "until after the last token, with idle GPUs; no interval"
	for _, vendor := range []string{"nvidia_", "amd_"} {
		out = append(out,
			row(f, vendor+"total_gpu_energy.avg", "J", oursJ, wider),
			row(f, vendor+"average_gpu_power.avg", "W", "energy.mean_w", wider),
			scaled(row(f, vendor+"energy_per_output_token.avg", "mJ", "energy.per_output_token_j", wider), 1e-3),
			scaled(row(f, vendor+"energy_per_total_token.avg", "mJ", "energy.per_total_token_j", wider), 1e-3),
			row(f, vendor+"energy_per_request.avg", "J", "energy.per_request_j", wider),
			row(f, vendor+"output_tokens_per_joule.avg", "1/J", "energy.tokens_per_j", wider),
			row(f, vendor+"energy_delay_product.avg", "J·s", "", "J per request times the mean request_latency"),
			row(f, vendor+"performance_per_watt.avg", "1/J", "", "requests per second over the mean power"),
			row(f, vendor+"output_tps_per_watt.avg", "1/J", "energy.tokens_per_j", wider),
			row(f, vendor+"goodput_per_watt.avg", "1/J", "", "good requests per second over the mean power"),
			row(f, vendor+"energy_per_user.avg", "J", "", "over the requests in flight of a closed loop"))
	}
	return out
}

func guidellmTable() []Definition {
	const (
		m       = "metrics."
		s       = ".successful."
		nearest = "percentiles are the next larger value"
		byTime  = "a mean of rates over time, each weighted by how long it held"
	)
	f := GuideLLM
	return []Definition{
		required(row(f, "duration", "s", "window.duration_s", "from the first request to the last token")),
		required(row(f, m+"request_totals.successful", "", "tokens.requests_ok", "")),
		row(f, m+"request_totals.errored", "", "tokens.requests_failed", ""),
		row(f, m+"prompt_token_count"+s+"total_sum", "tokens", "tokens.prompt", ""),
		row(f, m+"output_token_count"+s+"total_sum", "tokens", "tokens.output", ""),
		required(row(f, m+"requests_per_second"+s+"mean", "1/s", oursReq, byTime)),
		row(f, m+"output_tokens_per_second"+s+"mean", "1/s", oursOut, byTime),
		row(f, m+"tokens_per_second"+s+"mean", "1/s", oursAll, byTime),
		row(f, m+"request_concurrency"+s+"mean", "", "", "requests in flight, over time"),
		row(f, m+"time_to_first_token_ms"+s+"%s", "ms", oursTTFT, nearest),
		apart(row(f, m+"time_per_output_token_ms"+s+"%s", "ms", oursTPOT,
			"the whole request over all of its tokens, the first included; weighted by tokens")),
		row(f, m+"inter_token_latency_ms"+s+"%s", "ms", oursTPOT,
			"called ITL there: a mean for each request, weighted by its tokens; "+nearest),
		scaled(row(f, m+"request_latency"+s+"%s", "s", oursE2E, nearest), 1e3),
	}
}

func optimumTable() []Definition {
	f := Optimum
	const ofCall = "of one call for a whole batch"
	return []Definition{
		row(f, "load_model.latency.mean", "s", "timing.load_s", "without the start of the process"),
		apart(scaled(row(f, "prefill.latency.%s", "s", "latency.ttft_ms",
			ofCall+"; some backends time a pass of its own for one token"), 1e3)),
		row(f, "decode.latency.%s", "s", "", ofCall+": the rest after the first token"),
		row(f, "generate.latency.%s", "s", "", ofCall),
		scaled(row(f, "per_token.latency.%s", "s", oursITL, "between the tokens of a batch, not of a request"), 1e3),
		row(f, "prefill.throughput.value", "1/s", "", "samples of a batch over the mean time of the first token"),
		row(f, "generate.throughput.value", "1/s", oursReq,
			"samples of a batch over the mean time of a call, without the time between calls; backends that time "+
				"tokens write tokens instead"),
		apart(row(f, "decode.throughput.value", "1/s", oursOut,
			"tokens after the first over the time after the first")),
		apart(scaled(row(f, "generate.energy.total", "kWh", oursJ,
			"of one call; GPU, processor and memory, the last two modelled where they have no sensor"), jPerKWh)),
		apart(scaled(row(f, "prefill.energy.total", "kWh", "energy.phases.prefill.energy_j",
			"of one call, in a loop of its own"), jPerKWh)),
		apart(scaled(row(f, "decode.energy.total", "kWh", "energy.phases.decode.energy_j",
			"of one call: generate minus prefill"), jPerKWh)),
		row(f, "generate.efficiency.value", "1/kWh", "", "samples; over the energy of all devices"),
		row(f, "decode.efficiency.value", "1/kWh", "", "tokens; over the energy of all devices"),
	}
}

func endpointsTable() []Definition {
	f := Endpoints
	const whole = "of the whole point, with ramp and drain, or of its steady part"
	e := func(field, unit, ours, differs string) Definition {
		return row(f, "energy."+field, unit, ours, differs)
	}
	return []Definition{
		required(scaled(row(f, "duration_ns", "ns", "window.duration_s", whole), 1e-9)),
		row(f, "n_samples_completed", "", "tokens.requests_ok", whole),
		row(f, "n_samples_failed", "", "tokens.requests_failed", whole),
		row(f, "output_sequence_lengths.total", "tokens", "tokens.output", whole),
		required(row(f, "system_tps", "1/s", oursOut, whole)),
		row(f, "tps_per_user", "1/s", "", "1 / the 90th percentile of TPOT"),
		scaled(row(f, "ttft.percentiles.%s", "ns", oursTTFT, ""), 1e-6),
		scaled(row(f, "tpot.percentiles.%s", "ns", oursTPOT, ""), 1e-6),
		e("total_energy_joules", "J", oursJ, "proposed for MLPerf Inference; "+whole),
		e("inference_active_power_watts", "W", "energy.mean_w", "proposed; mean of the same time"),
		e("static_power_baseline_watts", "W", "energy.baseline_w", "proposed; of idle GPUs"),
		e("energy_per_token_joules", "J", "energy.net_per_output_token_j",
			"proposed; from the power above the baseline"),
	}
}

// statistics are llem's names of statistics, in the order in which they are shown.
var statistics = []string{"mean", "p50", "p90", "p95", "p99"}

// Key is the path with a statistic of llem in their words; empty if the definition has no such statistic.
func (d Definition) Key(statistic string) string {
	if !strings.Contains(d.Path, "%s") {
		return ""
	}
	return strings.Replace(d.Path, "%s", about[d.Format].stats[statistic], 1)
}
