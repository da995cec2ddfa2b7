package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// write writes a page, and keeps it for testdata/browser where LLEM_TEST_PAGES names a folder.
func write(t *testing.T, name string, s *result.StudyResult, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, s, o); err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("LLEM_TEST_PAGES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// TestLarge writes the page of 100,000 runs: 33,334 configurations of three cycles. It stays below 20 MB.
func TestLarge(t *testing.T) {
	t.Parallel()
	const configurations = 33_334
	s := &result.StudyResult{Name: "large", Dir: "results/large", Planned: 3 * configurations, OK: 3 * configurations}
	for i := range configurations {
		e := result.ExperimentSummary{ID: fmt.Sprintf("%011x", i), Provenance: result.Simulated,
			Config: study.Experiment{Model: "random:llama-3.1-8b", Backend: "fake", DType: "float16",
				Workload: study.Workload{Prompts: i%512 + 1, InputTokens: i/512 + 1}}}
		per := 0.5 + float64(i%997)/100
		metrics := map[string]result.Spread{}
		for name, v := range map[string]float64{"energy.per_output_token_j": per,
			"throughput.output_tokens_per_s": 4000 / per, "latency.ttft_ms.p50": 20 + float64(i%89),
			"latency.ttft_ms.p99": 30 + float64(i%101), "energy.mean_w": 400 + float64(i%211)} {
			metrics[name] = result.Spread{N: 3, Mean: v, CI95: &[2]float64{0.97 * v, 1.03 * v}}
		}
		text, err := json.Marshal(metrics)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &e.Metrics); err != nil {
			t.Fatal(err)
		}
		s.Experiments = append(s.Experiments, e)
	}
	page := write(t, "large.html", s, Options{Version: "test"})
	if len(page) > 20_000_000 {
		t.Errorf("%d bytes", len(page))
	}
	if !strings.Contains(page, fmt.Sprintf("%d of %d configurations", maxRows, configurations)) {
		t.Error("the page does not say what it leaves out")
	}
}
