//go:build cgo

package ggml

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/shape"
)

// TestLlamaWithBiasesIsQwen2 runs the same weights under two names. The engine rotates the rows of q and k in
// another order for Llama, so the tokens are equal only if the conversion reorders weights and biases accordingly.
func TestLlamaWithBiasesIsQwen2(t *testing.T) {
	as := func(class, kind string) []int32 { return greedy(t, checkpoint(t, class, kind)) }
	llama, qwen := as("LlamaForCausalLM", "llama"), as("Qwen2ForCausalLM", "qwen2")
	different, distinct := 0, map[int32]bool{}
	for i := range llama {
		distinct[llama[i]] = true
		if llama[i] != qwen[i] {
			different++
		}
	}
	// Sums in another order may decide a near tie differently.
	if different > 1 || len(distinct) < 10 {
		t.Errorf("%d of %d tokens differ, %d distinct:\n%d\n%d", different, len(llama), len(distinct), llama, qwen)
	}
}

// greedy returns the first token after each of some prompts.
func greedy(t *testing.T, folder string) []int32 {
	t.Helper()
	m, err := model.Store{Dir: t.TempDir()}.Resolve(t.Context(), model.Request{Model: folder})
	if err != nil {
		t.Fatal(err)
	}
	e := &worker{}
	defer e.Close()
	spec := backend.Spec{Model: "tiny", Path: m.Path, MaxContext: 64, Options: []byte(`{"threads":1}`)}
	if _, err := e.Load(t.Context(), spec, func(string, float64) {}); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	w := backend.Workload{OutputTokens: 1}
	for i := range 32 {
		p := backend.Prompt{ID: i, Tokens: make([]int32, 24)}
		for j := range p.Tokens {
			p.Tokens[j] = r.Int32N(256)
		}
		w.Requests = append(w.Requests, p)
	}
	log, err := e.Run(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	var out []int32
	for _, q := range log.Requests {
		out = append(out, q.Output...)
	}
	return out
}

// checkpoint writes a Hugging Face folder with biases on q, k and v; the same
// names have the same weights whatever the class.
func checkpoint(t *testing.T, class, kind string) string {
	t.Helper()
	shape, err := shape.Lookup("tiny-qwen2")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), kind)
	if err := model.WriteHFDir(dir, shape.Config, "float32"); err != nil {
		t.Fatal(err)
	}
	c := shape.Config
	config := map[string]any{"architectures": []string{class}, "model_type": kind, "hidden_size": c.Hidden,
		"num_hidden_layers": c.Layers, "num_attention_heads": c.Heads, "num_key_value_heads": c.KVHeads,
		"intermediate_size": c.FFN, "vocab_size": c.Vocab, "max_position_embeddings": c.Context, "rms_norm_eps": 1e-6,
		"rope_theta": 1e4, "tie_word_embeddings": true, "attention_bias": true}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	header, data := map[string]any{}, &bytes.Buffer{}
	r := rand.New(rand.NewPCG(3, 4))
	add := func(name string, std float64, shape ...int) {
		n, from := 1, data.Len()
		for _, d := range shape {
			n *= d
		}
		for range n {
			bits := math.Float32bits(float32(r.NormFloat64() * std))
			data.Write(binary.LittleEndian.AppendUint32(nil, bits))
		}
		header[name] = map[string]any{"dtype": "F32", "shape": shape, "data_offsets": []int{from, data.Len()}}
	}
	add("model.embed_tokens.weight", 1, c.Vocab, c.Hidden)
	add("model.norm.weight", 1, c.Hidden)
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	for i := range c.Layers {
		p := fmt.Sprintf("model.layers.%d.", i)
		add(p+"input_layernorm.weight", 1, c.Hidden)
		add(p+"post_attention_layernorm.weight", 1, c.Hidden)
		for _, x := range []struct {
			name string
			rows int
		}{{"q", q}, {"k", kv}, {"v", kv}} {
			add(p+"self_attn."+x.name+"_proj.weight", 0.3, x.rows, c.Hidden)
			add(p+"self_attn."+x.name+"_proj.bias", 1, x.rows)
		}
		add(p+"self_attn.o_proj.weight", 0.3, c.Hidden, q)
		add(p+"mlp.gate_proj.weight", 0.2, c.FFN, c.Hidden)
		add(p+"mlp.up_proj.weight", 0.2, c.FFN, c.Hidden)
		add(p+"mlp.down_proj.weight", 0.2, c.Hidden, c.FFN)
	}
	head, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head...)
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), append(file, data.Bytes()...), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
