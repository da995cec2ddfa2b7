package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/study"

	"io"
)

// TestPooledPercentiles: a percentile over cycles covers the requests of all runs, also where no run has one by
// itself; what cannot be read is told of, and without any file the mean of the runs' percentiles stands.
func TestPooledPercentiles(t *testing.T) {
	const each = 70
	s := runsOf(t, [][]float64{{1, 1}}, [][]float64{{1, 1}})
	s.Dir = t.TempDir()
	for c, r := range s.Runs {
		var rows []series.Request
		var ms []float64
		for i := range each {
			took := int64(1+i+each*c) * 1e6
			at := int64(1e9 + 1e9*i)
			rows = append(rows, series.Request{ID: int64(i), ArrivedNS: &at, StartedNS: &at, SubmittedNS: at,
				FirstTokenNS: at + took, EndNS: at + took, OutputTokens: 1, OK: true})
			ms = append(ms, float64(took)/1e6)
		}
		r.SchemaVersion, r.Tokens = result.SchemaVersion, &result.Tokens{RequestsOK: each}
		d := result.DistributionOf(ms)
		r.Latency = &result.Latency{TTFT: d, E2E: d, ResponseTTFT: d, ResponseE2E: d}
		run := filepath.Join(s.Dir, result.RunPath(r.ID, r.Cycle))
		if err := os.MkdirAll(run, 0o755); err != nil {
			t.Fatal(err)
		}
		write := func(name string, to func(io.Writer) error) {
			if err := disk.WriteFile(filepath.Join(run, name), to); err != nil {
				t.Fatal(err)
			}
		}
		write(result.RecordFile, func(w io.Writer) error { return disk.EncodeJSON(w, r) })
		write(requestsFile, func(w io.Writer) error { return series.Write(w, rows) })
	}
	figure := func(metric string) (float64, result.Spread) {
		if err := summarizeRuns(s, study.Until{}); err != nil {
			t.Fatal(err)
		}
		m, _ := s.Experiments[0].Metrics.Get(metric)
		v, _, _ := m.Figure()
		return v, m
	}
	// Times of 1 to 140 ms: the runs' times lie apart, and the mean of their p90s is the mean of 63.1 and 133.1 ms.
	if v, m := figure("latency.ttft_ms.p90"); v < 126 || v > 126.2 || m.Pooled.Values != 2*each || m.Pooled.Runs != 2 ||
		m.N != 2 || m.Mean > 100 {
		t.Errorf("p90 %v ms of %+v, want 126.1 of all requests", v, m)
	}
	if v, m := figure("latency.ttft_ms.p95"); v < 133 || v > 133.1 || m.N != 0 {
		t.Errorf("p95 %v ms of %+v, want 133.05, which no run has by itself", v, m)
	}
	if why := s.Experiments[0].Metrics.Why("latency.ttft_ms.p99"); !strings.Contains(why, "140: p99 needs 662") {
		t.Errorf("p99: %q", why)
	}
	lose := func(cycle int) {
		if err := os.Remove(filepath.Join(s.Dir, result.RunPath("e0", cycle), requestsFile)); err != nil {
			t.Fatal(err)
		}
	}
	lose(2)
	if v, m := figure("latency.ttft_ms.p50"); v != 35.5 || m.Pooled.Runs != 1 ||
		!strings.Contains(m.Pooled.Reason, "1 of 2 runs cannot be read") {
		t.Errorf("p50 %v ms, %+v", v, m.Pooled)
	}
	lose(1)
	if v, m := figure("latency.ttft_ms.p50"); v != 70.5 || m.Pooled.Value != nil ||
		!strings.Contains(m.Pooled.Reason, "2 of 2 runs cannot be read") {
		t.Errorf("p50 %v ms, %+v", v, m.Pooled)
	}
}
