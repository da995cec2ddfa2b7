package shape

import (
	"math"
	"slices"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
)

// published are the parameter counts in the safetensors metadata that the
// Hugging Face model page of each Source shows (gemma-3-1b: 999,885,952).
var published = map[string]int64{
	"smollm2-135m":   134_515_008,
	"smollm2-360m":   361_821_120,
	"smollm2-1.7b":   1_711_376_384,
	"tinyllama-1.1b": 1_100_048_384,
	"llama-2-7b":     6_738_415_616,
	"llama-2-13b":    13_015_864_320,
	"llama-3.2-1b":   1_235_814_400,
	"llama-3.2-3b":   3_212_749_824,
	"llama-3.1-8b":   8_030_261_248,
	"llama-3.1-70b":  70_553_706_496,
	"mistral-7b":     7_248_023_552,
	"qwen2.5-0.5b":   494_032_768,
	"qwen2.5-1.5b":   1_543_714_304,
	"qwen2.5-3b":     3_085_938_688,
	"qwen2.5-7b":     7_615_616_512,
	"qwen2.5-32b":    32_763_876_352,
	"qwen3-0.6b":     596_049_920,
	"qwen3-1.7b":     1_720_574_976,
	"qwen3-4b":       4_022_468_096,
	"qwen3-8b":       8_190_735_360,
	"qwen3-14b":      14_768_307_200,
	"qwen3-32b":      32_762_123_264,
	"qwen3-30b-a3b":  30_532_122_624,
	"gemma-2-2b":     2_614_341_888,
	"gemma-2-9b":     9_241_705_984,
	"gemma-2-27b":    27_227_128_320,
	"gemma-3-270m":   268_098_176,
	"gemma-3-1b":     999_885_952,
}

