package estimate

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/shape"
)

var shapes = flag.String("shapes", "", "write the folders that testdata/simulate.py reads here")

// on returns a Setup of a shape with PyTorch on an H200.
func on(t testing.TB, name string, batch, input, output int) Setup {
	t.Helper()
	m, err := shape.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Lookup("h200")
	if err != nil {
		t.Fatal(err)
	}
	return Setup{Model: m.Config, Backend: "pytorch", Device: d,
		Work: Work{Prompts: batch, Batch: batch, Input: input, Output: output}}
}

// within fails if got differs from want by more than the given relative tolerance.
func within(t *testing.T, what string, got, want, part float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > part*math.Abs(want) {
		t.Errorf("%s: %.6g, want %.6g ± %g %%", what, got, want, 100*part)
	}
}

// TestWeightsByHand compares with numbers calculated by hand.
func TestWeightsByHand(t *testing.T) {
	for _, c := range []struct {
		shape  string
		format Format
		want   digits.Bytes
	}{
		{"llama-3.1-8b", BF16, 8_030_261_248 * 2}, // 16.06 GB
		{"llama-3.1-8b", FP32, 8_030_261_248 * 4},
		{"llama-3.1-70b", BF16, 70_553_706_496 * 2},
		{"llama-3.2-1b", BF16, 1_235_814_400 * 2}, // tied: the embedding counts once
		{"qwen2.5-7b", BF16, 7_615_616_512 * 2},
		// 32 layers of 218,103,808 quantised weights; 1,050,673,152 of embedding and
		// output and 266,240 of norms in 16 bits; a 4-byte scale for each of
		// 32·(6144 + 4096 + 28672 + 4096) rows.
		{"llama-3.1-8b", FP8, 6_979_321_856 + 2*(1_050_673_152+266_240) + 4*32*43_008},
		{"llama-3.1-8b", Int8, 6_979_321_856 + 2*(1_050_673_152+266_240) + 4*32*43_008},
		// 4 bits, and 32 bits for each group of 128.
		{"llama-3.1-8b", Int4, 6_979_321_856*17/32 + 2*(1_050_673_152+266_240)},
		// ggml: 34 or 18 bytes for 32 weights, norms in float32, embedding included.
		{"llama-3.1-8b", Q8_0, (6_979_321_856+1_050_673_152)*34/32 + 4*266_240},
		{"llama-3.1-8b", Q4_0, (6_979_321_856+1_050_673_152)*18/32 + 4*266_240},
	} {
		s := on(t, c.shape, 1, 16, 1)
		s.Format = c.format
		if got := digits.Bytes(s.weights()); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.shape, c.format, got, c.want)
		}
	}
}

// TestCacheByHand: 2 · layers · key/value heads · head dimension · 2 bytes.
func TestCacheByHand(t *testing.T) {
	for shape, want := range map[string]digits.Bytes{
		"llama-3.1-8b": 131_072, "llama-3.1-70b": 327_680, "llama-2-7b": 524_288, "qwen2.5-7b": 57_344,
		"smollm2-135m": 23_040,
	} {
		s := on(t, shape, 4, 100, 29)
		if got := s.CacheBytesPerToken(); got != want {
			t.Errorf("%s: %d bytes a token, want %d", shape, got, want)
		}
		if got := s.Memory().CacheAtEnd; got != 4*128*want {
			t.Errorf("%s: %d bytes at the end, want %d", shape, got, 4*128*want)
		}
	}
	// gemma-3-1b: 4 of 26 layers see everything, the others 512 tokens.
	s := on(t, "gemma-3-1b", 1, 1000, 25)
	if got, want := s.Memory().CacheAtEnd, digits.Bytes(4*1024+22*512)*1024; got != want {
		t.Errorf("gemma-3-1b: %d, want %d", got, want)
	}
	// Two devices hold 4 of 8 heads each; 16 devices one head each, not less.
	s = on(t, "llama-3.1-8b", 1, 100, 1)
	for n, want := range map[int]digits.Bytes{2: 65_536, 8: 16_384, 16: 16_384} {
		if s.Parallel = n; s.CacheBytesPerToken() != want {
			t.Errorf("on %d devices: %d bytes a token, want %d", n, s.CacheBytesPerToken(), want)
		}
	}
}

