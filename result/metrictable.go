package result

import (
	"math"
	"slices"
)

// metricTable has a line for every number of result.json for comparing runs. All code that prints, sorts or
// documents a metric uses it; TestEveryNumberIsAMetric finds missing numbers.
func metricTable() []MetricInfo {
	return slices.Concat(energyMetrics(), phaseMetrics(), throughputMetrics, latencyMetrics(), memoryMetrics,
		computeMetrics(), tokenMetrics(), windowMetrics(), timingMetrics(), harnessMetrics(),
		gpuMetrics)
}

// energyMetrics are the energies of the window.
func energyMetrics() []MetricInfo {
	of := func(name, unit, label, meaning string, get func(*Energy) *Quantity) MetricInfo {
		return MetricInfo{Name: "energy." + name, Unit: unit, Label: label, Meaning: meaning,
			of: func(r *Record) float64 { return value(get(&r.Energy)) }}
	}
	out := []MetricInfo{
		of("per_output_token_j", "J", "J/out", "Energy of the window per generated token.",
			func(e *Energy) *Quantity { return e.PerOutputTokenJ }),
		of("per_total_token_j", "J", "J/token", "Energy of the window per prompt or generated token.",
			func(e *Energy) *Quantity { return e.PerTotalTokenJ }),
		of("per_request_j", "J", "J/request", "Energy of the window per completed request.",
			func(e *Energy) *Quantity { return e.PerRequestJ }),
		of("wh_per_1000_requests", "Wh", "Wh/1000 req", "Energy of the window per 1,000 completed requests.",
			func(e *Energy) *Quantity { return e.WhPer1000Requests }),
		of("tokens_per_j", "1/J", "tok/J", "Generated tokens per joule.",
			func(e *Energy) *Quantity { return e.TokensPerJ }),
		of("total_j", "J", "energy", "Energy of the window.", func(e *Energy) *Quantity { return e.TotalJ }),
		of("net_j", "J", "net energy", "Energy of the window above the power of the bare machine.",
			func(e *Energy) *Quantity { return e.NetJ }),
		of("net_resident_j", "J", "net of loaded", "Energy of the window above the idle power with the model loaded.",
			func(e *Energy) *Quantity { return e.NetResidentJ }),
		of("net_per_output_token_j", "J", "net J/out",
			"Energy above the power of the bare machine per generated token.",
			func(e *Energy) *Quantity { return e.NetPerOutputTokenJ }),
		of("net_resident_per_output_token_j", "J", "net of loaded J/out",
			"Energy above the idle power with the model loaded per generated token.",
			func(e *Energy) *Quantity { return e.NetResidentPerOutputTokenJ }),
		of("net_per_total_token_j", "J", "net J/token",
			"Energy above the power of the bare machine per prompt or generated token.",
			func(e *Energy) *Quantity { return e.NetPerTotalTokenJ }),
		of("net_per_request_j", "J", "net J/request",
			"Energy above the power of the bare machine per completed request.",
			func(e *Energy) *Quantity { return e.NetPerRequestJ }),
		of("mean_w", "W", "power", "Mean power of the window.", func(e *Energy) *Quantity { return e.MeanW }),
		of("baseline_w", "W", "idle power", "Idle power of the bare machine.",
			func(e *Energy) *Quantity { return e.BaselineW }),
		of("resident_w", "W", "loaded power", "Idle power with the model loaded.",
			func(e *Energy) *Quantity { return e.ResidentW }),
		of("node_j", "J", "node energy", "Energy of the whole machine in the window, by its own meter.",
			func(e *Energy) *Quantity { return e.NodeJ }),
		of("node_w", "W", "node power", "Mean power of the whole machine in the window, by its own meter.",
			func(e *Energy) *Quantity { return e.NodeW }),
		of("node_per_output_token_j", "J", "node J/out", "Energy of the whole machine per output token.",
			func(e *Energy) *Quantity { return e.NodePerOutputTokenJ }),
		of("node_overhead_j", "J", "node overhead",
			"Energy of the whole machine minus the devices that ran the model.",
			func(e *Energy) *Quantity { return e.NodeOverheadJ }),
		of("co2e_g", "g", "CO2e", "Carbon dioxide equivalent of the window, by the study's carbon intensity and PUE.",
			func(e *Energy) *Quantity { return e.CO2eG }),
		of("cost", "", "cost", "Cost of the window in the study's currency, by its price and PUE.",
			func(e *Energy) *Quantity { return e.Cost }),
	}
	out[4].HigherIsBetter = true // tokens_per_j
	number := func(name, unit, label, meaning string, get func(*Energy) *float64) MetricInfo {
		return MetricInfo{Name: "energy." + name, Unit: unit, Label: label, Meaning: meaning,
			of: func(r *Record) float64 { return number(get(&r.Energy)) }}
	}
	return append(out,
		number("min_window.for_1_pct_s", "s", "window ±1 %", "Length of a window that is known to ±1 %.",
			func(e *Energy) *float64 { return part(e.MinWindow, func(m *MinWindow) *float64 { return &m.For1PctS }) }),
		number("min_window.for_5_pct_s", "s", "window ±5 %", "Length of a window that is known to ±5 %.",
			func(e *Energy) *float64 { return part(e.MinWindow, func(m *MinWindow) *float64 { return &m.For5PctS }) }),
		number("agreement.counter_j", "J", "by counter", "Energy of the window by the device's energy counter.",
			func(e *Energy) *float64 { return part(e.Agreement, func(a *Agreement) *float64 { return a.CounterJ }) }),
		number("agreement.integral_j", "J", "by series", "Energy of the window by the integral of the power series.",
			func(e *Energy) *float64 { return part(e.Agreement, func(a *Agreement) *float64 { return a.IntegralJ }) }),
		number("agreement.difference_pct", "%", "disagreement", "How much the integral differs from the counter.",
			func(e *Energy) *float64 {
				return part(e.Agreement,
					func(a *Agreement) *float64 { return a.DifferencePct })
			}),
	)
}

