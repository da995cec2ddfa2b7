package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
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
			celsius, mhz, capped := 50+float64(k%7), 1980-float64(k%11), int64(4*(k/1000%2))
			all.Telemetry = append(all.Telemetry, series.Telemetry{MonoNS: at, Device: text, TemperatureC: &celsius,
				SMClockMHz: &mhz, Throttle: &capped})
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
		!strings.Contains(text, "True of the whole run: host_busy: gpu0") {
		t.Error("without the script, the page does not name what happened in the window")
	}
}

// stored unpacks the study behind docs/gallery: 24 runs on an H200.
func stored(t *testing.T) *result.StudyResult {
	t.Helper()
	archive, err := filepath.Abs("../../../../bench/results/2026-11-29-h200/gallery.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	tar := exec.CommandContext(t.Context(), "tar", "-xzf", archive)
	tar.Dir = t.TempDir()
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s, err := result.ReadStudy(filepath.Join(tar.Dir, "llama-batch-precision"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// scaled returns metrics with all means and intervals times a factor.
func scaled(t *testing.T, of result.Spreads, factor float64) (out result.Spreads) {
	t.Helper()
	metrics := map[string]result.Spread{}
	for _, m := range result.Metrics() {
		spread, ok := of.Get(m.Name)
		if !ok || math.IsNaN(spread.Mean) {
			continue
		}
		spread.Mean, spread.Pooled = spread.Mean*factor, nil
		if spread.CI95 != nil {
			spread.CI95 = &[2]float64{spread.CI95[0] * factor, spread.CI95[1] * factor}
		}
		metrics[m.Name] = spread
	}
	text, err := json.Marshal(metrics)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// large multiplies the stored study to 100,000 runs of 33,334 configurations: a configuration has the numbers of
// a stored one times a factor, and the folders that the page reads are links to runs on an H200.
func large(t *testing.T) *result.StudyResult {
	t.Helper()
	const configurations, variants, folders = 33_334, 97, 200
	from := stored(t)
	runs := map[string][]result.Row{}
	for _, r := range from.Rows {
		if r.Status == result.OK {
			runs[r.ID] = append(runs[r.ID], r)
		}
	}
	metrics := make([]result.Spreads, variants*len(from.Experiments))
	for i := range metrics {
		factor := 0.8 + 0.4*float64(i*7919%variants)/variants
		metrics[i] = scaled(t, from.Experiments[i%len(from.Experiments)].Metrics, factor)
	}
	s := &result.StudyResult{Name: "large", Dir: t.TempDir(), Planned: 3 * configurations, OK: 3 * configurations,
		Doubts: from.Doubts}
	if err := os.Mkdir(filepath.Join(s.Dir, result.RunsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range configurations {
		e := from.Experiments[i%len(from.Experiments)]
		own := runs[e.ID]
		e.ID, e.Metrics, e.OK = fmt.Sprintf("%012x", i), metrics[i%len(metrics)], 3
		e.Config.Workload.Prompts, e.Config.Workload.InputTokens = i%512+1, i/512+1
		if s := e.Standing; s != nil && i >= len(from.Experiments) {
			e.Standing = &result.Standing{Status: "dominated"}
		}
		for cycle := range 3 {
			row := own[cycle%len(own)]
			target := filepath.Join(from.Dir, filepath.FromSlash(result.RunPath(row.ID, row.Cycle)))
			row.ID, row.Cycle = e.ID, cycle+1
			s.Rows = append(s.Rows, row)
			if i >= folders {
				continue // the page does not read them
			}
			if err := os.Symlink(target,
				filepath.Join(s.Dir, filepath.FromSlash(result.RunPath(row.ID, row.Cycle)))); err != nil {
				t.Fatal(err)
			}
		}
		s.Experiments = append(s.Experiments, e)
	}
	return s
}

// TestLarge writes the page of 100,000 runs: it stays below 20 MB, and reports what it leaves out.
func TestLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("100,002 runs")
	}
	s := large(t)
	page := write(t, "large.html", s, Options{Version: "test"})
	if len(page) > 20_000_000 {
		t.Errorf("%d bytes", len(page))
	}
	text := plain(page)
	for _, want := range []string{"The table shows 2000 of 33334 configurations", "The first 100 configurations",
		"6 of 33334 configurations", "about 2000 of 33334 configurations are drawn",
		"the first run of 12 configurations",
		"100002 of 100002 runs ok"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
}
