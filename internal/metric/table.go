package metric

import "slices"

// Info is what is written of a metric.
type Info struct {
	// Name is the path of the number in result.json.
	Name string
	// Unit of the number; empty for a count.
	Unit string
	// Higher reports whether larger values are preferred.
	Higher bool
	// Head is the heading of a column of the metric.
	Head string
	// Meaning is a description in one sentence.
	Meaning string
}

// The better direction of a metric.
const (
	lower  = false
	higher = true
)

// table has a line for every number of result.json by which runs are compared. All code that prints, sorts, names or
// documents a metric uses it.
var table = slices.Concat(energy, phases(), []Info{
	{"energy.phases.shared_j", "J", lower, "shared", "Energy of mixed steps that both phases cause together."},
	{"energy.unattributed_j", "J", lower, "no phase", "Energy of the window that belongs to no phase."},
}, throughput, latencies(), []Info{
	{"latency.excluded", "", lower, "first uses",
		"Requests excluded from the latencies because they include the first use of a shape."},
}, load(), memory, compute, tokens, window, timing, harness, client, gpu)

// All returns all metrics.
func All() []Info { return table }

// energy are the energies of the window.
var energy = []Info{
	{"energy.per_output_token_j", "J", lower, "J/out", "Energy of the window per generated token."},
	{"energy.per_total_token_j", "J", lower, "J/token", "Energy of the window per prompt or generated token."},
	{"energy.per_request_j", "J", lower, "J/request", "Energy of the window per completed request."},
	{"energy.wh_per_1000_requests", "Wh", lower, "Wh/1000 req", "Energy of the window per 1,000 completed requests."},
	{"energy.tokens_per_j", "1/J", higher, "tok/J", "Generated tokens per joule."},
	{"energy.total_j", "J", lower, "energy", "Energy of the window."},
	{"energy.net_j", "J", lower, "net energy", "Energy of the window above the power of the bare machine."},
	{"energy.net_resident_j", "J", lower, "net of loaded",
		"Energy of the window above the idle power with the model loaded."},
	{"energy.net_per_output_token_j", "J", lower, "net J/out",
		"Energy above the power of the bare machine per generated token."},
	{"energy.net_resident_per_output_token_j", "J", lower, "net of loaded J/out",
		"Energy above the idle power with the model loaded per generated token."},
	{"energy.net_per_total_token_j", "J", lower, "net J/token",
		"Energy above the power of the bare machine per prompt or generated token."},
	{"energy.net_per_request_j", "J", lower, "net J/request",
		"Energy above the power of the bare machine per completed request."},
	{"energy.mean_w", "W", lower, "power", "Mean power of the window."},
	{"energy.baseline_w", "W", lower, "idle power", "Idle power of the bare machine."},
	{"energy.resident_w", "W", lower, "loaded power", "Idle power with the model loaded."},
	{"energy.node_j", "J", lower, "node energy", "Energy of the whole machine in the window, by its own meter."},
	{"energy.node_w", "W", lower, "node power", "Mean power of the whole machine in the window, by its own meter."},
	{"energy.node_per_output_token_j", "J", lower, "node J/out", "Energy of the whole machine per output token."},
	{"energy.node_overhead_j", "J", lower, "node overhead",
		"Energy of the whole machine minus the devices that ran the model."},
	{"energy.co2e_g", "g", lower, "CO2e",
		"Carbon dioxide equivalent of the window, by the study's carbon intensity and PUE."},
	{"energy.cost", "", lower, "cost", "Cost of the window in the study's currency, by its price and PUE."},
	{"energy.min_window.for_1_pct_s", "s", lower, "window ±1 %", "Length of a window that is known to ±1 %."},
	{"energy.min_window.for_5_pct_s", "s", lower, "window ±5 %", "Length of a window that is known to ±5 %."},
	{"energy.agreement.counter_j", "J", lower, "by counter", "Energy of the window by the device's energy counter."},
	{"energy.agreement.integral_j", "J", lower, "by series",
		"Energy of the window by the integral of the power series."},
	{"energy.agreement.difference_pct", "%", lower, "disagreement", "How much the integral differs from the counter."},
}

