package metric

import "slices"

// load are the numbers of requests that arrive by themselves, and of an objective.
func load() []Info {
	return slices.Concat(rates, distributions("load.", []distribution{
		{"send_lag_ms", "send lag", "times from schedule to sending"},
		{"service_ttft_ms", "service TTFT", "times from sending to the first token"},
		{"service_e2e_ms", "service E2E", "times from sending to the last token"},
	}), loaded)
}

// rates are how many requests came, and how many of them well.
var rates = []Info{
	{"load.offered_rps", "1/s", higher, "offered", "Scheduled requests per second of the window."},
	{"load.sent_rps", "1/s", higher, "sent", "Sent requests per second of the window."},
	{"load.completed_rps", "1/s", higher, "completed", "Completed requests per second of the window, by their ends."},
	{"load.completed_rps_per_gpu", "1/s", higher, "completed/GPU",
		"Completed requests per second of the window, for each GPU that runs the model."},
	{"load.output_tokens_per_s_per_gpu", "1/s", higher, "tok/s/GPU",
		"Output tokens per second of the window, for each GPU that runs the model."},
	{"load.output_tokens_per_s_per_user", "1/s", higher, "tok/s/user",
		"Output tokens per second that one request gets: the reciprocal of the median TPOT."},
	{"load.gap_cv", "", lower, "gap CV", "Coefficient of variation of the times between scheduled requests."},
	{"load.scheduled", "", higher, "scheduled", "Requests scheduled in the window."},
	{"load.failed", "", lower, "failed of scheduled", "Requests scheduled in the window that failed."},
	{"load.cut", "", lower, "cut", "Requests scheduled in the window without an answer at the end of the run."},
	{"load.capped", "", lower, "capped", "Requests that were due but waited for a limit of the requests in flight."},
	{"load.good", "", higher, "good", "Scheduled requests that met the objective."},
	{"load.attainment", "", higher, "attainment", "Fraction of the scheduled requests that met the objective."},
	{"load.goodput_rps", "1/s", higher, "goodput", "Requests that met the objective, per second of the window."},
	{"load.search.lower", "", higher, "met at",
		"Highest load that met the objective, in requests per second or in flight."},
	{"load.search.upper", "", higher, "not met at",
		"Lowest load that did not meet the objective, in requests per second or in flight."},
}

// loaded are the state of the engine under the load and its energy.
var loaded = []Info{
	{"load.per_good_token_j", "J", lower, "J/good", "Energy of the window per output token of a good request."},
	{"load.long_run_output_token_j", "J", lower, "J/token in the long run",
		"Energy per output token as a figure of the load, for other windows of it, too."},
	{"load.long_run_good_token_j", "J", lower, "J/good in the long run",
		"Energy per output token of a good request as a figure of the load, for other windows of it, too."},
	{"load.good_tokens", "", higher, "good tokens", "Output tokens of requests that met the objective, in the window."},
	{"load.wasted_tokens", "", lower, "wasted tokens", "Output tokens of requests that were not good, in the window."},
	{"load.wasted_j", "J", lower, "wasted", "Share of the energy, by output tokens, of requests that were not good."},
	{"load.idle_j", "J", lower, "idle", "Energy of the part of the window without a request in flight."},
	{"load.idle_s", "s", lower, "idle time", "Part of the window without a request in flight."},
	{"load.ramp_j", "J", lower, "ramp", "Energy of the load before the window."},
	{"load.drain_j", "J", lower, "drain", "Energy of the load after the window."},
	{"load.ramp_s", "s", lower, "ramp time", "Time of the load before the window."},
	{"load.drain_s", "s", lower, "drain time", "Time of the load after the window."},
	{"load.in_flight", "", lower, "in flight", "Mean number of requests between schedule and end."},
	{"load.max_in_flight", "", lower, "most in flight", "Largest number of requests between schedule and end."},
	{"load.backlog_slope", "1/s", lower, "backlog", "Change of the requests in flight per second."},
	{"load.little_pct", "%", lower, "Little",
		"Difference between the mean in flight and rate × mean response time."},
	{"load.effective_n", "", higher, "independent",
		"Number of independent requests that the response times are worth."},
	{"load.halves.power_pct", "%", lower, "drift of power",
		"Difference of the mean power of the second half of the window from the first."},
	{"load.halves.rate_pct", "%", lower, "drift of rate",
		"Difference of the output tokens per second of the second half of the window from the first."},
}
