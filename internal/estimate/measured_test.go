package estimate

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/unit"
)

// measured is the part of a result.json that these tests read.
type measured struct {
	file   string
	Config struct {
		Model    string
		Backend  string
		Workload struct {
			InputTokens  int `json:"input_tokens"`
			OutputTokens int `json:"output_tokens"`
		}
		PyTorch struct {
			BatchSize int    `json:"batch_size"`
			Attention string `json:"attn_implementation"`
		}
		Embedded struct {
			BatchSize int `json:"batch_size"`
		}
	}
	Backend struct {
		DType   string
		Threads int
	}
	Window struct {
		Seconds float64 `json:"duration_s"`
	}
	Tokens struct {
		Requests int `json:"requests_ok"`
	}
	Energy struct {
		Total struct{ Value float64 } `json:"total_j"`
	}
	Memory struct {
		Peak int64 `json:"peak_bytes"`
	}
	Timing struct {
		Load   float64 `json:"load_s"`
		Warmup float64 `json:"warmup_s"`
	}
	Latency struct {
		TTFT struct{ P50 float64 } `json:"ttft_ms"`
		TPOT struct{ P50 float64 } `json:"tpot_ms"`
	}
}

// results are the runs of bench/results, unpacked and packed.
func results(t *testing.T) []measured {
	t.Helper()
	const root = "../../bench/results"
	var all []measured
	decode := func(r io.Reader, name string) {
		m := measured{file: name}
		if err := json.NewDecoder(r).Decode(&m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if m.Memory.Peak > 0 {
			all = append(all, m)
		}
	}
	for _, pattern := range []string{"*-h200/*/result.json", "*-h200/earlier/*.json"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			decode(f, name)
			f.Close()
		}
	}
	packed, _ := filepath.Glob(filepath.Join(root, "*-h200/results.tar.gz"))
	studies, _ := filepath.Glob(filepath.Join(root, "*-h100/study.tar.gz"))
	packed = append(packed, studies...)
	for _, name := range packed {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		for r := tar.NewReader(z); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if path.Base(h.Name) == "result.json" {
				decode(r, name+":"+h.Name)
			}
		}
		f.Close()
	}
	if len(all) < 13 {
		t.Fatalf("%d results in %s", len(all), root)
	}
	return all
}

func (m measured) setup(t *testing.T) Setup {
	t.Helper()
	shape, err := shape.Lookup(m.Config.Model)
	if err != nil {
		t.Fatal(err)
	}
	format, err := ParseFormat(m.Backend.DType)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := Lookup("NVIDIA H200")
	if strings.Contains(m.file, "-h100") {
		d, _ = Lookup("NVIDIA H100 80GB HBM3")
	}
	batch := m.Config.PyTorch.BatchSize
	if m.Config.Backend == "embedded" {
		d, batch = Processor(16, 128<<30), m.Config.Embedded.BatchSize
	}
	return Setup{
		Model: shape.Config, Backend: m.Config.Backend, Attention: m.Config.PyTorch.Attention, Format: format,
		Device: d,
		Work: Work{Prompts: m.Tokens.Requests, Batch: batch, Input: m.Config.Workload.InputTokens,
			Output: m.Config.Workload.OutputTokens},
		Around: Around{WarmupRuns: 1},
	}
}

func (m measured) run(t *testing.T) Run {
	s := m.setup(t)
	return Run{
		Device: s.Device.Name, Backend: s.Backend, Attention: s.Attention, Format: s.Format, Model: s.Model,
		Work:    s.Work,
		Seconds: m.Window.Seconds, Energy: unit.FromJoules(m.Energy.Total.Value), Peak: digits.Bytes(m.Memory.Peak),
	}
}

