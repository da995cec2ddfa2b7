package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
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

// onDisk writes the run of a configuration with power and telemetry into the folder of its study. Names in it are text.
func onDisk(t *testing.T, s *result.StudyResult, i, readings int, text string) {
	t.Helper()
	e := s.Experiments[i]
	dir := filepath.Join(s.Dir, filepath.FromSlash(result.RunPath(e.ID, 1)))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const start, step = int64(1e12), int64(1e7) // 100 readings a second
	length := int64(readings) * step
	r := &result.Record{SchemaVersion: result.SchemaVersion, ID: e.ID, Cycle: 1, Status: result.OK, Config: e.Config,
		Window: &result.Window{StartMonoNS: start, EndMonoNS: start + length, DurationS: float64(length) / 1e9},
		Files: map[string]string{"power": "power.parquet", "telemetry": "telemetry.parquet",
			"steps": "steps.parquet"},
		Harness: &result.Harness{Gaps: []result.Gap{{Device: text, StartNS: start + length/2,
			EndNS: start + length*5/8, Reason: text}}}}
	r.Energy = result.Energy{Provenance: result.Measured,
		Devices: []result.Device{{Device: text, Name: text, Counted: true,
			Series: &result.SeriesInfo{Source: "nvml.samples"}}}}
	r.Warn("host_busy", text)
	record, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, result.RecordFile), record, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all series.All
	random := rand.New(rand.NewPCG(1, 2))
	for k := range readings {
		at := start + int64(k)*step
		w := 430 + 20*random.NormFloat64()
		if k%1000 < 120 {
			w += 220
		}
		all.Power = append(all.Power, series.Power{MonoNS: at, Device: text, Source: "nvml.samples", PowerW: w})
		if k%100 == 0 {
			celsius, mhz, cap := 50+float64(k%7), 1980-float64(k%11), int64(4*(k/1000%2))
			all.Telemetry = append(all.Telemetry, series.Telemetry{MonoNS: at, Device: text, TemperatureC: &celsius,
				SMClockMHz: &mhz, Throttle: &cap})
		}
		if k%4 == 0 {
			st := series.Step{StartNS: at, EndNS: at + 4*step, DecodeTokens: 8}
			if k%1000 < 120 {
				st.PrefillTokens, st.DecodeTokens = 512, 0
			}
			all.Steps = append(all.Steps, st)
		}
	}
	parquet(t, filepath.Join(dir, "power.parquet"), all.Power)
	parquet(t, filepath.Join(dir, "telemetry.parquet"), all.Telemetry)
	parquet(t, filepath.Join(dir, "steps.parquet"), all.Steps)
	s.Rows = append(s.Rows, result.Row{ID: e.ID, Cycle: 1, Status: result.OK})
}

func parquet[T any](t *testing.T, path string, rows []T) {
	t.Helper()
	var b bytes.Buffer
	if err := series.Write(&b, rows); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReadings writes the page of a run with 100,000 readings of power, which the benchmark of frames zooms.
func TestReadings(t *testing.T) {
	t.Parallel()
	s := &result.StudyResult{Name: "readings", Dir: t.TempDir(), OK: 1, Planned: 1,
		Experiments: []result.ExperimentSummary{
			measured(t, "0123456789ab", "float16", map[string]float64{"energy.total_j": 1})}}
	onDisk(t, s, 0, 100_000, "gpu0")
	page := write(t, "readings.html", s, Options{Version: "test"})
	for _, want := range []string{`"label":"temperature"`, `"label":"clock"`, `"series_gaps","gpu0: gpu0"`,
		`"power_capped","gpu0: power cap"`, `"others":[["host_busy","gpu0"]]`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not hold %s", want)
		}
	}
	if text := plain(page); !strings.Contains(text, "series_gaps, 500 s to 625 s: gpu0: gpu0") ||
		!strings.Contains(text, "at no recorded time: host_busy: gpu0") {
		t.Error("without the script, the page does not name what happened in the window")
	}
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