// phaseMetrics are the phases of the window, and the part without a phase.
func phaseMetrics() []MetricInfo {
	var out []MetricInfo
	for _, p := range []struct {
		name, what string
		of         func(*Phases) *Phase
	}{
		{"prefill", "steps over prompt tokens", func(p *Phases) *Phase { return p.Prefill }},
		{"decode", "steps that generate tokens", func(p *Phases) *Phase { return p.Decode }},
		{"other", "the time without a step", func(p *Phases) *Phase { return p.Other }},
	} {
		of := func(name, unit, label, meaning string, get func(*Phase) *float64) MetricInfo {
			return MetricInfo{Name: "energy.phases." + p.name + "." + name, Unit: unit, Label: label,
				Meaning: meaning, of: func(r *Record) float64 {
					return number(part(r.Energy.Phases, func(all *Phases) *float64 { return part(p.of(all), get) }))
				}}
		}
		out = append(out,
			of("j_per_token", "J", "J/"+p.name, "Energy of "+p.what+", per token of the phase.",
				func(p *Phase) *float64 { return p.JPerToken }),
			of("energy_j", "J", p.name, "Energy of "+p.what+".", func(p *Phase) *float64 { return p.EnergyJ }),
			of("low_j", "J", p.name+" low", "Lower bound of the energy of "+p.what+".",
				func(p *Phase) *float64 { return p.LowJ }),
			of("high_j", "J", p.name+" high", "Upper bound of the energy of "+p.what+".",
				func(p *Phase) *float64 { return p.HighJ }),
			of("mean_w", "W", p.name+" power", "Mean power of "+p.what+".",
				func(p *Phase) *float64 { return p.MeanW }),
			of("duration_s", "s", p.name+" time", "Duration of "+p.what+".",
				func(p *Phase) *float64 { return &p.DurationS }),
			of("tokens", "", p.name+" tokens", "Tokens of "+p.what+".",
				func(p *Phase) *float64 { return new(float64(p.Tokens)) }))
	}
	return append(out,
		MetricInfo{Name: "energy.phases.shared_j", Unit: "J", Label: "shared",
			Meaning: "Energy of mixed steps that both phases cause together.", of: func(r *Record) float64 {
				return number(part(r.Energy.Phases, func(p *Phases) *float64 { return &p.SharedJ }))
			}},
		MetricInfo{Name: "energy.unattributed_j", Unit: "J", Label: "no phase",
			Meaning: "Energy of the window that belongs to no phase.",
			of:      func(r *Record) float64 { return value(r.Energy.UnattributedJ) }})
}