func TestParametersMatchPublishedCounts(t *testing.T) {
	for _, s := range Shapes() {
		if err := s.Config.Validate(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		want, ok := published[s.Name]
		if !ok {
			if s.Source != "" {
				t.Errorf("%s has no published count in the test", s.Name)
			}
			continue
		}
		if got := s.Config.Parameters().Total; got != want {
			t.Errorf("%s: %d parameters, published %d", s.Name, got, want)
		}
		// The written tensors must hold exactly these parameters.
		var n int64
		for _, x := range s.Config.Tensors(gguf.Float16) {
			n += x.Elements()
		}
		if n != want {
			t.Errorf("%s: tensors hold %d parameters, want %d", s.Name, n, want)
		}
	}
}

func TestParametersLlama2(t *testing.T) {
	s, err := Lookup("llama-2-7b")
	if err != nil {
		t.Fatal(err)
	}
	p := s.Config.Parameters()
	// 4·4096²·32 + 3·4096·11008·32 + 65·4096
	if p.NonEmbedding != 6_476_271_616 {
		t.Errorf("non-embedding %d", p.NonEmbedding)
	}
	if p.Active != p.Total || p.Embedding != 2*32000*4096 {
		t.Errorf("%+v", p)
	}
}

func TestParametersMixtral(t *testing.T) {
	// mistralai/Mixtral-8x7B-v0.1: 46,702,792,704 in its safetensors index; 12.9e9 active (Jiang et al. 2024).
	c := llama(dims{4096, 32, 32, 8, 128, 14336, 32000, 32768, false}, 1e6)
	c.Experts, c.ExpertsUsed, c.ExpertFFN = 8, 2, 14336
	p := c.Parameters()
	if p.Total != 46_702_792_704 {
		t.Errorf("total %d", p.Total)
	}
	if a := float64(p.Active) / 1e9; math.Abs(a-12.88) > 0.01 {
		t.Errorf("active %.3fe9", a)
	}
}

func TestFLOPs(t *testing.T) {
	c, _ := Lookup("llama-2-7b")
	n := 2.0 * 6_476_271_616
	head := 2.0 * 4096 * 32000
	attn := 4.0 * 4096 * 32 // per token and token of context

	f := c.Config.FLOPs([]Length{{Prompt: 3, Output: 1}})
	if want := 3*n + head + attn*(1+2+3); f.Prefill != want || f.Decode != 0 {
		t.Errorf("one output token: %+v, want prefill %g, no decode", f, want)
	}
	f = c.Config.FLOPs([]Length{{Prompt: 3, Output: 3}})
	if want := 2*(n+head) + attn*(4+5); f.Decode != want {
		t.Errorf("decode %g, want %g", f.Decode, want)
	}
	two := c.Config.FLOPs([]Length{{3, 3}, {3, 3}})
	if two.Total() != 2*f.Total() {
		t.Errorf("two requests %g, want twice %g", two.Total(), f.Total())
	}
	if z := c.Config.FLOPs([]Length{{0, 5}}); z.Total() != 0 {
		t.Errorf("no prompt: %+v", z)
	}
}

func TestFLOPsOnlyActiveExperts(t *testing.T) {
	s, _ := Lookup("qwen3-30b-a3b")
	p := s.Config.Parameters()
	f := s.Config.FLOPs([]Length{{1, 0}})
	attn := 4.0 * 32 * 128 * 48
	if want := 2*float64(p.Active-p.Embedding) + attn; f.Prefill != want {
		t.Errorf("prefill %g, want %g", f.Prefill, want)
	}
}

// TestSumTo checks the closed form against the explicit sum.
func TestSumTo(t *testing.T) {
	for _, limit := range []int{0, 1, 3, 7, 100} {
		for from := range 12 {
			for to := from; to < 15; to++ {
				var want float64
				for p := from + 1; p <= to; p++ {
					if limit == 0 {
						want += float64(p)
					} else {
						want += float64(min(p, limit))
					}
				}
				if got := sumTo(from, to, limit); got != want {
					t.Fatalf("sumTo(%d, %d, %d) = %g, want %g", from, to, limit, got, want)
				}
			}
		}
	}
}

func TestSlidingWindowSplit(t *testing.T) {
	s, _ := Lookup("gemma-3-1b")
	full, windowed := s.Config.SplitLayers()
	var want int
	for i := range s.Config.Layers {
		if s.Config.window(i, 1000) == 1000 {
			want++
		}
	}
	if full != want || full != 4 || windowed != 22 {
		t.Errorf("%d full and %d windowed layers, want 4 and 22", full, windowed)
	}
}

func TestEstimateBytes(t *testing.T) {
	s, _ := Lookup("llama-3.1-8b")
	w, kv := s.Config.EstimateBytes("float16", 1, 8192)
	if norms := int64(65 * 4096); w != 2*(8_030_261_248-norms)+4*norms {
		t.Errorf("weights %d", w)
	}
	if kv != 1<<30 { // 32 layers · 2 · 8 · 128 · 2 bytes = 128 KiB per token
		t.Errorf("kv %d", kv)
	}
	q8, _ := s.Config.EstimateBytes("q8_0", 1, 1)
	if r := float64(q8) / 8_030_261_248; math.Abs(r-34.0/32) > 0.001 {
		t.Errorf("q8_0 takes %.4f bytes per weight", r)
	}
	g, _ := Lookup("gemma-3-1b")
	_, kv = g.Config.EstimateBytes("bfloat16", 2, 8192)
	if want := int64(2 * 2 * 2 * 256 * (4*8192 + 22*512)); kv != want {
		t.Errorf("windowed kv %d, want %d", kv, want)
	}
}

func TestLookup(t *testing.T) {
	if s, err := Lookup("random:SmolLM2-135M"); err != nil || s.Name != "smollm2-135m" {
		t.Errorf("%v, %v", s.Name, err)
	}
	for in, want := range map[string]string{"smollm-135m": "smollm2-135m", "llama-3.1-7b": "llama-3.1-8b",
		"qwen3-0.5b": "qwen3-0.6b"} {
		near := Nearest(in)
		if len(near) == 0 || near[0] != want && !slices.Contains(near, want) {
			t.Errorf("nearest to %s: %v, want %s", in, near, want)
		}
		if _, err := Lookup(in); fault.Class(err) != codes.ClassModelNotFound {
			t.Errorf("%s: %v", in, err)
		}
	}
	if near := Nearest("zzzzzzzz"); near != nil {
		t.Errorf("nothing is near zzzzzzzz, got %v", near)
	}
}
