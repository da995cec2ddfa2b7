package shape

import (
	"math"

	"github.com/llenergymeasure/llem/internal/gguf"
)

// Params counts the parameters of a model.
type Params struct {
	Total        int64 // every stored parameter; a tied output matrix counts once
	Embedding    int64 // token embedding, plus the output matrix if it is not tied
	NonEmbedding int64 // Total - Embedding
	Active       int64 // Total without the experts that a token does not visit, and without Vision
	Vision       int64 // of a vision tower, which text does not pass
}

// Parameters counts the parameters exactly, from the architecture or the list of tensors.
func (c Config) Parameters() Params {
	l := c.layout()
	p := Params{Embedding: l.Sum(Embedding, Head), Vision: l.Sum(Vision)}
	experts := l.Sum(Expert)
	p.NonEmbedding = l.Sum(Matrix, Vector, Router, Vision) + experts
	p.Total = p.NonEmbedding + p.Embedding
	p.Active = p.Total - p.Vision - experts + int64(math.Round(float64(experts)*l.Share))
	return p
}

// Length is the size of one request in tokens.
type Length struct {
	Prompt int // prompt tokens
	Output int // generated tokens
}

// FLOPs are the floating-point operations of the forward passes; a
// multiply-add counts as two.
type FLOPs struct {
	Prefill float64
	Decode  float64
}

// Total is prefill plus decode.
func (f FLOPs) Total() float64 { return f.Prefill + f.Decode }

// FLOPs returns the work of the given requests, without prefix reuse.
//
// For every token that passes through the layers:
//
//	2·N + Σ_layers 4·heads·head_dim·context
//
// where N is the number of active non-embedding parameters (Kaplan et al. 2020, "Scaling Laws for Neural Language
// Models", §2.1) and the second term is QKᵀ and AV (2·heads·head_dim·context each; Chowdhery et al. 2022, "PaLM",
// appendix B, forward pass only, but with the causal context: token t attends to t tokens, or to the sliding
// window of that layer). The output matrix adds 2·hidden·vocab for each position whose logits are computed: one
// per request in prefill, one per decode pass. The first output token comes from prefill, so decode is output-1
// passes. A layer with a state instead of a cache does a fixed number of operations on it for each token, and a
// layer of multi-head latent attention is counted with its keys and values unfolded, as prefill computes it. The
// embedding look-up, softmax, norms and activations are left out; biases and norm weights are in N and make up
// less than 0.1 % of it.
func (c Config) FLOPs(seqs []Length) FLOPs {
	p, layout := c.Parameters(), c.layout()
	perToken := 2 * float64(p.Active-p.Embedding)
	head := 2 * float64(c.Hidden) * float64(c.Vocab)
	var f FLOPs
	for _, s := range seqs {
		if s.Prompt <= 0 {
			continue
		}
		f.Prefill += float64(s.Prompt)*perToken + layout.attention(0, s.Prompt)
		if s.Output > 0 {
			f.Prefill += head
			steps := s.Output - 1
			f.Decode += float64(steps)*(perToken+head) + layout.attention(s.Prompt, s.Prompt+steps)
		}
	}
	return f
}

// attention sums, over the tokens at positions from+1 to to, the layers' operations on earlier tokens:
// 4·heads·head_dim·context where position t attends to t tokens, or the fixed work on a state.
func (l Layout) attention(from, to int) float64 {
	sum := 0.0
	for _, m := range l.Mixers {
		sum += float64(m.Layers) * m.Score * m.visits(from, to)
		sum += float64(m.Layers) * m.Scan * float64(max(0, to-from))
	}
	return sum
}

// SplitLayers returns the number of layers without and with a sliding window.
func (c Config) SplitLayers() (full, windowed int) {
	switch {
	case c.SlidingWindow == 0:
		return c.Layers, 0
	case c.GlobalEvery == 0:
		return 0, c.Layers
	}
	full = c.Layers / c.GlobalEvery
	return full, c.Layers - full
}

// sumTo returns Σ min(t, limit) for t from from+1 to to; limit 0 means none.
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

// EstimateBytes returns the memory of the weights in dtype and of the key/value cache (16-bit, seqs sequences of
// context tokens; a layer with a sliding window keeps only the window, a layer with a state only the state).
// Quantised weights and the weights of a GGUF file keep their stored size. Activations and the engine's own
// buffers are not included. An unknown dtype counts as 16-bit.
func (c Config) EstimateBytes(dtype string, seqs, context int) (weights, kv int64) {
	d, err := gguf.ParseDType(dtype)
	if err != nil {
		d = gguf.Float16
	}
	switch b, ok := c.StoredBytes(); {
	case ok:
		weights = b.All
	case c.Layout != nil || c.Tower != nil:
		i := d.Info()
		l := c.layout()
		vectors := l.Sum(Vector)
		weights = 4*vectors + (c.Parameters().Total-vectors)/int64(i.Block)*int64(i.Size)
	default:
		for _, t := range c.Tensors(d) {
			weights += t.Bytes()
		}
	}
	return weights, 2 * c.CacheElements(int64(context)) * int64(seqs)
}

// CacheElements returns the elements that the layers keep of one sequence of this length: keys and values,
// compressed rows, and states.
func (c Config) CacheElements(context int64) int64 {
	n := int64(0)
	for _, m := range c.Mixers() {
		n += m.Layers * (m.Heads*m.Width*m.Seen(context) + m.State)
	}
	return n
}
