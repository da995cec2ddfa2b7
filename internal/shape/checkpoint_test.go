package shape

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

// writeHeader writes a safetensors file with sparse data: names with a type and a shape.
func writeHeader(t *testing.T, path string, tensors map[string]saved) {
	t.Helper()
	size := map[string]int64{"BF16": 2, "F16": 2, "F32": 4, "I32": 4, "U8": 1}
	header, at := map[string]any{}, int64(0)
	for name, x := range tensors {
		n := x.elements() * size[x.dtype]
		header[name] = map[string]any{"dtype": x.dtype, "shape": x.shape, "data_offsets": []int64{at, at + n}}
		at += n
	}
	b, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	b = append(binary.LittleEndian.AppendUint64(nil, uint64(len(b))), b...)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(len(b))+at); err != nil {
		t.Fatal(err)
	}
}

func folder(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestUnknownFamily: a model of an unknown family is counted from its tensors, exactly, and its operations are
// marked as approximate.
func TestUnknownFamily(t *testing.T) {
	dir := folder(t, `{"model_type": "novel", "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
		"num_experts": 8, "num_experts_per_tok": 2, "max_position_embeddings": 512}`)
	if _, err := FromHFFolder(dir); fault.Class(err) != codes.ClassUnsupportedModel {
		t.Errorf("without weights: %v", err)
	}
	bin := filepath.Join(dir, "pytorch_model.bin")
	if err := os.WriteFile(bin, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(bin, 3e9); err != nil {
		t.Fatal(err)
	}
	if _, err := FromHFFolder(dir); fault.Class(err) != codes.ClassUnsupportedModel ||
		!strings.Contains(err.Error(), "about 3.0 GB of weights") {
		t.Errorf("without a list of tensors: %v", err)
	}
	all := map[string]saved{
		"model.embed_tokens.weight":                   {dtype: "BF16", shape: []int64{1000, 64}},
		"lm_head.weight":                              {dtype: "BF16", shape: []int64{1000, 64}},
		"model.norm.weight":                           {dtype: "F32", shape: []int64{64}},
		"model.layers.0.self_attn.q_proj.weight":      {dtype: "BF16", shape: []int64{64, 64}},
		"model.layers.1.self_attn.q_proj.weight":      {dtype: "BF16", shape: []int64{64, 64}},
		"model.layers.0.mlp.experts.gate_up_proj":     {dtype: "BF16", shape: []int64{8, 64, 64}},
		"model.layers.1.mlp.experts.3.up_proj.weight": {dtype: "BF16", shape: []int64{32, 64}},
		"model.layers.1.mlp.shared_expert.up.weight":  {dtype: "BF16", shape: []int64{32, 64}},
		"vision_tower.blocks.0.attn.weight":           {dtype: "BF16", shape: []int64{10, 10}},
	}
	writeHeader(t, filepath.Join(dir, "model.safetensors"), all)
	c, err := FromHFFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	experts := int64(8*64*64 + 32*64)
	want := Params{Embedding: 2 * 64000, Vision: 100, Total: 2*64000 + 64 + 2*64*64 + experts + 32*64 + 100}
	want.NonEmbedding = want.Total - want.Embedding
	want.Active = want.Total - want.Vision - experts + experts/4
	if got := c.Parameters(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if c.Layers != 2 || c.Vocab != 1000 || c.Hidden != 64 || c.Tied ||
		!strings.Contains(c.Layout.Approximate, "exact") ||
		c.CacheElements(10) != 10*2*2*2*16 || c.FLOPs([]Length{{10, 2}}).Decode <= 0 {
		t.Errorf("%+v", c)
	}
	if weights, _ := c.EstimateBytes("bfloat16", 1, 1); math.Abs(float64(weights)/float64(2*want.Total)-1) > 0.01 {
		t.Errorf("%d bytes of %d parameters", weights, want.Total)
	}
}

// TestCheckpointSettles: the index gives the size of quantised weights, and the names of the tensors show whether
// there is an output matrix if nothing else does.
func TestCheckpointSettles(t *testing.T) {
	config, err := os.ReadFile(filepath.Join("testdata", "configs", "llama31-70b-awq", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, string(config))
	index := `{"metadata": {"total_size": 39770000000}, "weight_map": {"lm_head.weight": "a.safetensors"}}`
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), []byte(index), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := FromHFFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if w, _ := c.EstimateBytes("bfloat16", 1, 1); w != 39_770_000_000 {
		t.Errorf("%d bytes of quantised weights", w)
	}

	if config, err = os.ReadFile(filepath.Join("testdata", "configs", "mistral-small3-24b-2503",
		"config.json")); err != nil {
		t.Fatal(err)
	}
	dir = folder(t, string(config))
	index = `{"metadata": {"total_size": 48000000000}, "weight_map": {"language_model.lm_head.weight": ` +
		`"a.safetensors"}}`
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), []byte(index), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err = FromHFFolder(dir); err != nil {
		t.Fatal(err)
	}
	if n := c.Parameters().Total; n != 23_340_272_640+131072*5120 { // as published: 24.01 B
		t.Errorf("untied: %d parameters", n)
	}
}
