package atload

import "github.com/llenergymeasure/llem/result"

// Each fills in what a load gives for each of a number of GPUs, and to each of its users, from the rates and times of
// a record.
func Each(r *result.Record, gpus int) {
	l := r.Load
	if t := r.Throughput; t != nil && gpus > 0 {
		l.CompletedRPSPerGPU = new(l.CompletedRPS / float64(gpus))
		l.OutputTokensPerSPerGPU = new(t.OutputTokensPerS / float64(gpus))
	}
	if d := r.Latency.TPOT; d != nil && d.P50 > 0 {
		l.OutputTokensPerSPerUser = new(1000 / d.P50)
	}
}
