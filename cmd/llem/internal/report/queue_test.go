package report

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/result"
)

// queued is a run with other latencies.
func queued(latency *result.Latency) *result.Record {
	r := measuredGPU()
	latency.ITL, latency.TPOT = r.Latency.ITL, r.Latency.TPOT
	r.Latency = latency
	return r
}

// TestQueues checks that TTFT is a service time everywhere, that a queue is shown in its own column,
// and that the response time is shown, with the reason, if the two are unknown.
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
		"no queue": {[]*result.Record{short}, []string{"TTFT p50 212 ms, "}, []string{"queue"}},
		"a queue": {[]*result.Record{waited},
			[]string{"TTFT p50 15.0 ms after 1.70 s in the queue", "\n  TTFT+queue  "}, nil},
		"not known": {[]*result.Record{unknown},
			[]string{"TTFT p50 with the queue 1.72 s", why, "\n  TTFT+queue  "}, nil},
		"a study": {[]*result.Record{short, waited}, []string{" queue  ", "1.70 s  15.0 ms"}, []string{"TTFT+queue"}},
		"a study, unknown": {[]*result.Record{short, unknown}, []string{"  TTFT+queue  ", "–      1.72 s"},
			[]string{" queue  "}},
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

// TestUnjudged: a configuration without a service time is not chosen by one, and is named.
func TestUnjudged(t *testing.T) {
	known := queued(&result.Latency{TTFT: distribution(15), Queue: distribution(1700),
		ResponseTTFT: distribution(1715)})
	unknown := queued(&result.Latency{ResponseTTFT: distribution(1715), Reason: "it does not tell"})
	unknown.Config.Section = pytorchSection(4)
	unknown.ID = unknown.Config.ID()
	s := studyOf("s", known, unknown)
	for _, r := range s.Runs {
		spreads, err := result.SpreadsOf([]result.Values{result.ValuesOf(r)})
		if err != nil {
			t.Fatal(err)
		}
		s.Experiments = append(s.Experiments, result.ExperimentSummary{ID: r.ID, Config: r.Config, OK: 1,
			Status: result.OK, Metrics: spreads})
	}
	if q := view.QueuesIn(s.Experiments); !q.Waited || !q.Unknown {
		t.Errorf("%+v, want columns for the queue and the response", q)
	}
	if q := view.QueuesIn(s.Experiments[1:]); q.Waited || !q.Unknown {
		t.Errorf("%+v, want a column for the response alone", q)
	}
	const limit = "latency.ttft_ms.p50<20"
	c, err := s.Best("energy.per_output_token_j", limit)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := (Terminal{}).Best(&b, Best{s, "energy.per_output_token_j", []string{limit}, c}); err != nil {
		t.Fatal(err)
	}
	if c.Best != nil || len(c.Possible) != 1 || c.Possible[0].ID != known.ID || // of one run each
		!strings.Contains(b.String(), "not judged, because TTFT is unknown: batch_size=4\n") {
		t.Errorf("best %+v:\n%s", c.Best, b.String())
	}
}
