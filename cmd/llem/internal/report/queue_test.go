package report

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/result"
)

// queued is a run with other latencies.
func queued(latency *result.Latency) *result.Record {
	r := measuredGPU()
	latency.ITL, latency.TPOT = r.Latency.ITL, r.Latency.TPOT
	r.Latency = latency
	return r
}

// TestQueues: TTFT is a service time everywhere. The queue stands beside it where there was one,
// and the response time where the two are not known, with the reason.
func TestQueues(t *testing.T) {
	const why = "the engine does not tell when it began 64 of 64 requests"
	short := queued(&result.Latency{TTFT: distribution(212), Queue: distribution(1), ResponseTTFT: distribution(213)})
	waited := queued(&result.Latency{TTFT: distribution(15), Queue: distribution(1700),
		ResponseTTFT: distribution(1715)})
	unknown := queued(&result.Latency{ResponseTTFT: distribution(1715), Reason: why})
	for name, q := range map[string]struct {
		runs           []*result.Record
		want, wantNone []string
	}{
		"no queue": {[]*result.Record{short}, []string{"TTFT p50 212 ms, "}, []string{"queue", "response"}},
		"a queue": {[]*result.Record{waited},
			[]string{"TTFT p50 15.0 ms after 1.70 s in the queue", "response: first"}, nil},
		"not known": {[]*result.Record{unknown},
			[]string{"TTFT p50 with the queue 1.72 s", why, "response: first"}, nil},
		"a study": {[]*result.Record{short, waited}, []string{"queue  ", "1.70 s  15.0 ms"}, []string{"response"}},
		"a study, unknown": {[]*result.Record{short, unknown}, []string{"response  ", "–    1.72 s"},
			[]string{"queue  "}},
	} {
		t.Run(name, func(t *testing.T) {
			text := render(t, Terminal{}, studyOf("s", q.runs...))
			for _, want := range q.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing in:\n%s", want, text)
				}
			}
			for _, bad := range q.wantNone {
				if strings.Contains(text, bad) {
					t.Errorf("%q stands in:\n%s", bad, text)
				}
			}
		})
	}
}
