package join

import (
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/latencies"
	"github.com/llenergymeasure/llem/result"
)

// latency summarises the successful requests. Batch is how many requests the engine runs together,
// 0 where that is not known.
func latency(requests []backend.Request, batch int) *result.Latency {
	v, all, unknown := latencies.Of(requests)
	of := func(key string) *result.Distribution { return result.DistributionOf(v[key]) }
	out := &result.Latency{ITL: of("itl_ms"), TPOT: of("tpot_ms"), ResponseTTFT: of("response_ttft_ms"),
		ResponseE2E: of("response_e2e_ms"), Queue: of("queue_ms"), TTFT: of("ttft_ms"), E2E: of("e2e_ms")}
	if unknown > 0 {
		out.Reason = unknownStart(batch, mostUnderWay(requests), unknown, all)
	}
	return out
}

// asEarlier summarises the requests as a version did that had one stamp, under the names that the record has
// now.
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

// unknownStart is why service times are not known.
func unknownStart(batch, most, unknown, all int) string {
	room := "and how many it runs together is not known"
	if batch > 0 {
		room = fmt.Sprintf("and runs %d together", batch)
	}
	return fmt.Sprintf("the engine does not tell when it began %d of %d requests; it had up to %d at once %s: what "+
		"of the response time is queue is not known", unknown, all, most, room)
}

// mostUnderWay is the largest number of requests that the engine had at one time.
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