// TestAgainstResults: memory within 5 % (PyTorch within 0.1 %), window and energy within the interval, and the
// constants in the comments.
func TestAgainstResults(t *testing.T) {
	for _, m := range results(t) {
		s := m.setup(t)
		p, err := Estimate(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: peak %+.3f %%, window %.1f of %.1f s, %v of %.0f J, prefill %v, decode %v W, start %.1f of "+
			"%.1f s, warm-up %.1f of %.1f s", m.file,
			100*(float64(p.Memory.Total)/float64(m.Memory.Peak)-1), p.Window.Seconds, m.Window.Seconds,
			p.Window.Energy.Joules(),
			m.Energy.Total.Value, p.Prefill.Watts(), p.Decode.Watts(), p.Fixed.Start, m.Timing.Load, p.Fixed.Warmup,
			m.Timing.Warmup)
		part := 0.05
		if s.Backend == "pytorch" {
			part = 0.001
		}
		within(t, m.file+" peak", float64(p.Memory.Total), float64(m.Memory.Peak), part)
		if v := m.Window.Seconds; v < p.SecondsRange.Low || v > p.SecondsRange.High {
			t.Errorf("%s: window of %.1f s is outside of %+v", m.file, v, p.SecondsRange)
		}
		if v := m.Energy.Total.Value; v < p.JoulesRange.Low || v > p.JoulesRange.High {
			t.Errorf("%s: %.0f J are outside of %+v", m.file, v, p.JoulesRange)
		}
	}
}

// truth are medians of bench/results/2026-11-24-h200/truth.json.gz and the energy in truth.md: prefill seconds and
// watts, decode seconds a step and watts.
var truth = []struct {
	batch, input, output          int
	prefill, prefillW, decode, dW float64
}{
	{8, 512, 48, 0.111, 787, 0.0193, 226},
	{1, 256, 24, 0.0201, 409, 0.0191, 222},
	{16, 2048, 16, 0.942, 714, 0.0201, 293},
	{32, 128, 64, 0.110, 785, 0.0190, 249},
}

// TestAgainstTruth verifies the fit of the constants in profile.go.
func TestAgainstTruth(t *testing.T) {
	for _, c := range truth {
		s := on(t, "llama-3.1-8b", c.batch, c.input, c.output)
		prefill, decode := s.batchCost(c.batch)
		per := decode.Seconds / float64(c.output-1)
		t.Logf("%d, %d, %d: prefill %.4f of %.4f s (%s), %.0f of %.0f W; decode %.4f of %.4f s (%s), %.0f of %.0f W",
			c.batch, c.input, c.output,
			prefill.Seconds, c.prefill, prefill.Bound, float64(prefill.Watts()), c.prefillW, per, c.decode,
			decode.Bound, float64(decode.Watts()), c.dW)
		within(t, "prefill s", prefill.Seconds, c.prefill, 0.06)
		within(t, "decode s", per, c.decode, 0.08)
		within(t, "prefill W", float64(prefill.Watts()), min(c.prefillW, 700), 0.1)
		within(t, "decode W", float64(decode.Watts()), c.dW, 0.1)
		if decode.Bound != BoundLaunches {
			t.Errorf("decode is bound by %s", decode.Bound)
		}
	}
}

// TestHistoryOfResults omits one result and predicts it from the others.
func TestHistoryOfResults(t *testing.T) {
	all := results(t)
	for i, m := range all {
		if m.Config.Backend != "pytorch" {
			continue
		}
		var others []Run
		for j, o := range all {
			if j != i {
				others = append(others, o.run(t))
			}
		}
		p, err := Estimate(m.setup(t), others)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %s, %.1f of %.1f s, %.0f of %.0f J", m.file, p.Basis, p.Window.Seconds, m.Window.Seconds,
			p.Window.Energy.Joules(), m.Energy.Total.Value)
		if v := m.Window.Seconds; v < p.SecondsRange.Low || v > p.SecondsRange.High {
			t.Errorf("%s: %.1f s is outside of %+v", m.file, v, p.SecondsRange)
		}
		if v := m.Energy.Total.Value; v < p.JoulesRange.Low || v > p.JoulesRange.High {
			t.Errorf("%s: %.0f J is outside of %+v", m.file, v, p.JoulesRange)
		}
	}
}

// TestEmbeddedPeaks verifies the fit of the resident set on VmHWM of single runs.
func TestEmbeddedPeaks(t *testing.T) {
	for _, c := range []struct {
		shape                string
		format               Format
		batch, input, output int
		peak                 float64
	}{
		{"smollm2-135m", FP16, 1, 64, 8, 370_651_136},
		{"smollm2-135m", FP16, 8, 256, 8, 439_537_664},
		{"qwen2.5-0.5b", Q8_0, 4, 256, 4, 775_991_296},
		{"qwen3-0.6b", FP16, 2, 512, 4, 1_736_957_952},
	} {
		s := on(t, c.shape, c.batch, c.input, c.output)
		s.Backend, s.Format, s.Device = "embedded", c.format, Processor(2, 16<<30)
		within(t, c.shape, float64(s.Memory().Total), c.peak, 0.05)
	}
}