// TestPartsAddUp covers backends, formats and shapes.
func TestPartsAddUp(t *testing.T) {
	for _, backend := range Backends() {
		for _, format := range Formats() {
			for _, shape := range []string{"tiny-llama", "llama-3.1-8b", "qwen3-30b-a3b", "gemma-3-1b"} {
				s := on(t, shape, 8, 700, 33)
				s.Backend, s.Format = backend, format
				m := s.Memory()
				sum := m.Weights + m.KVCache + m.Activations + m.Logits + m.Overhead
				if m.Total != sum || m.Total <= 0 || m.Low >= m.Total || m.High <= m.Total || m.Device < m.Needed() ||
					m.Basis == "" || m.Phase == "" {
					t.Errorf("%s %s %s: %+v", backend, format, shape, m)
				}
			}
		}
	}
	if (Setup{}).Memory() != (Memory{}) {
		t.Error("an invalid setup has memory")
	}
}

// TestMemoryGrows: memory grows with everything that uses memory, and shrinks with devices.
func TestMemoryGrows(t *testing.T) {
	changes := map[string]func(*Setup, int){
		"batch":  func(s *Setup, i int) { s.Work.Batch, s.Work.Prompts = 1+3*i, 1+3*i },
		"input":  func(s *Setup, i int) { s.Work.Input = 17 + 150*i },
		"output": func(s *Setup, i int) { s.Work.Output = 1 + 150*i },
		"layers": func(s *Setup, i int) { s.Model.Layers = 1 + i },
		"vocab":  func(s *Setup, i int) { s.Model.Vocab = 32000 * (1 + i) },
		"format": func(s *Setup, i int) { s.Format = []Format{Q4_0, Int8, FP16, FP32}[min(i, 3)] },
	}
	for _, backend := range Backends() {
		for _, attention := range []string{"sdpa", "eager"} {
			for _, shape := range []string{"smollm2-135m", "llama-3.1-8b", "gemma-3-1b", "qwen3-30b-a3b"} {
				for name, change := range changes {
					last := digits.Bytes(0)
					for i := range 8 {
						s := on(t, shape, 4, 256, 32)
						s.Backend, s.Attention = backend, attention
						change(&s, i)
						if m := s.Memory().Needed(); m < last {
							t.Errorf("%s %s %s: memory falls from %d to %d at %s %d", backend, attention, shape, last,
								m, name, i)
						} else {
							last = m
						}
					}
				}
				last := digits.Bytes(math.MaxInt64)
				for _, n := range []int{1, 2, 4, 8, 16} {
					s := on(t, shape, 4, 256, 32)
					s.Backend, s.Attention, s.Parallel = backend, attention, n
					if m := s.Memory().Needed(); m > last {
						t.Errorf("%s %s %s: memory of a device grows from %d to %d on %d devices", backend, attention,
							shape, last, m, n)
					} else {
						last = m
					}
				}
			}
		}
	}
	bits := []Format{Int4, FP8, BF16, FP32}
	for i := 1; i < len(bits); i++ {
		a, b := on(t, "llama-3.1-8b", 1, 64, 8), on(t, "llama-3.1-8b", 1, 64, 8)
		a.Format, b.Format = bits[i-1], bits[i]
		if a.weights() >= b.weights() {
			t.Errorf("weights in %s take no less than in %s", bits[i-1], bits[i])
		}
	}
}

// TestEagerAttention: the scores of 4·32·512² in bfloat16 take 2+4+4 bytes each.
func TestEagerAttention(t *testing.T) {
	s := on(t, "llama-3.1-8b", 4, 512, 3)
	s.Attention = "eager"
	if got, want := s.scores(), int64(10*4*32*512*512); got != want {
		t.Errorf("%d bytes of scores, want %d", got, want)
	}
	if sdpa := on(t, "llama-3.1-8b", 4, 512, 3); sdpa.scores() != 0 {
		t.Errorf("%d bytes of scores with sdpa", sdpa.scores())
	}
}

