package extent

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/study"
)

func parse(t *testing.T, load, more string) *study.Study {
	t.Helper()
	text := "model: random:tiny-llama\nbackend: fake\nfake: {batching: continuous}\nworkload: {dataset: synthetic, " +
		"prompts: 16, input_tokens: 32, output_tokens: 8, " + load + "}\n" + more
	s, err := study.Parse("s.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOf(t *testing.T) {
	for _, q := range []struct {
		load             string
		ok               bool
		requests, s, min float64
		stretches        int
		probes           int
	}{
		{"concurrency: 4", false, 0, 0, 0, 0, 0},
		{"load: {kind: poisson, rate: 4, duration_s: 30}", true, 120, 30, 30, 1, 0},
		{"load: {kind: constant, rate: 4}", true, 16, 4, 4, 1, 0},
		{"load: {kind: rates, rates: 10s:2 5s:0 10s:4}", true, 60, 25, 25, 3, 0},
		{"load: {kind: ramp, rate: 2, to_rate: 6, duration_s: 10}", true, 40, 10, 10, pieces, 0},
		// 1, 2, 4, 8 and four halvings of a factor of two to 5 %, then 25 s at 8 and at 7.2
		{"load: {kind: poisson, search: rate, search_from: 1, search_to: 8, probe_s: 10, duration_s: 25}, " +
			"slo: {ttft_p95_ms: 500}", true, 10*(1+2+4+5*8) + 25*(8+7.2), 80 + 50, 10, 10, 8},
		{"load: {search: concurrency, search_from: 1, search_to: 8, probe_s: 10}, slo: {ttft_p95_ms: 500}", true,
			0, 100, 10, 10, 8},
	} {
		x, ok := new(Files).Of(parse(t, q.load, "").Experiments[0])
		if ok != q.ok || math.Abs(x.Requests-q.requests) > 1e-6 || math.Abs(x.Seconds-q.s) > 1e-9 ||
			x.LeastS != q.min ||
			len(x.Stretches) != q.stretches || x.Probes != q.probes {
			t.Errorf("%s: %v %+v", q.load, ok, x)
		}
	}
}

// TestBeyond: a schedule that cannot end within a limit is a mistake; a search may end after its first probe, and
// is not.
func TestBeyond(t *testing.T) {
	const poisson = "load: {kind: poisson, duration_s: 60}"
	const two = "sweep: {workload.load.rate: [1, 2]}\n"
	cycles := func(int) int { return 3 }
	for _, q := range []struct {
		load, more string
		one        time.Duration
		runs       func(int) int
		want       string
	}{
		{poisson, two, time.Hour, cycles, ""},
		{poisson, two + "execution: {study_timeout: 6m}", 0, cycles, ""},
		{poisson, two + "execution: {study_timeout: 5m}", 0, cycles,
			"6 min in 6 runs, longer than execution.study_timeout"},
		{poisson, two + "execution: {study_timeout: 5m}", 0, nil, ""},
		{poisson, two, 59 * time.Second, nil, "60 s in a run, longer than execution.run_timeout, 59s"},
		{"load: {kind: poisson, search: rate, search_from: 1, search_to: 64, probe_s: 60}, slo: {ttft_p95_ms: 500}",
			"execution: {study_timeout: 5m}", 2 * time.Minute, cycles, ""},
	} {
		s := parse(t, q.load, q.more)
		all := new(Files).Beyond(s, q.one, q.runs)
		switch err := Err(all); {
		case q.want == "" && err == nil:
		case err == nil || q.want == "" || !strings.Contains(err.Error(), q.want):
			t.Errorf("%s %s: %v, want %q", q.load, q.more, err, q.want)
		case all[0].Next == "" || all[0].Note().Code != codes.ScheduleTooLong || !all[0].Concerns(s.Experiments[0]):
			t.Errorf("%+v", all[0])
		}
	}
}

// TestTooShort: what a load has too few requests for is told, once for all of them.
func TestTooShort(t *testing.T) {
	name := func(e study.Experiment) string { return e.Workload.Load.Kind }
	for _, q := range []struct {
		load string
		want []string
	}{
		{"load: {kind: poisson, rate: 10, duration_s: 100}", nil},
		{"load: {kind: poisson, rate: 2, duration_s: 100}, slo: {ttft_p95_ms: 500}", []string{"no p99"}},
		{"load: {kind: poisson, rate: 100, duration_s: 10}, slo: {ttft_p95_ms: 500}", []string{"for an energy"}},
		{"load: {kind: poisson, rate: 1, duration_s: 20}, slo: {ttft_p95_ms: 500}",
			[]string{"73 good requests", "no p99"}},
	} {
		var got []string
		for _, n := range new(Files).TooShort(parse(t, q.load, ""), name) {
			got = append(got, n.Message+"|"+n.Next)
		}
		if len(got) != len(q.want) {
			t.Errorf("%s: %q, want %q", q.load, got, q.want)
			continue
		}
		for i, want := range q.want {
			if !strings.Contains(got[i], want) || !strings.Contains(got[i], "duration_s to ") {
				t.Errorf("%s: %q, want %q", q.load, got[i], want)
			}
		}
	}
	if got := roundUp(882.7); got != 890 {
		t.Errorf("882.7 s are rounded to %d", got)
	}
}
