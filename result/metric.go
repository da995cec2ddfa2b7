package result

import "fmt"

// MetricInfo is a number of a record that runs are compared by.
type MetricInfo struct {
	// Name is the path of the number in result.json.
	Name string
	// Unit of the number.
	Unit string
	// HigherIsBetter says which values are preferred.
	HigherIsBetter bool
	of             func(*Record) *float64
}

// metricInfos are all metrics by which runs can be compared, ordered and chosen.
var metricInfos = []MetricInfo{
	{"energy.per_output_token_j", "J", false, func(r *Record) *float64 { return value(r.Energy.PerOutputTokenJ) }},
	{"energy.per_total_token_j", "J", false, func(r *Record) *float64 { return value(r.Energy.PerTotalTokenJ) }},
	{"energy.per_request_j", "J", false, func(r *Record) *float64 { return value(r.Energy.PerRequestJ) }},
	{"energy.total_j", "J", false, func(r *Record) *float64 { return value(r.Energy.TotalJ) }},
	{"energy.net_j", "J", false, func(r *Record) *float64 { return value(r.Energy.NetJ) }},
	{"energy.mean_w", "W", false, func(r *Record) *float64 { return value(r.Energy.MeanW) }},
	{"energy.tokens_per_j", "1/J", true, func(r *Record) *float64 { return value(r.Energy.TokensPerJ) }},
	{"energy.phases.prefill.j_per_token", "J", false, func(r *Record) *float64 {
		return phaseValue(r, func(p *Phases) *Phase { return p.Prefill })
	}},
	{"energy.phases.decode.j_per_token", "J", false, func(r *Record) *float64 {
		return phaseValue(r, func(p *Phases) *Phase { return p.Decode })
	}},
	{"throughput.output_tokens_per_s", "1/s", true,
		throughput(func(t *Throughput) float64 { return t.OutputTokensPerS })},
	{"throughput.total_tokens_per_s", "1/s", true,
		throughput(func(t *Throughput) float64 { return t.TotalTokensPerS })},
	{"throughput.requests_per_s", "1/s", true, throughput(func(t *Throughput) float64 { return t.RequestsPerS })},
	{"latency.ttft_ms.p50", "ms", false,
		latency(func(l *Latency) *Distribution { return l.TTFT }, func(d *Distribution) float64 { return d.P50 })},
	{"latency.ttft_ms.p99", "ms", false,
		latency(func(l *Latency) *Distribution { return l.TTFT }, func(d *Distribution) float64 { return d.P99 })},
	{"latency.itl_ms.p50", "ms", false,
		latency(func(l *Latency) *Distribution { return l.ITL }, func(d *Distribution) float64 { return d.P50 })},
	{"latency.itl_ms.p99", "ms", false,
		latency(func(l *Latency) *Distribution { return l.ITL }, func(d *Distribution) float64 { return d.P99 })},
	{"latency.tpot_ms.mean", "ms", false,
		latency(func(l *Latency) *Distribution { return l.TPOT }, func(d *Distribution) float64 { return d.Mean })},
	{"latency.e2e_ms.p50", "ms", false,
		latency(func(l *Latency) *Distribution { return l.E2E }, func(d *Distribution) float64 { return d.P50 })},
	{"latency.e2e_ms.p99", "ms", false,
		latency(func(l *Latency) *Distribution { return l.E2E }, func(d *Distribution) float64 { return d.P99 })},
	{"memory.peak_bytes", "B", false, func(r *Record) *float64 { return bytesOf(r.Memory.PeakBytes) }},
	{"compute.flops_per_j", "FLOP/J", true, func(r *Record) *float64 {
		if r.Compute == nil {
			return nil
		}
		return r.Compute.FLOPsPerJ
	}},
	{"memory.process_peak_bytes", "B", false, func(r *Record) *float64 { return bytesOf(r.Memory.ProcessPeakBytes) }},
}

func bytesOf(n *int64) *float64 {
	if n == nil {
		return nil
	}
	return new(float64(*n))
}

func value(q *Quantity) *float64 {
	if q == nil {
		return nil
	}
	return &q.Value
}

func phaseValue(r *Record, of func(*Phases) *Phase) *float64 {
	if r.Energy.Phases == nil {
		return nil
	}
	if p := of(r.Energy.Phases); p != nil {
		return p.JPerToken
	}
	return nil
}

func throughput(of func(*Throughput) float64) func(*Record) *float64 {
	return func(r *Record) *float64 {
		if r.Throughput == nil {
			return nil
		}
		v := of(r.Throughput)
		return &v
	}
}

func latency(of func(*Latency) *Distribution, number func(*Distribution) float64) func(*Record) *float64 {
	return func(r *Record) *float64 {
		if r.Latency == nil || of(r.Latency) == nil {
			return nil
		}
		v := number(of(r.Latency))
		return &v
	}
}

// Metrics lists what runs can be compared by.
func Metrics() []MetricInfo { return metricInfos }

// Metric finds one by its name.
func Metric(name string) (MetricInfo, error) {
	if i := metricIndex(name); i >= 0 {
		return metricInfos[i], nil
	}
	return MetricInfo{}, fmt.Errorf("there is no metric %q", name)
}

// metricIndex is the place of a metric in metricInfos; −1 if there is none of the name.
func metricIndex(name string) int {
	for i := range metricInfos {
		if metricInfos[i].Name == name {
			return i
		}
	}
	return -1
}

// Value of the metric in a run; false where it is null or the run has no result.
func (m MetricInfo) Value(r *Record) (float64, bool) {
	if r.Status != OK {
		return 0, false
	}
	if v := m.of(r); v != nil {
		return *v, true
	}
	return 0, false
}