// row is one line of simulated.json and peaks.json.
type row struct {
	Model     string  `json:"model"`
	DType     string  `json:"dtype"`
	Attention string  `json:"attention"`
	Batch     int     `json:"batch"`
	Input     int     `json:"input"`
	Output    int     `json:"output"`
	Padded    bool    `json:"padded"`
	Weights   int64   `json:"weights"`
	Load      int64   `json:"load"`
	Phase     string  `json:"phase"`
	Peak      int64   `json:"peak"`
	Allocated int64   `json:"max_memory_allocated"`
	Reserved  int64   `json:"max_memory_reserved"`
	Device    string  `json:"device"`
	Used      int64   `json:"device_used"`
	Prefill   float64 `json:"prefill_s"`
	Decode    float64 `json:"decode_s"`
}

func (r row) setup(t *testing.T) Setup {
	s := on(t, r.Model, r.Batch, r.Input, r.Output)
	f, err := ParseFormat(r.DType)
	if err != nil {
		t.Fatal(err)
	}
	s.Format, s.Attention, s.Work.Padded = f, r.Attention, r.Padded
	return s
}

func (r row) String() string {
	return fmt.Sprintf("%s %s %s batch %d, %d in, %d out", r.Model, r.DType, r.Attention, r.Batch, r.Input, r.Output)
}

func rows(t *testing.T, file string) []row {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []row
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return all
}

// TestSimulatedPeaks compares with the tensors that transformers creates, counted on the meta device.
func TestSimulatedPeaks(t *testing.T) {
	if *shapes != "" {
		for _, s := range shape.Shapes() {
			if err := model.WriteHFDir(filepath.Join(*shapes, s.Name), s.Config, gguf.BFloat16); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := rows(t, "simulated.json")
	if len(all) < 15 {
		t.Fatalf("%d rows", len(all))
	}
	for _, r := range all {
		s := r.setup(t)
		m := s.Memory()
		t.Logf("%v: %.4f of the peak, %.3f of what it adds to the weights, %s", r, float64(m.Total)/float64(r.Peak),
			float64(m.Total-m.Weights)/float64(r.Peak-r.Weights), m.Phase)
		// Some shapes tie buffers that are not parameters: bytes, not megabytes.
		within(t, r.String()+" weights", float64(m.Weights), float64(r.Weights), 1e-6)
		within(t, r.String()+" peak", float64(m.Total), float64(r.Peak), 0.01)
		within(t, r.String()+" peak less weights", float64(m.Total-m.Weights), float64(r.Peak-r.Weights), 0.15)
		within(t, r.String()+" loading", float64(m.Load), float64(r.Load), 0.05)
		if m.Phase != r.Phase {
			t.Errorf("%v: peak in %s, want %s", r, m.Phase, r.Phase)
		}
	}
}

// TestMeasuredPeaks reads the output of bench/device/peaks.py on a device.
func TestMeasuredPeaks(t *testing.T) {
	all := rows(t, "peaks.json")
	if len(all) == 0 {
		t.Skip("NOT CHECKED AGAINST A DEVICE: testdata/peaks.json is absent. On one: " +
			"python3 bench/device/peaks.py > internal/estimate/testdata/peaks.json")
	}
	for _, r := range all {
		s := r.setup(t)
		d, err := Lookup(r.Device)
		if err != nil {
			t.Fatal(err)
		}
		s.Device = d
		m := s.Memory()
		prefill, decode := s.batchCost(r.Batch)
		t.Logf("%v: estimated %v of %v allocated (%+.2f %%), reserved %v, on the device %v of %v; prefill %.4g of "+
			"%.4g s, decode %.4g of %.4g s",
			r, m.Total, digits.Bytes(r.Allocated), 100*(float64(m.Total)/float64(r.Allocated)-1),
			digits.Bytes(r.Reserved), m.Device, digits.Bytes(r.Used),
			prefill.Seconds, r.Prefill, decode.Seconds, r.Decode)
		within(t, r.String()+" peak", float64(m.Total), float64(r.Allocated), 0.05)
		p, err := Estimate(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		if took := r.Prefill + r.Decode; took < p.SecondsRange.Low || took > p.SecondsRange.High {
			t.Errorf("%v: %.3g s are outside of %+v", r, took, p.SecondsRange)
		}
	}
}
