// Package latencies computes the times of a run's requests: from the log of an engine for the run's record,
// and from requests.parquet for statistics over several runs.
package latencies

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

const millisecond = float64(time.Millisecond)

// Values are the values of a run's latency distributions, by their keys in result.json.
type Values map[string][]float64

// service are the keys of times that need the start of a request.
var service = []string{"queue_ms", "ttft_ms", "e2e_ms"}

// Of returns the latencies of the successful requests: service times from their start, response times from
// their arrival. TPOT needs two tokens. If the start of some requests is unknown, there are no service times,
// because the others would not represent all.
func Of(requests []backend.Request) (v Values, all, unknown int) {
	v = Values{}
	add := func(key string, ns int64, parts int) {
		v[key] = append(v[key], float64(ns)/float64(parts)/millisecond)
	}
	for _, q := range requests {
		if !q.OK {
			continue
		}
		all++
		if q.StartedNS == 0 {
			unknown++
		} else {
			add("queue_ms", q.StartedNS-q.ArrivedNS, 1)
			add("ttft_ms", q.FirstTokenNS-q.StartedNS, 1)
			add("e2e_ms", q.EndNS-q.StartedNS, 1)
		}
		add("response_ttft_ms", q.FirstTokenNS-q.ArrivedNS, 1)
		add("response_e2e_ms", q.EndNS-q.ArrivedNS, 1)
		if n := q.OutputTokens; n > 1 {
			add("tpot_ms", q.EndNS-q.FirstTokenNS, n-1)
		}
		for i := 1; i < len(q.TokenNS); i++ {
			add("itl_ms", q.TokenNS[i]-q.TokenNS[i-1], 1)
		}
	}
	if unknown > 0 {
		v.drop(service...)
	}
	return v, all, unknown
}

func (v Values) drop(keys ...string) {
	for _, key := range keys {
		delete(v, key)
	}
}

// Read returns the latencies of a record, from requests.parquet in its folder, without the requests that
// include the first use of a shape.
func Read(dir string, rec *result.Record) (Values, error) {
	rows, err := series.ReadFile[series.Request](filepath.Join(dir, "requests.parquet"))
	if err != nil {
		return nil, err
	}
	rows = series.Own(rows)
	var requests []backend.Request
	for _, q := range rows {
		requests = append(requests, Unpack(q))
	}
	if !Earlier(rows) {
		Stamp(requests, rec, backend.Tier(rec.Backend.Tier) == backend.TierExact)
		for i := range requests {
			requests[i].OK = requests[i].OK && !rows[i].FirstUse && counts(requests[i], rec)
		}
		v, _, _ := Of(requests)
		return v, nil
	}
	FromSubmission(requests)
	v, _, _ := Of(requests)
	if v.drop("queue_ms"); rec.Latency != nil && rec.Latency.TTFT == nil {
		v.drop(service...)
	} else {
		v.drop("response_ttft_ms", "response_e2e_ms")
	}
	return v, nil
}

// counts reports whether the latencies of a request count for its run: with a load, if it was scheduled in the
// window, and unless the backlog grew.
func counts(q backend.Request, rec *result.Record) bool {
	w, l := rec.Window, rec.Load
	return l == nil || w == nil || !l.Saturated && q.ArrivedNS >= w.StartMonoNS && q.ArrivedNS < w.EndMonoNS
}

// Earlier reports whether the rows are from a version that recorded a single stamp for the arrival of a
// request and the start of its service.
func Earlier(rows []series.Request) bool {
	return !slices.ContainsFunc(rows, func(q series.Request) bool { return q.ArrivedNS != nil })
}

// FromSubmission sets arrival and start to the submission, the only stamp of such a version.
func FromSubmission(requests []backend.Request) {
	for i := range requests {
		q := &requests[i]
		q.ArrivedNS, q.StartedNS = q.SubmittedNS, q.SubmittedNS
	}
}

// Unpack returns the request of a row of requests.parquet.
func Unpack(q series.Request) backend.Request {
	stamp := func(ns *int64) int64 {
		if ns == nil {
			return 0
		}
		return *ns
	}
	return backend.Request{ID: int(q.ID), ArrivedNS: stamp(q.ArrivedNS), StartedNS: stamp(q.StartedNS),
		SubmittedNS: q.SubmittedNS, PrefillStartNS: q.PrefillStartNS,
		FirstTokenNS: q.FirstTokenNS, EndNS: q.EndNS, TokenNS: q.TokenNS, PromptTokens: int(q.PromptTokens),
		PromptComputed: int(q.PromptComputed), OutputTokens: int(q.OutputTokens),
		FinishReason: q.FinishReason, OK: q.OK, Failure: q.Failure, WrittenNS: stamp(q.WrittenNS),
		FirstByteNS: stamp(q.FirstByteNS), DoneNS: stamp(q.DoneNS), Capped: q.Capped, Cut: q.Cut}
}

// Stamp completes the stamps of the requests if the engine does not report them or the files are from a
// version without them. Arrivals follow from the workload. The start is known for an engine with exact steps.
func Stamp(requests []backend.Request, rec *result.Record, exact bool) {
	closed := rec.Config.Workload.Concurrency > 0
	round := len(requests)
	if w := rec.Window; w != nil && w.Round > 0 {
		round = w.Round
	}
	for part := range slices.Chunk(requests, max(1, round)) {
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
	if exact {
		start(requests)
	}
}

// opening returns when the first requests of a round were submitted: all others of the round waited from then
// on.
func opening(round []backend.Request) int64 {
	at := int64(0)
	for _, q := range round {
		if q.SubmittedNS != 0 && (at == 0 || q.SubmittedNS < at) {
			at = q.SubmittedNS
		}
	}
	return at
}

// start sets the missing starts of requests. A static batch starts when it is submitted. Requests of an
// engine with its own queue were submitted long before: some began when others had ended.
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