var throughputMetrics = []MetricInfo{
	{"throughput.output_tokens_per_s", "1/s", true, "tok/s", "Generated tokens per second of the window.",
		throughput(func(t *Throughput) float64 { return t.OutputTokensPerS })},
	{"throughput.total_tokens_per_s", "1/s", true, "all tok/s", "Prompt and generated tokens per second of the window.",
		throughput(func(t *Throughput) float64 { return t.TotalTokensPerS })},
	{"throughput.requests_per_s", "1/s", true, "req/s", "Completed requests per second of the window.",
		throughput(func(t *Throughput) float64 { return t.RequestsPerS })},
}

func throughput(of func(*Throughput) float64) func(*Record) float64 {
	return func(r *Record) float64 {
		return number(part(r.Throughput, func(t *Throughput) *float64 { return new(of(t)) }))
	}
}

// distributions are the latency distributions: every number of each is a metric.
var distributions = []struct {
	name, label string
	// what describes the values, after "Mean of the".
	what string
	of   func(*Latency) *Distribution
}{
	{"ttft_ms", "TTFT", "service times to the first token", func(l *Latency) *Distribution { return l.TTFT }},
	{"itl_ms", "ITL", "times between two tokens", func(l *Latency) *Distribution { return l.ITL }},
	{"tpot_ms", "TPOT", "times per output token after the first, by request",
		func(l *Latency) *Distribution { return l.TPOT }},
	{"e2e_ms", "E2E", "service times to the last token", func(l *Latency) *Distribution { return l.E2E }},
	{"queue_ms", "queue", "times from arrival to start, by request",
		func(l *Latency) *Distribution { return l.Queue }},
	{"response_ttft_ms", "response TTFT", "times from arrival to the first token",
		func(l *Latency) *Distribution { return l.ResponseTTFT }},
	{"response_e2e_ms", "response E2E", "times from arrival to the last token",
		func(l *Latency) *Distribution { return l.ResponseE2E }},
}

// distributionNumbers are the numbers of one distribution.
var distributionNumbers = []struct {
	name, label, what string
	of                func(*Distribution) *float64
}{
	{"p50", "", "Median", func(d *Distribution) *float64 { return &d.P50 }},
	{"p90", " p90", "90th percentile", func(d *Distribution) *float64 { return d.P90 }},
	{"p95", " p95", "95th percentile", func(d *Distribution) *float64 { return d.P95 }},
	{"p99", " p99", "99th percentile", func(d *Distribution) *float64 { return d.P99 }},
	{"mean", " mean", "Mean", func(d *Distribution) *float64 { return &d.Mean }},
	{"sd", " sd", "Standard deviation", func(d *Distribution) *float64 { return d.SD }},
	{"min", " min", "Smallest", func(d *Distribution) *float64 { return &d.Min }},
	{"max", " max", "Largest", func(d *Distribution) *float64 { return &d.Max }},
}

func latencyMetrics() []MetricInfo {
	var out []MetricInfo
	for _, d := range distributions {
		for _, n := range distributionNumbers {
			out = append(out, MetricInfo{Name: "latency." + d.name + "." + n.name, Unit: "ms",
				Label: d.label + n.label, Meaning: n.what + " of the " + d.what + ".", of: func(r *Record) float64 {
					return number(part(r.Latency, func(l *Latency) *float64 { return part(d.of(l), n.of) }))
				}})
		}
	}
	return append(out, MetricInfo{Name: "latency.excluded", Label: "first uses",
		Meaning: "Requests excluded from the latencies because they include the first use of a shape.",
		of: func(r *Record) float64 {
			return number(part(r.Latency, func(l *Latency) *float64 { return new(float64(l.Excluded)) }))
		}})
}

