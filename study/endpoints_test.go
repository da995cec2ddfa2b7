package study

import (
	"fmt"
	"strings"
	"testing"
)

// TestEndpoints: the profile endpoints expands into closed loops with their lengths; what is given takes precedence,
// and what contradicts it is a mistake.
func TestEndpoints(t *testing.T) {
	const head = "model: random:tiny-llama\nbackend: fake\nfake: {batching: continuous}\n"
	const profile = "execution: {profile: endpoints}\n"
	for _, q := range []struct{ text, want string }{
		{"", "1/600/16 4/600/16 16/600/64 32/600/128 64/1200/256 128/1200/512 256/1200/1024 512/1200/2048"},
		{"workload: {prompts: 640}\nenergy: {min_window: 700}\nsweep: {workload.concurrency: 1..64*2}\n",
			"1/700/640 2/700/640 4/700/640 8/700/640 16/700/640 32/700/640 64/700/640"},
		{"workload: {concurrency: 8}\n", "needs 7 numbers of requests in flight"},
		{"sweep: {workload.concurrency: 33..64}\n", "and one up to 32"},
		{"experiments: [{workload.concurrency: 1}]\n", "makes its own points"},
		{"workload: {load: {kind: poisson, rate: 3}}\n", "fixed numbers of requests in flight"},
		{"sweep: {workload.load.kind: [closed, poisson]}\n", "fixed numbers of requests in flight"},
		{"workload: {load: {search: concurrency, search_from: 1, search_to: 8}, slo: {tpot_p95_ms: 50}}\n",
			"fixed numbers of requests in flight"},
	} {
		s, err := Parse("s.yaml", []byte(head+q.text+profile))
		if err != nil {
			if !strings.Contains(err.Error(), q.want) {
				t.Errorf("%q: %v", q.text, err)
			}
			continue
		}
		var got []string
		for _, e := range s.Experiments {
			got = append(got, fmt.Sprintf("%d/%g/%d", e.Workload.Concurrency, e.Energy.MinWindow, e.Workload.Prompts))
		}
		if strings.Join(got, " ") != q.want {
			t.Errorf("%q: %s, want %s", q.text, strings.Join(got, " "), q.want)
		}
		again, err := Load(Options{Path: freeze(t, s)})
		if err != nil || !same(again, s) {
			t.Errorf("%q cannot be run again from its results: %v", q.text, err)
		}
		if x := s.Execution; x.Profile != "endpoints" || x.Cycles != 1 {
			t.Errorf("%+v", x)
		}
	}
}
