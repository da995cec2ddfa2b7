package shape

import (
	"fmt"

	"github.com/llenergymeasure/llem/internal/gguf"
)

// Tensor is one entry of a random model's file.
type Tensor struct {
	gguf.Tensor
	// Ones reports that all values are 1: norm weights. Gemma's GGUF stores weight+1, so 1 is right there too. Others
	// are drawn.
	Ones bool
}

// Tensors lists the tensors of a GGUF file of this architecture. Matrices are in d, vectors in float32 as every
// ggml engine expects. A matrix whose rows are not a whole number of blocks stays float16.
func (c Config) Tensors(d gguf.DType) []Tensor {
	var ts []Tensor
	matrix := func(name string, shape ...int) {
		t := gguf.Tensor{Name: name + ".weight", DType: d}
		for _, n := range shape {
			t.Shape = append(t.Shape, int64(n))
		}
		if shape[0]%d.Info().Block != 0 {
			t.DType = gguf.Float16
		}
		ts = append(ts, Tensor{Tensor: t})
	}
	vector := func(name string, n int, ones bool) {
		t := gguf.Tensor{Name: name, Shape: []int64{int64(n)}, DType: gguf.Float32}
		ts = append(ts, Tensor{t, ones})
	}
	matrix("token_embd", c.Hidden, c.Vocab)
	for i := range c.Layers {
		c.layerTensors(fmt.Sprintf("blk.%d.", i), matrix, vector)
	}
	vector("output_norm.weight", c.Hidden, true)
	if !c.Tied {
		matrix("output", c.Hidden, c.Vocab)
	}
	return ts
}

func (c Config) layerTensors(b string, matrix func(string, ...int), vector func(string, int, bool)) {
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	vector(b+"attn_norm.weight", c.Hidden, true)
	matrix(b+"attn_q", c.Hidden, q)
	matrix(b+"attn_k", c.Hidden, kv)
	matrix(b+"attn_v", c.Hidden, kv)
	matrix(b+"attn_output", q, c.Hidden)
	if c.QKVBias {
		vector(b+"attn_q.bias", q, false)
		vector(b+"attn_k.bias", kv, false)
		vector(b+"attn_v.bias", kv, false)
	}
	if c.QKNorm {
		vector(b+"attn_q_norm.weight", c.HeadDim, true)
		vector(b+"attn_k_norm.weight", c.HeadDim, true)
	}
	if c.PostNorms {
		vector(b+"post_attention_norm.weight", c.Hidden, true)
		vector(b+"post_ffw_norm.weight", c.Hidden, true)
	}
	vector(b+"ffn_norm.weight", c.Hidden, true)
	if c.Experts > 0 {
		matrix(b+"ffn_gate_inp", c.Hidden, c.Experts) // the router
		matrix(b+"ffn_gate_exps", c.Hidden, c.ExpertFFN, c.Experts)
		matrix(b+"ffn_up_exps", c.Hidden, c.ExpertFFN, c.Experts)
		matrix(b+"ffn_down_exps", c.ExpertFFN, c.Hidden, c.Experts)
		return
	}
	matrix(b+"ffn_gate", c.Hidden, c.FFN)
	matrix(b+"ffn_up", c.Hidden, c.FFN)
	matrix(b+"ffn_down", c.FFN, c.Hidden)
}
