package model

import "github.com/llenergymeasure/llem/internal/gguf"

// Params counts the parameters of a model.
type Params struct {
	Total        int64 // every stored parameter; a tied output matrix counts once
	Embedding    int64 // token embedding, plus the output matrix when it is not tied
	NonEmbedding int64 // Total - Embedding
	Active       int64 // Total without the experts that a token does not visit
}

// Parameters counts the parameters exactly, from the architecture.
func (c Config) Parameters() Params {
	h, l := int64(c.Hidden), int64(c.Layers)
	q, kv := int64(c.Heads)*int64(c.HeadDim), int64(c.KVHeads)*int64(c.HeadDim)

	layer := h*q + 2*h*kv + q*h // q, k, v, o
	if c.QKVBias {
		layer += q + 2*kv
	}
	if c.QKNorm {
		layer += 2 * int64(c.HeadDim)
	}
	layer += 2 * h // the norms before attention and feed-forward
	if c.PostNorms {
		layer += 2 * h
	}
	var unused int64
	if c.Experts > 0 {
		expert := 3 * h * int64(c.ExpertFFN)
		layer += h*int64(c.Experts) + int64(c.Experts)*expert
		unused = l * int64(c.Experts-c.ExpertsUsed) * expert
	} else {
		layer += 3 * h * int64(c.FFN) // gate, up, down
	}

	p := Params{NonEmbedding: l*layer + h, Embedding: h * int64(c.Vocab)}
	if !c.Tied {
		p.Embedding *= 2
	}
	p.Total = p.NonEmbedding + p.Embedding
	p.Active = p.Total - unused
	return p
}

// Length is the size of one request in tokens.
type Length struct {
	Prompt int // tokens given
	Output int // tokens generated
}

// FLOPs are the floating-point operations of the forward passes; a
// multiply-add counts as two.
type FLOPs struct {
	Prefill float64
	Decode  float64
}

// Total is prefill plus decode.
func (f FLOPs) Total() float64 { return f.Prefill + f.Decode }

// FLOPs computes the work that the given requests need, without prefix reuse.
//
// For every token that passes through the layers:
//
//	2·N + Σ_layers 4·heads·head_dim·context
//
// where N is the number of active non-embedding parameters (Kaplan et al.
// 2020, "Scaling Laws for Neural Language Models", §2.1) and the second term
// is QKᵀ and AV (2·heads·head_dim·context each; Chowdhery et al. 2022, "PaLM",
// appendix B, forward pass only, but with the causal context: token t attends
// to t tokens, or to the sliding window of that layer).
// The output matrix adds 2·hidden·vocab for each position whose logits are
// computed: one per request in prefill, one per decode pass.
// The first output token comes from prefill, so decode is output-1 passes.
// The embedding look-up, softmax, norms and activations are left out; biases
// and norm weights are in N and make up less than 0.1 % of it.
func (c Config) FLOPs(seqs []Length) FLOPs {
	p := c.Parameters()
	perToken := 2 * float64(p.Active-p.Embedding)
	head := 2 * float64(c.Hidden) * float64(c.Vocab)
	var f FLOPs
	for _, s := range seqs {
		if s.Prompt <= 0 {
			continue
		}
		f.Prefill += float64(s.Prompt)*perToken + c.attention(0, s.Prompt)
		if s.Output > 0 {
			f.Prefill += head
			steps := s.Output - 1
			f.Decode += float64(steps)*(perToken+head) + c.attention(s.Prompt, s.Prompt+steps)
		}
	}
	return f
}

// attention sums 4·heads·head_dim·context over the layers for the tokens at
// positions from+1 to to, where position t attends to t tokens.
func (c Config) attention(from, to int) float64 {
	full, windowed := c.splitLayers()
	visits := float64(full) * sumTo(from, to, 0)
	if windowed > 0 {
		visits += float64(windowed) * sumTo(from, to, c.SlidingWindow)
	}
	return 4 * float64(c.Heads) * float64(c.HeadDim) * visits
}

// splitLayers counts the layers without and with a sliding window.
func (c Config) splitLayers() (full, windowed int) {
	switch {
	case c.SlidingWindow == 0:
		return c.Layers, 0
	case c.GlobalEvery == 0:
		return 0, c.Layers
	}
	full = c.Layers / c.GlobalEvery
	return full, c.Layers - full
}

// sumTo is Σ min(t, limit) for t from from+1 to to; limit 0 means none.
func sumTo(from, to, limit int) float64 {
	tri := func(n int) float64 { return float64(n) * float64(n+1) / 2 }
	if to <= from {
		return 0
	}
	if limit == 0 || to <= limit {
		return tri(to) - tri(from)
	}
	knee := max(from, limit)
	return max(0, tri(knee)-tri(from)) + float64(to-knee)*float64(limit)
}

// EstimateBytes says how much memory the weights take in dtype and how much
// the key/value cache takes (16-bit, seqs sequences of context tokens; a layer
// with a sliding window keeps only the window). Activations and the engine's
// own buffers come on top. An unknown dtype counts as 16-bit.
func (c Config) EstimateBytes(dtype string, seqs, context int) (weights, kv int64) {
	d, err := gguf.ParseDType(dtype)
	if err != nil {
		d = gguf.Float16
	}
	for _, t := range c.tensors(d) {
		weights += t.Bytes()
	}
	full, windowed := c.splitLayers()
	tokens := int64(full)*int64(context) + int64(windowed)*int64(min(c.SlidingWindow, context))
	kv = 2 * 2 * int64(c.KVHeads) * int64(c.HeadDim) * tokens * int64(seqs)
	return weights, kv
}