var memoryMetrics = []MetricInfo{
	{"memory.peak_bytes", "B", false, "memory", "Peak memory of the engine, by its own figure where it has one.",
		func(r *Record) float64 { return whole(r.Memory.PeakBytes) }},
	{"memory.process_peak_bytes", "B", false, "process memory", "Peak memory of the engine's processes.",
		func(r *Record) float64 { return whole(r.Memory.ProcessPeakBytes) }},
	{"memory.estimated_bytes", "B", false, "expected memory", "Weights and KV cache by shape.",
		func(r *Record) float64 { return whole(r.Memory.EstimatedBytes) }},
}

func computeMetrics() []MetricInfo {
	of := func(name, unit string, higher bool, label, meaning string, get func(*Compute) *float64) MetricInfo {
		return MetricInfo{"compute." + name, unit, higher, label, meaning,
			func(r *Record) float64 { return number(part(r.Compute, get)) }}
	}
	return []MetricInfo{
		of("flops_per_j", "FLOP/J", true, "FLOP/J", "Floating-point operations by shape, per joule.",
			func(c *Compute) *float64 { return c.FLOPsPerJ }),
		of("flops_per_s", "FLOP/s", true, "FLOP/s", "Floating-point operations by shape, per second of the window.",
			func(c *Compute) *float64 { return &c.FLOPsPerS }),
		of("flops", "FLOP", false, "FLOP", "Floating-point operations of the window, by shape.",
			func(c *Compute) *float64 { return &c.FLOPs }),
		of("flops_prefill", "FLOP", false, "prefill FLOP", "Floating-point operations for prompt tokens, by shape.",
			func(c *Compute) *float64 { return &c.FLOPsPrefill }),
		of("flops_decode", "FLOP", false, "decode FLOP", "Floating-point operations for generated tokens, by shape.",
			func(c *Compute) *float64 { return &c.FLOPsDecode }),
		of("parameters", "", false, "parameters", "Parameters of the model.",
			func(c *Compute) *float64 { return new(float64(c.Parameters)) }),
		of("parameters_non_embedding", "", false, "without embedding", "Parameters of the model without embeddings.",
			func(c *Compute) *float64 { return new(float64(c.NonEmbedding)) }),
		of("parameters_active", "", false, "active", "Parameters that one token uses.",
			func(c *Compute) *float64 { return new(float64(c.Active)) }),
	}
}

func tokenMetrics() []MetricInfo {
	of := func(name string, higher bool, label, meaning string, get func(*Tokens) int64) MetricInfo {
		return MetricInfo{"tokens." + name, "", higher, label, meaning, func(r *Record) float64 {
			return number(part(r.Tokens, func(t *Tokens) *float64 { return new(float64(get(t))) }))
		}}
	}
	return []MetricInfo{
		of("output", true, "output", "Generated tokens of completed requests.",
			func(t *Tokens) int64 { return t.Output }),
		of("output_asked", true, "output asked", "Output tokens that were requested.",
			func(t *Tokens) int64 { return t.Asked }),
		of("prompt", true, "prompt", "Prompt tokens of completed requests.", func(t *Tokens) int64 { return t.Prompt }),
		of("prompt_computed", true, "computed", "Prompt tokens that the engine processed.",
			func(t *Tokens) int64 { return t.PromptComputed }),
		of("prompt_given", true, "prompt given", "Prompt tokens that were given to the engine.",
			func(t *Tokens) int64 { return t.Given }),
		of("requests_ok", true, "requests", "Completed requests.", func(t *Tokens) int64 { return t.RequestsOK }),
		of("requests_failed", false, "failed", "Requests that failed.",
			func(t *Tokens) int64 { return t.RequestsFailed }),
	}
}

func windowMetrics() []MetricInfo {
	return []MetricInfo{
		{"window.duration_s", "s", false, "window", "Length of the window.", func(r *Record) float64 {
			return number(part(r.Window, func(w *Window) *float64 { return &w.DurationS }))
		}},
		{"window.repeats", "", false, "repeats", "How often the workload ran in the window.",
			func(r *Record) float64 {
				return number(part(r.Window, func(w *Window) *float64 { return new(float64(w.Repeats)) }))
			}},
	}
}

