package estimate

import (
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/shape"
)

// moment is the memory that a PyTorch engine holds besides its weights at one point of a batch.
type moment struct {
	phase                      string
	cache, activations, logits int64
}

func (m moment) sum() int64 { return m.cache + m.activations + m.logits }

// torchMemory follows the tensors that are alive in the PyTorch worker: transformers 5, its growing cache, logits
// of the last position only (logits_to_keep), and torch.cuda.max_memory_allocated as the measure. The formulas
// were checked tensor by tensor against testdata/simulated.json, and match the measured peaks of bench/results to
// 0.1 %.
func (s Setup) torchMemory() Memory {
	peak := moment{}
	for _, m := range s.moments() {
		if m.sum() > peak.sum() {
			peak = m
		}
	}
	w := s.Work
	batch := int64(s.batch())
	m := Memory{
		Weights:     digits.Bytes(s.weights()),
		KVCache:     digits.Bytes(peak.cache),
		Activations: digits.Bytes(peak.activations),
		Logits:      digits.Bytes(peak.logits),
		Phase:       peak.phase,
		CacheAtEnd:  digits.Bytes(s.cache(batch, int64(w.Input+w.Output-1))),
		Basis: "tensors alive at the peak of torch.cuda.max_memory_allocated (" + peak.phase +
			"), cuBLAS workspace and rounding of the allocator",
	}
	// Ids and positions of the batch, and the outputs of all batches.
	ids := 8 * (batch*int64(2*w.Input+w.Output) + int64(w.Prompts)*int64(w.Output))
	m.Overhead = digits.Bytes(s.workspace() + s.rounding() + ids)
	loaded := s
	if s.LoadsWhole {
		loaded.Stored, loaded.Format = shape.StoredBytes{}, s.format().compute()
	}
	m.Load = digits.Bytes(loaded.weights() + s.rounding())
	if s.Model.Tied {
		// The output matrix exists until it is tied.
		m.Load += digits.Bytes(s.split(int64(s.Model.Hidden) * int64(s.Model.Vocab) * s.element()))
	}
	return m
}

// moments returns the candidates for the peak: the parts of the last layer of prefill, when the caches of all
// layers exist, the first logits, and the last decode step.
func (s Setup) moments() []moment {
	c, w, e := s.Model, s.Work, s.element()
	batch, input := int64(s.batch()), int64(w.Input)
	tokens := batch * input
	hidden, dim := int64(c.Hidden), int64(c.HeadDim)
	q := s.heads() * dim

	// A windowed layer keeps the whole prompt until the first decode step: its window is a view of it.
	cache := tokens*int64(s.CacheBytesPerToken()) + s.cache(batch, 0)
	tables := 2 * dim * e // cosine and sine of all layers
	if c.RopeLocalTheta > 0 {
		tables *= 2
	}
	tables *= tokens
	mask, repeated := s.masks()
	bool8 := int64(0)
	if mask {
		bool8 = batch * input * input
		if s.Attention == "eager" {
			bool8 *= e
		}
	}
	common := tables + bool8

	// Input of the model and of the layer, sum after attention, normed: 4 rows of hidden. In the feed-forward block,
	// gate, up and their product: 3 rows of its width.
	feed := 3 * s.split(int64(c.FFN)) * e
	if c.Experts > 0 {
		// Rows of all experts that a token visits, before, after and put in order.
		feed = int64(c.ExpertsUsed) * s.split(max(4*hidden, 2*hidden+3*int64(c.ExpertFFN))) * e
	}
	feedForward := tokens*(4*hidden*e+feed) + common
	// A norm squares a float32 copy.
	norm := tokens*(3*hidden*e+8*hidden) + common
	// Rotation: the rows, their products with cosine and sine, and the halves swapped.
	rotation := tokens*(3*hidden*e+4*q*e+s.cacheRow()) + common
	attention := tokens*(3*hidden+2*q)*e + 4*batch*s.heads()*input + common
	if repeated {
		attention += tokens * 2 * q * e
	}
	attention += s.scores()

	out := []moment{
		{"prefill", cache, max(feedForward, norm, rotation, attention), 0},
		{"prefill", cache, tokens * 2 * hidden * e, s.logits()},
	}
	if w.Output > 1 {
		context := input + int64(w.Output) - 1
		// Growing copies the keys of a layer while the old ones are still there.
		grown := batch * context * s.cacheRow() / 2
		if longest, all := s.windowed(); all {
			grown = batch * min(context, longest) * s.cacheRow() / 2
		}
		rows := batch * 8 * hidden * e
		held := s.cache(batch, context)
		out = append(out, moment{"decode", held, grown + rows, 0}, moment{"decode", held, rows, s.logits()})
	}
	return out
}

