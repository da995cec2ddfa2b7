package shape

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

const gib = 1 << 30

// TestFamilies counts the published configurations in testdata/configs. Parameters come from
// the classes of transformers 5.17, built on its meta device; what a token visits and the bytes are
// published, or computed by hand where a comment says how.
func TestFamilies(t *testing.T) {
	for _, c := range []struct {
		name    string
		total   int64   // parameters, vision tower included
		vision  int64   // of them
		active  float64 // in units of 10⁹; 0: all but the tower
		weights float64 // bytes as stored, or in 16 bits, in GiB
		cache   int64   // elements that 4096 tokens keep
	}{
		{name: "deepseek-v3", total: 671_026_404_352, active: 37.55, weights: 626.7, cache: 61 * 576 * 4096},
		{name: "deepseek-v2-lite", total: 15_706_484_224, active: 2.66, weights: 29.26, cache: 27 * 576 * 4096},
		{name: "falcon-7b", total: 6_921_720_704, weights: 12.89, cache: 32 * 2 * 64 * 4096},
		{name: "falcon-40b", total: 41_303_293_952, weights: 76.93, cache: 60 * 2 * 8 * 64 * 4096},
		{name: "gemma3-27b", total: 27_432_406_640, vision: 423_060_336, weights: 51.1,
			cache: 2 * 16 * 128 * (10*4096 + 52*1024)},
		{name: "gemma3-4b", total: 4_300_079_472, vision: 419_816_304, weights: 8.01,
			cache: 2 * 4 * 256 * (5*4096 + 29*1024)},
		{name: "gpt-oss-20b", total: 20_914_757_184, active: 4.19, weights: 12.8,
			cache: 2 * 8 * 64 * (12*4096 + 12*128)},
		{name: "gpt2", total: 124_439_808, weights: 0.2318, cache: 12 * 2 * 768 * 4096},
		{name: "infinity", total: 8_030_261_248, weights: 14.96, cache: 32 * 2 * 1024 * 4096},
		{name: "jamba-v0.1", total: 51_570_323_328, active: 12.1, weights: 96.06,
			cache: 4*2*1024*4096 + 28*8192*(16+4)},
		{name: "llama31-70b-awq", total: 70_553_706_496, weights: 37.8, cache: 80 * 2 * 1024 * 4096},
		{name: "llama31-70b-fp8", total: 70_553_706_496, weights: 67.7, cache: 80 * 2 * 1024 * 4096},
		{name: "llama31-8b", total: 8_030_261_248, weights: 14.96, cache: 32 * 2 * 1024 * 4096},
		{name: "llama31-8b-bnb4", total: 8_030_261_248, weights: 5.615, cache: 32 * 2 * 1024 * 4096},
		{name: "llama4-scout", total: 108_660_774_400, vision: 890_913_280, active: 17.17,
			weights: 202.4, cache: 48 * 2 * 1024 * 4096},
		{name: "mamba-2.8b", total: 2_768_345_600, weights: 5.157, cache: 64 * 5120 * (16 + 4)},
		{name: "mamba2-2.7b", total: 2_702_599_680, weights: 5.034, cache: 64 * (5120*128 + 5376*4)},
		{name: "mistral-small3-24b-2503", total: 23_340_272_640, vision: 438_958_080,
			weights: 43.47, cache: 40 * 2 * 1024 * 4096},
		{name: "mixtral-8x7b", total: 46_702_792_704, active: 12.88, weights: 86.99, cache: 32 * 2 * 1024 * 4096},
		{name: "nemotron-h", total: 2_152_883_456, active: 1.74, weights: 4.01,
			cache: 2*1024*4096 + 8192*128 + 10240*4},
		{name: "nemotron-h-8b", total: 8_100_852_736, weights: 15.09,
			cache: 4*2*1024*4096 + 24*(8192*128+10240*4)},
		{name: "olmo2-7b", total: 7_298_617_344, weights: 13.59, cache: 32 * 2 * 4096 * 4096},
		{name: "phi3-mini", total: 3_821_079_552, weights: 7.117, cache: 32 * 2 * 3072 * 2047},
		{name: "pythia-6.9b", total: 6_857_302_016, weights: 12.77, cache: 32 * 2 * 4096 * 4096},
		{name: "qwen15-moe-a2.7b", total: 14_315_784_192, active: 2.69, weights: 26.67, cache: 24 * 2 * 2048 * 4096},
		{name: "qwen25-7b", total: 7_615_616_512, weights: 14.19, cache: 28 * 2 * 512 * 4096},
		{name: "qwen3-30b-a3b", total: 30_532_122_624, active: 3.35, weights: 56.87, cache: 48 * 2 * 512 * 4096},
		{name: "qwen3-next-80b", total: 79_674_391_296, active: 3.87, weights: 148.4,
			cache: 12*2*512*4096 + 36*(32*128*128+8192*4)},
		{name: "smollm3", total: 3_075_098_624, weights: 5.728, cache: 36 * 2 * 512 * 4096},
		{name: "stablelm2-1.6b", total: 1_644_515_328, weights: 3.063, cache: 24 * 2 * 2048 * 4096},
	} {
		got, err := FromHFFolder(filepath.Join("testdata", "configs", c.name))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		p := got.Parameters()
		if p.Total != c.total {
			t.Errorf("%s: %d parameters, want %d", c.name, p.Total, c.total)
		}
		if p.Vision != c.vision {
			t.Errorf("%s: %d parameters of the tower, want %d", c.name, p.Vision, c.vision)
		}
		active := c.active
		if active == 0 {
			active = float64(p.Total-p.Vision) / 1e9
		}
		if math.Abs(float64(p.Active)/1e9/active-1) > 0.005 {
			t.Errorf("%s: %.3f·10⁹ parameters for a token, want %.3f", c.name, float64(p.Active)/1e9, active)
		}
		weights, _ := got.EstimateBytes("bfloat16", 1, 1)
		if math.Abs(float64(weights)/gib/c.weights-1) > 0.005 {
			t.Errorf("%s: %.3f GiB of weights, want %.3f", c.name, float64(weights)/gib, c.weights)
		}
		if n := got.CacheElements(4096); n != c.cache {
			t.Errorf("%s: 4096 tokens keep %d elements, want %d", c.name, n, c.cache)
		}
		f := got.FLOPs([]Length{{Prompt: 1, Output: 0}})
		least := 2 * float64(p.Active-p.Embedding)
		if f.Prefill < least || f.Prefill > 1.05*least {
			t.Errorf("%s: %g operations for a token, want %g and a little", c.name, f.Prefill, least)
		}
		if d := got.FLOPs([]Length{{Prompt: 100, Output: 11}}).Decode; !(d > 10*least) {
			t.Errorf("%s: %g operations for ten tokens, want more than %g", c.name, d, 10*least)
		}
	}
	all, _ := filepath.Glob(filepath.Join("testdata", "configs", "*"))
	if len(all) < 32 {
		t.Errorf("%d configurations", len(all))
	}
}

