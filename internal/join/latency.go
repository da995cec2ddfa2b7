package join

import (
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/atload"
	"github.com/llenergymeasure/llem/internal/latencies"
	"github.com/llenergymeasure/llem/result"
)

// latency summarises the successful requests. batch is the number of requests that the engine runs together,
// 0 if unknown.
func latency(requests []backend.Request, batch int) *result.Latency {
	return latencyBy(result.DistributionOf, requests, batch)
}

// latencyOf summarises the requests of a window. At a load a request resembles those before it, and the tokens of a
// step have one time in common: their intervals are unknown.
func (j *join) latencyOf(requests []backend.Request) *result.Latency {
	batch := j.record.Config.BatchSize()
	if j.Load == nil {
		return latency(requests, batch)
	}
	l := latencyBy(atload.Summarized, requests, batch)
	if d := l.ITL; d != nil {
		d.P50CI95, d.P90CI95, d.P95CI95, d.P99CI95 = nil, nil, nil, nil
	}
	return l
}

func latencyBy(summarize func([]float64) *result.Distribution, requests []backend.Request, batch int) *result.Latency {
	v, all, unknown := latencies.Of(requests)
	of := func(key string) *result.Distribution { return summarize(v[key]) }
	out := &result.Latency{ITL: result.DistributionOf(v["itl_ms"]), TPOT: of("tpot_ms"),
		ResponseTTFT: of("response_ttft_ms"),
		ResponseE2E:  of("response_e2e_ms"), Queue: of("queue_ms"), TTFT: of("ttft_ms"), E2E: of("e2e_ms")}
	if unknown > 0 {
		out.Reason = unknownStart(batch, mostUnderWay(requests), unknown, all)
	}
	return out
}

// asEarlier summarises the requests as an earlier version with a single time stamp did, under the current
// names.
func asEarlier(requests []backend.Request, recorded *result.Latency) *result.Latency {
	requests = slices.Clone(requests)
	latencies.FromSubmission(requests)
	out := latency(requests, 0)
	out.Queue = nil
	if recorded != nil && recorded.TTFT == nil {
		out.TTFT, out.E2E = nil, nil
	} else {
		out.ResponseTTFT, out.ResponseE2E = nil, nil
	}
	return out
}

// unknownStart returns why service times are unknown.
func unknownStart(batch, most, unknown, all int) string {
	room := "and its batch size is unknown"
	if batch > 0 {
		room = fmt.Sprintf("and runs %d together", batch)
	}
	return fmt.Sprintf("the engine does not report the start of %d of %d requests; it had up to %d at once %s, so the "+
		"queueing part of the response time is unknown", unknown, all, most, room)
}

// mostUnderWay returns the largest number of concurrent requests of the engine.
func mostUnderWay(requests []backend.Request) (most int) {
	var ends, begins []int64
	for _, q := range requests {
		begins, ends = append(begins, q.SubmittedNS), append(ends, q.EndNS)
	}
	slices.Sort(begins)
	slices.Sort(ends)
	gone := 0
	for i, at := range begins {
		for ends[gone] <= at && gone < i {
			gone++
		}
		most = max(most, i+1-gone)
	}
	return most
}