func timingMetrics() []MetricInfo {
	of := func(name, label, meaning string, get func(*Timing) float64) MetricInfo {
		return MetricInfo{"timing." + name, "s", false, label, meaning,
			func(r *Record) float64 { return get(&r.Timing) }}
	}
	return []MetricInfo{
		of("load_s", "load", "Start of the engine and loading of the model.",
			func(t *Timing) float64 { return t.LoadS }),
		of("warmup_s", "warm-up", "Duration of the warm-up.", func(t *Timing) float64 { return t.WarmupS }),
		of("window_s", "in window", "Length of the window, as part of the run's time.",
			func(t *Timing) float64 { return t.WindowS }),
		of("discarded_window_s", "discarded", "Length of a window that was too short and was measured again.",
			func(t *Timing) float64 { return t.DiscardedWindowS }),
		of("baseline_s", "baseline", "Duration of the measurement of the idle machine.",
			func(t *Timing) float64 { return t.BaselineS }),
		of("gap_s", "rest", "Pause before the run.", func(t *Timing) float64 { return t.GapS }),
		of("took_s", "took", "Duration of the run with everything around it.",
			func(t *Timing) float64 { return t.TookS }),
	}
}

func harnessMetrics() []MetricInfo {
	of := func(name, unit, label, meaning string, get func(*Harness) *float64) MetricInfo {
		return MetricInfo{"harness." + name, unit, false, label, meaning,
			func(r *Record) float64 { return number(part(r.Harness, get)) }}
	}
	return []MetricInfo{
		of("cpu_s", "s", "llem CPU", "Processor time of llem in the window.",
			func(h *Harness) *float64 { return &h.CPUS }),
		of("host_cpu_s", "s", "host CPU", "Processor time of all processes in the window.",
			func(h *Harness) *float64 { return h.HostCPUS }),
		of("other_cpu_s", "s", "others' CPU",
			"Processor time of processes that are neither llem's nor the engine's, in the window.",
			func(h *Harness) *float64 { return h.OtherCPUS }),
		of("energy_j", "J", "llem energy", "Estimated energy that measuring took in the window.",
			func(h *Harness) *float64 { return h.EnergyJ }),
		of("sampler_cpu_pct", "%", "sampler CPU", "Processor time of the sampler, in percent of one core.",
			func(h *Harness) *float64 { return &h.SamplerCPUPct }),
		of("sampler_polls", "", "polls", "How often meters were polled.",
			func(h *Harness) *float64 { return new(float64(h.SamplerPolls)) }),
		of("sampler_bytes", "B", "series memory", "Memory of the series that were sampled in the window.",
			func(h *Harness) *float64 { return new(float64(h.SamplerBytes)) }),
		of("peak_bytes", "B", "llem memory", "Peak memory of llem.",
			func(h *Harness) *float64 { return new(float64(h.PeakBytes)) }),
		of("clock_slack_ns", "ns", "clock slack", "Uncertainty between wall clock and CLOCK_MONOTONIC.",
			func(h *Harness) *float64 { return new(float64(h.ClockSlackNS)) }),
	}
}

var gpuMetrics = []MetricInfo{
	{"gpu.temperature_c", "°C", false, "temperature", "Mean temperature of the hottest counted GPU in the window.",
		func(r *Record) float64 {
			return number(part(r.GPU, func(g *GPUState) *float64 { return g.TemperatureC }))
		}},
	{"gpu.clock_mhz", "MHz", true, "clock", "Mean clock of the slowest counted GPU under load in the window.",
		func(r *Record) float64 { return number(part(r.GPU, func(g *GPUState) *float64 { return g.ClockMHz })) }},
}

// part returns a number of something that may be missing.
func part[T any](of *T, get func(*T) *float64) *float64 {
	if of == nil {
		return nil
	}
	return get(of)
}

// number returns NaN for a missing number.
func number(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

func value(q *Quantity) float64 {
	if q == nil {
		return math.NaN()
	}
	return q.Value
}

func whole(n *int64) float64 {
	if n == nil {
		return math.NaN()
	}
	return float64(*n)
}