// TestConfigsRefused: what transformers refuses is refused with the reason.
func TestConfigsRefused(t *testing.T) {
	for name, want := range map[string][]string{
		"bom":     {"byte order mark", "without a byte order mark"},
		"kvarray": {"num_key_value_heads"},
	} {
		_, err := FromHFFolder(filepath.Join("testdata", "configs", name))
		if fault.Class(err) != codes.ClassCorruptModel {
			t.Errorf("%s: %v", name, err)
		}
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) || strings.Contains(err.Error(), "download") {
				t.Errorf("%s: %v, want %q and no new download", name, err, w)
			}
		}
	}
	for text, want := range map[string]string{
		"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n": "git lfs pull",
		"<!DOCTYPE html><html>Sign in</html>":                          "HTML page",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := FromHFFolder(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestPublishedActive: the published figures of active parameters follow one of two rules. All
// count the output matrix; some leave out the embedding, of which a token reads one row.
func TestPublishedActive(t *testing.T) {
	for _, c := range []struct {
		name      string
		published float64 // in units of 10⁹
		digit     float64 // of the published figure that is the last
		without   bool    // the embedding
	}{
		{"mixtral-8x7b", 12.9, 0.1, false},    // Jiang et al. 2024
		{"qwen3-30b-a3b", 3.3, 0.1, false},    // model card
		{"qwen15-moe-a2.7b", 2.7, 0.1, false}, // model card
		{"llama4-scout", 17, 1, false},        // model card
		{"gpt-oss-20b", 3.6, 0.1, true},       // model card: "3.61 B", without embeddings
		{"deepseek-v2-lite", 2.4, 0.1, true},  // model card
		{"deepseek-v3", 37, 1, true},          // DeepSeek-AI 2024
	} {
		config, err := FromHFFolder(filepath.Join("testdata", "configs", c.name))
		if err != nil {
			t.Error(err)
			continue
		}
		with := float64(config.Parameters().Active) / 1e9
		without := with - float64(config.Count(Embedding))/1e9
		if got := map[bool]float64{false: with, true: without}[c.without]; math.Abs(got-c.published) > 0.56*c.digit {
			t.Errorf("%s: %.2f·10⁹ active, %.2f without the embedding; published are %v", c.name, with, without,
				c.published)
		}
	}
}

// TestSpecialsOutsideTheVocabulary: of the ids of the first and last token.
func TestSpecialsOutsideTheVocabulary(t *testing.T) {
	const start = `{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
		"intermediate_size": 192, "vocab_size": 512, "max_position_embeddings": 2048, `
	for ids, want := range map[string]string{
		`"bos_token_id": 1, "eos_token_id": 511`:        "",
		`"bos_token_id": null, "eos_token_id": -1`:      "",
		`"pad_token_id": 512`:                           "",
		`"bos_token_id": 512, "eos_token_id": 2`:        "bos_token_id 512 ",
		`"bos_token_id": 1, "eos_token_id": [2, 90000]`: "eos_token_id 90000 ",
		`"bos_token_id": -7`:                            "bos_token_id -7 ",
	} {
		c, err := FromHFConfig([]byte(start + ids + "}"))
		if err != nil || (want == "") != (c.Outside == "") || !strings.HasPrefix(c.Outside, want) {
			t.Errorf("%s: %q, %v; want %q", ids, c.Outside, err, want)
		}
	}
}