// phases are the phases of the window: steps over prompts, steps that generate tokens, and the rest.
func phases() []Info {
	var out []Info
	for _, p := range []struct{ name, what string }{
		{"prefill", "steps over prompt tokens"},
		{"decode", "steps that generate tokens"},
		{"other", "the time without a step"},
	} {
		for _, n := range []Info{
			{"j_per_token", "J", lower, "J/" + p.name, "Energy of " + p.what + ", per token of the phase."},
			{"energy_j", "J", lower, p.name, "Energy of " + p.what + "."},
			{"low_j", "J", lower, p.name + " low", "Lower bound of the energy of " + p.what + "."},
			{"high_j", "J", lower, p.name + " high", "Upper bound of the energy of " + p.what + "."},
			{"mean_w", "W", lower, p.name + " power", "Mean power of " + p.what + "."},
			{"duration_s", "s", lower, p.name + " time", "Duration of " + p.what + "."},
			{"tokens", "", lower, p.name + " tokens", "Tokens of " + p.what + "."},
		} {
			n.Name = "energy.phases." + p.name + "." + n.Name
			out = append(out, n)
		}
	}
	return out
}

// throughput are the speeds.
var throughput = []Info{
	{"throughput.output_tokens_per_s", "1/s", higher, "tok/s", "Generated tokens per second of the window."},
	{"throughput.total_tokens_per_s", "1/s", higher, "all tok/s",
		"Prompt and generated tokens per second of the window."},
	{"throughput.requests_per_s", "1/s", higher, "req/s", "Completed requests per second of the window."},
}

// latencies are the distributions of latencies: every number of each is a metric.
func latencies() []Info {
	return distributions("latency.", []distribution{
		{"ttft_ms", "TTFT", "service times to the first token"},
		{"itl_ms", "ITL", "times between two tokens"},
		{"tpot_ms", "TPOT", "times per output token after the first, by request"},
		{"e2e_ms", "E2E", "service times to the last token"},
		{"queue_ms", "queue", "times from arrival to start, by request"},
		{"response_ttft_ms", "TTFT+queue", "times from arrival to the first token"},
		{"response_e2e_ms", "E2E+queue", "times from arrival to the last token"},
	})
}

// distribution is an object of result.json with the numbers of a distribution of times, the beginning of their heads,
// and what the times are.
type distribution struct{ name, head, what string }

// distributions are the metrics of distributions whose names begin with a prefix.
func distributions(prefix string, of []distribution) []Info {
	var out []Info
	for _, d := range of {
		for _, n := range []struct{ name, head, what string }{
			{"p50", "", "Median"},
			{"p90", " p90", "90th percentile"},
			{"p95", " p95", "95th percentile"},
			{"p99", " p99", "99th percentile"},
			{"mean", " mean", "Mean"},
			{"sd", " sd", "Standard deviation"},
			{"min", " min", "Smallest"},
			{"max", " max", "Largest"},
		} {
			out = append(out, Info{prefix + d.name + "." + n.name, "ms", lower, d.head + n.head,
				n.what + " of the " + d.what + "."})
		}
	}
	return out
}

// memory are the peaks of memory.
var memory = []Info{
	{"memory.peak_bytes", "B", lower, "memory", "Peak memory of the engine, by its own figure where it has one."},
	{"memory.process_peak_bytes", "B", lower, "process memory", "Peak memory of the engine's processes."},
	{"memory.estimated_bytes", "B", lower, "expected memory", "Weights and KV cache by shape."},
}

// compute are the numbers of the model and its operations.
var compute = []Info{
	{"compute.flops_per_j", "FLOP/J", higher, "FLOP/J", "Floating-point operations by shape, per joule."},
	{"compute.flops_per_s", "FLOP/s", higher, "FLOP/s",
		"Floating-point operations by shape, per second of the window."},
	{"compute.flops", "FLOP", lower, "FLOP", "Floating-point operations of the window, by shape."},
	{"compute.flops_prefill", "FLOP", lower, "prefill FLOP", "Floating-point operations for prompt tokens, by shape."},
	{"compute.flops_decode", "FLOP", lower, "decode FLOP", "Floating-point operations for generated tokens, by shape."},
	{"compute.parameters", "", lower, "parameters", "Parameters of the model."},
	{"compute.parameters_non_embedding", "", lower, "without embedding", "Parameters of the model without embeddings."},
	{"compute.parameters_active", "", lower, "active", "Parameters that one token uses."},
}

