package plan

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configs are published configurations.
func configs(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "shape", "testdata", "configs", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestModelsInPlan: the plan shows the size of a model as stored in its files.
func TestModelsInPlan(t *testing.T) {
	for _, c := range []struct {
		config string
		fits   bool
		want   []string
	}{
		{"llama31-70b-awq", true, []string{"70.55 B parameters", "37.8 GiB of weights (awq, 4.25 bits)"}},
		{"llama31-70b-fp8", true, []string{"67.7 GiB of weights (compressed-tensors, 8 bits)"}},
		{"deepseek-v3", false, []string{"671.03 B parameters", "37.55 B active per token", "627 GiB of weights (fp8"}},
		{"gpt-oss-20b", true, []string{"20.91 B parameters", "4.19 B active per token (3.61 B without the embedding)",
			"12.8 GiB of weights (mxfp4"}},
		{"gemma3-27b", true, []string{"27.43 B parameters (423.1 M of them in its vision tower)",
			"text model and vision tower"}},
		{"mamba-2.8b", true, []string{"2.77 B parameters, 5.16 GiB of weights"}},
	} {
		s := parse(t, "model: "+configs(t, c.config)+"\nbackend: vllm\nworkload: {dataset: synthetic, prompts: 8, "+
			"input_tokens: 512, output_tokens: 128}\nvllm: {max_num_seqs: 8}\n")
		p := New(Options{Study: s, Estimate: estimator(t, "h200").Need})
		var b strings.Builder
		if err := p.Text(&b, 200); err != nil {
			t.Fatal(err)
		}
		for _, w := range c.want {
			if !strings.Contains(b.String(), w) {
				t.Errorf("%s: no %q in\n%s", c.config, w, b.String())
			}
		}
		n := p.Shown[0].Need
		if n == nil || n.Fits != c.fits || n.ActiveParameters > n.Parameters || n.FLOPsPrefill <= n.FLOPsDecode ||
			n.CacheBytes <= 0 {
			t.Errorf("%s: %+v", c.config, n)
			continue
		}
		out, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"parameters", "active_parameters", "weight_bytes", "cache_bytes", "flops_prefill",
			"flops_decode"} {
			if !strings.Contains(string(out), `"`+key+`":`) {
				t.Errorf("%s: no %s in the JSON", c.config, key)
			}
		}
	}
}

// TestModelsOnce: points that differ in their batch describe the model once.
func TestModelsOnce(t *testing.T) {
	s := parse(t, "model: random:tiny-llama\nbackend: embedded\nsweep: {embedded.batch_size: [1, 2, 4, 8]}\n")
	var b strings.Builder
	if err := New(Options{Study: s, Estimate: estimator(t, "").Need}).Text(&b, 100); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "parameters"); n != 1 {
		t.Errorf("%d times:\n%s", n, b.String())
	}
}

// TestMemoryUnknown: if the memory of a run is unknown, the plan does not claim that it runs.
func TestMemoryUnknown(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, model := range map[string]string{
		"family": write("a", `{"model_type": "novel"}`),
		"bits": write("b", `{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, `+
			`"num_attention_heads": 32,`+
			`"intermediate_size": 14336, "vocab_size": 32000, "quantization_config": {"quant_method": "novel"}}`),
	} {
		s := parse(t, "model: "+model+"\nbackend: vllm\n")
		p := New(Options{Study: s, Estimate: estimator(t, "h100").Need})
		var b strings.Builder
		if err := p.Text(&b, 100); err != nil {
			t.Fatal(err)
		}
		if p.Shown[0].Need != nil || !strings.Contains(b.String(), "  ?") || strings.Contains(b.String(), "  yes") ||
			!strings.Contains(b.String(), "novel") {
			t.Errorf("%s:\n%s", name, b.String())
		}
	}
	s := parse(t, "model: random:llama-3.1-8b\nbackend: fake\n")
	p := New(Options{Study: s, Estimate: estimator(t, "h100").Need})
	var b strings.Builder
	if err := p.Text(&b, 100); err != nil || !strings.Contains(b.String(), "yes") {
		t.Errorf("the fake engine needs no memory: %v\n%s", err, b.String())
	}
}
