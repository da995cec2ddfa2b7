package plan

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/internal/extent"
	"github.com/llenergymeasure/llem/internal/host"
)

var update = flag.Bool("update", false, "write the plans of testdata")

const atRates = `
name: rates
model: random:llama-3.1-8b
backend: vllm
vllm: {max_num_seqs: 256}
workload: {dataset: synthetic, input_tokens: 512, output_tokens: 128,
  load: {kind: poisson, duration_s: 60}, slo: {ttft_p95_ms: 500, tpot_p95_ms: 50}}
sweep: {workload.load.rate: [1, 16, 96]}
execution: {cycles: 3, order: sequential, study_timeout: 8m}
`

const searched = `
name: search
model: random:llama-3.1-8b
backend: vllm
workload: {dataset: synthetic, input_tokens: 512, output_tokens: 128, slo: {ttft_p95_ms: 500},
  load: {kind: poisson, search: rate, search_from: 1, search_to: 64, probe_s: 60, duration_s: 120}}
`

// TestLoads: the plan of loads tells how long they take, how many requests and tokens, what cannot end within the
// study's limit and what is too short; of a search, how many probes at most.
func TestLoads(t *testing.T) {
	for name, text := range map[string]string{"rates": atRates, "search": searched} {
		s := parse(t, text)
		e, err := NewEstimator("h200", nil, &host.Snapshot{})
		if err != nil {
			t.Fatal(err)
		}
		p := New(Options{Study: s, Device: e.Name(), Estimate: e.Need,
			Problems: CheckOptions{}.schedules(s, &extent.Files{})})
		var b strings.Builder
		if err := p.Text(&b, 80); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "loads-"+name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestConcurrencyInEstimates: a closed loop takes longer the fewer requests are in flight.
func TestConcurrencyInEstimates(t *testing.T) {
	s := parse(t, strings.NewReplacer("load: {kind: poisson, duration_s: 60}", "prompts: 64",
		"workload.load.rate: [1, 16, 96]", "workload.concurrency: [1, 16]").Replace(atRates))
	e, err := NewEstimator("h200", nil, &host.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	one, reason := e.Need(s.Experiments[0])
	many, _ := e.Need(s.Experiments[1])
	if one == nil || many == nil || one.Seconds <= many.Seconds || one.CacheBytes >= many.CacheBytes {
		t.Errorf("1 in flight: %+v (%s), 16: %+v", one, reason, many)
	}
}