// tokens are the tokens and requests.
var tokens = []Info{
	{"tokens.output", "", higher, "output", "Generated tokens of completed requests."},
	{"tokens.output_asked", "", higher, "output asked", "Output tokens that were requested."},
	{"tokens.prompt", "", higher, "prompt", "Prompt tokens of completed requests."},
	{"tokens.prompt_computed", "", higher, "computed", "Prompt tokens that the engine processed."},
	{"tokens.prompt_given", "", higher, "prompt given", "Prompt tokens that were given to the engine."},
	{"tokens.requests_ok", "", higher, "requests", "Completed requests."},
	{"tokens.requests_failed", "", lower, "failed", "Requests that failed."},
}

// window are the numbers of the window.
var window = []Info{
	{"window.duration_s", "s", lower, "window", "Length of the window."},
	{"window.repeats", "", lower, "repeats", "How often the workload ran in the window."},
}

// timing are the durations of the parts of a run.
var timing = []Info{
	{"timing.load_s", "s", lower, "load", "Start of the engine and loading of the model."},
	{"timing.warmup_s", "s", lower, "warm-up", "Duration of the warm-up."},
	{"timing.window_s", "s", lower, "in window", "Length of the window, as part of the run's time."},
	{"timing.discarded_window_s", "s", lower, "discarded",
		"Length of a window that was too short and was measured again."},
	{"timing.baseline_s", "s", lower, "baseline", "Duration of the measurement of the idle machine."},
	{"timing.gap_s", "s", lower, "rest", "Pause before the run."},
	{"timing.took_s", "s", lower, "took", "Duration of the run with everything around it."},
}

// harness are what measuring took.
var harness = []Info{
	{"harness.cpu_s", "s", lower, "llem CPU", "Processor time of llem in the window."},
	{"harness.host_cpu_s", "s", lower, "host CPU", "Processor time of all processes in the window."},
	{"harness.other_cpu_s", "s", lower, "others' CPU",
		"Processor time of processes that are neither llem's nor the engine's, in the window."},
	{"harness.energy_j", "J", lower, "llem energy", "Estimated energy that measuring took in the window."},
	{"harness.sampler_cpu_pct", "%", lower, "sampler CPU", "Processor time of the sampler, in percent of one core."},
	{"harness.sampler_polls", "", lower, "polls", "How often meters were polled."},
	{"harness.sampler_bytes", "B", lower, "series memory", "Memory of the series that were sampled in the window."},
	{"harness.peak_bytes", "B", lower, "llem memory", "Peak memory of llem."},
	{"harness.clock_slack_ns", "ns", lower, "clock slack", "Uncertainty between wall clock and CLOCK_MONOTONIC."},
}

// client are errors of the client of server engines, by its audit.
var client = []Info{
	{"harness.client.send_lag_p50_us", "µs", lower, "audit lag p50", "How late the client sends, median of its audit."},
	{"harness.client.send_lag_p99_us", "µs", lower, "audit lag p99",
		"How late the client sends, 99th percentile of its audit."},
	{"harness.client.send_lag_max_us", "µs", lower, "audit lag max",
		"How late the client sends, maximum of its audit."},
	{"harness.client.ttft_error_us", "µs", lower, "audit TTFT error",
		"Mean error of the client's times to the first token, by its audit."},
	{"harness.client.ttft_error_p99_us", "µs", lower, "audit TTFT error p99",
		"Absolute error of the client's times to the first token, 99th percentile of its audit."},
	{"harness.client.itl_error_p50_us", "µs", lower, "audit ITL error p50",
		"Absolute error of the client's times between tokens, median of its audit."},
	{"harness.client.itl_error_p99_us", "µs", lower, "audit ITL error p99",
		"Absolute error of the client's times between tokens, 99th percentile of its audit."},
	{"harness.client.unknown_pct", "%", lower, "audit unknown",
		"Times between tokens whose error the client's audit could not tell."},
	{"harness.client.cpu_s_per_million", "s", lower, "audit CPU/million",
		"Processor time of the client per million tokens, by its audit."},
}

// gpu are the states of the GPUs.
var gpu = []Info{
	{"gpu.temperature_c", "°C", lower, "temperature", "Mean temperature of the hottest counted GPU in the window."},
	{"gpu.clock_mhz", "MHz", higher, "clock", "Mean clock of the slowest counted GPU under load in the window."},
}
