package join

import (
	"fmt"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

const millisecond = float64(time.Millisecond)

// latency summarises the successful requests: service times from their start, response times
// from their arrival. TPOT needs two tokens. Batch is how many requests the engine runs together,
// 0 where that is not known.
func latency(requests []backend.Request, batch int) *result.Latency {
	var queue, ttft, e2e, responseTTFT, responseE2E, itl, tpot []float64
	all, unknown := 0, 0
	for _, q := range requests {
		if !q.OK {
			continue
		}
		all++
		if q.StartedNS == 0 {
			unknown++
		} else {
			queue = append(queue, float64(q.StartedNS-q.ArrivedNS)/millisecond)
			ttft = append(ttft, float64(q.FirstTokenNS-q.StartedNS)/millisecond)
			e2e = append(e2e, float64(q.EndNS-q.StartedNS)/millisecond)
		}
		responseTTFT = append(responseTTFT, float64(q.FirstTokenNS-q.ArrivedNS)/millisecond)
		responseE2E = append(responseE2E, float64(q.EndNS-q.ArrivedNS)/millisecond)
		if n := q.OutputTokens; n > 1 {
			tpot = append(tpot, float64(q.EndNS-q.FirstTokenNS)/float64(n-1)/millisecond)
		}
		for i := 1; i < len(q.TokenNS); i++ {
			itl = append(itl, float64(q.TokenNS[i]-q.TokenNS[i-1])/millisecond)
		}
	}
	out := &result.Latency{ITL: result.DistributionOf(itl), TPOT: result.DistributionOf(tpot),
		ResponseTTFT: result.DistributionOf(responseTTFT), ResponseE2E: result.DistributionOf(responseE2E)}
	if unknown > 0 { // what is known of the others would not stand for all
		out.Reason = unknownStart(batch, mostUnderWay(requests), unknown, all)
		return out
	}
	out.Queue, out.TTFT, out.E2E = result.DistributionOf(queue), result.DistributionOf(ttft), result.DistributionOf(e2e)
	return out
}

// earlier reports whether the rows are of a version that recorded one stamp for the arrival of a
// request and the start of its service.
func earlier(rows []series.Request) bool {
	return !slices.ContainsFunc(rows, func(q series.Request) bool { return q.ArrivedNS != nil })
}

// asEarlier summarises the requests as that version did, from their submission, under the names
// that the record has now.
func asEarlier(requests []backend.Request, recorded *result.Latency) *result.Latency {
	requests = slices.Clone(requests)
	for i := range requests {
		q := &requests[i]
		q.ArrivedNS, q.StartedNS = q.SubmittedNS, q.SubmittedNS
	}
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

// stamp completes the stamps of the requests, where the engine does not tell them or the files
// are of a version that did not record them. Arrivals follow from the workload. The start is
// known of an engine whose steps are seen.
func (m *Material) stamp(rec *result.Record) {
	closed := rec.Config.Workload.Concurrency > 0
	round := len(m.Requests)
	if w := rec.Window; w != nil && w.Round > 0 {
		round = w.Round
	}
	for part := range slices.Chunk(m.Requests, max(1, round)) {
		opened := opening(part)
		for i := range part {
			switch q := &part[i]; {
			case q.ArrivedNS != 0:
			case closed:
				q.ArrivedNS = q.SubmittedNS
			default:
				q.ArrivedNS = opened
			}
		}
	}
	if m.Engine.Tier == backend.TierExact {
		start(m.Requests)
	}
}

// opening is when the first requests of a round were handed over: all others of it waited from
// then on.
func opening(round []backend.Request) int64 {
	at := int64(0)
	for _, q := range round {
		if q.SubmittedNS != 0 && (at == 0 || q.SubmittedNS < at) {
			at = q.SubmittedNS
		}
	}
	return at
}

// start stamps the start of requests that do not tell it. A static batch has started when it
// was handed over. Requests of an engine that has a queue of its own were handed over long
// before: some began when others had ended.
func start(requests []backend.Request) {
	ends := make([]int64, len(requests))
	for i, q := range requests {
		ends[i] = q.EndNS
	}
	slices.Sort(ends)
	queued := slices.ContainsFunc(requests, func(q backend.Request) bool {
		i, _ := slices.BinarySearch(ends, q.SubmittedNS+1)
		return i < len(ends) && ends[i] <= q.PrefillStartNS
	})
	for i := range requests {
		switch q := &requests[i]; {
		case q.StartedNS != 0 || !q.OK:
		case queued:
			q.StartedNS = q.PrefillStartNS
		default:
			q.StartedNS = q.SubmittedNS
		}
	}
}