// masks reports whether attention gets a mask in prefill, and whether keys and values are repeated for every query
// head.
func (s Setup) masks() (mask, repeated bool) {
	c := s.Model
	grouped := c.Heads > c.KVHeads
	if s.Attention == "eager" {
		return true, true // also without groups: a product of transposed operands copies them
	}
	mask = s.Work.Padded
	for _, m := range c.Mixers() {
		mask = mask || m.Window > 0 && int64(s.Work.Input) > m.Window
	}
	if s.Attention == "flash_attention_2" {
		return false, false
	}
	return mask, grouped && (mask || s.materialised())
}

// materialised reports whether sdpa has no fused kernel: float32 with grouped keys goes through plain matrix
// products.
func (s Setup) materialised() bool {
	return s.Attention != "eager" && s.Attention != "flash_attention_2" && s.format() == FP32 &&
		s.Model.Heads > s.Model.KVHeads
}

// scores returns the memory of one layer for batch · heads · input² attention scores.
//
// Eager: the scores, their float32 copy and the softmax of it: 2 + 4 + 4 bytes in bfloat16; float16 has a kernel
// that needs no copy, but the result is converted back to 2 bytes; float32 needs no copy at all.
func (s Setup) scores() int64 {
	n := int64(s.batch()) * s.heads() * int64(s.Work.Input) * int64(s.Work.Input)
	switch {
	case s.materialised():
		return 8 * n
	case s.Attention != "eager":
		if mask, _ := s.masks(); mask {
			// The kernel turns the mask into numbers, one for all heads.
			return int64(s.batch()) * int64(s.Work.Input) * int64(s.Work.Input) * s.element()
		}
		return 0
	case s.format() == BF16:
		return 10 * n
	}
	return 8 * n
}

// logits returns the size of the logits of the last position. A soft cap needs two more copies.
func (s Setup) logits() int64 {
	b := int64(s.batch()) * int64(s.Model.Vocab) * s.element()
	if s.Model.FinalSoftcap > 0 {
		b *= 3
	}
	return b
}

// workspace returns the memory that cuBLAS takes from PyTorch's allocator: 32 MiB on Hopper and newer, 8320 KiB
// before (c10, CUDABlas; the 32 MiB are in the measured peaks).
func (s Setup) workspace() int64 {
	major, _, _ := strings.Cut(s.Device.Capability, ".")
	if n, err := strconv.Atoi(major); err == nil && n < 9 {
		return 8320 << 10
	}
	return 32 << 20
}

// rounding returns the memory that the allocator loses on the weights: above 10 MiB a segment is a multiple of 2
// MiB, and a remainder of up to 1 MiB stays with its block.
func (s Setup) rounding() int64 {
	c, e := s.Model, s.element()
	h, q, kv := int64(c.Hidden), int64(c.Heads*c.HeadDim), int64(c.KVHeads*c.HeadDim)
	lost := func(count, elements int64) int64 {
		bytes := s.split(elements) * e
		rest := (2<<20 - bytes%(2<<20)) % (2 << 20)
		if bytes < 10<<20 || rest > 1<<20 {
			return 0
		}
		return count * rest
	}
	l := int64(c.Layers)
	total := lost(2*l, h*q) + lost(2*l, h*kv) + lost(1, h*int64(c.Vocab))
	if !c.Tied {
		total += lost(1, h*int64(c.Vocab))
	}
	if c.Experts > 0 {
		// Experts of a layer are two tensors: gate with up, and down.
		each := int64(c.Experts) * h * int64(c.ExpertFFN)
		return total + lost(l, 2*each) + lost(l, each)
	}
	return total + lost(3*l, h*int64(c.FFN))
}
