// Package shape describes the architecture of a language model without its files: layers, parameters,
// floating-point operations, bytes and the cache of a sequence. It reads config.json, the header of a GGUF file or
// the list of a checkpoint's tensors; families of models are data.
package shape

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

// Architectures that this package can describe, as named in GGUF files.
const (
	ArchLlama    = "llama" // Llama 1 to 3.x, TinyLlama, SmolLM2, Mistral; Mixtral when Experts > 0
	ArchPhi3     = "phi3"  // fused projections; counted only
	ArchQwen2    = "qwen2"
	ArchQwen3    = "qwen3"
	ArchQwen3MoE = "qwen3moe"
	ArchGemma2   = "gemma2"
	ArchGemma3   = "gemma3" // the text model
)

var archs = []string{ArchLlama, ArchPhi3, ArchQwen2, ArchQwen3, ArchQwen3MoE, ArchGemma2, ArchGemma3}

// Config is the architecture of a decoder-only transformer with gated feed-forward blocks, by the values that
// determine its size and its work. Lengths are in tokens, widths in elements.
type Config struct {
	Arch    string // one of the Arch constants
	Hidden  int    // width of the residual stream
	Layers  int
	Heads   int // query heads
	KVHeads int // key and value heads; fewer than Heads is grouped-query attention
	HeadDim int
	FFN     int // inner width of a dense feed-forward block
	Vocab   int // rows of the embedding matrix
	Context int // longest supported sequence

	Tied      bool // the output projection is the embedding matrix
	QKVBias   bool // biases on the q, k and v projections
	QKNorm    bool // an RMS norm over each head of q and k
	PostNorms bool // Gemma: a second norm after attention and after the feed-forward block

	RopeTheta      float64 // rotary base
	RopeLocalTheta float64 // Gemma 3: rotary base of sliding-window layers
	NormEps        float64

	Experts     int // routed experts per layer; 0 means dense
	ExpertsUsed int // experts each token visits
	ExpertFFN   int // inner width of one expert

	SlidingWindow int // tokens that a windowed layer sees; 0 means all layers see everything
	GlobalEvery   int // every n-th layer ignores the window; 0 means none does

	// Outside describes special token ids that are not in the vocabulary, and the consequence; empty if there are
	// none.
	Outside string

	AttnSoftcap  float64 // Gemma 2: logit soft caps; 0 means none
	FinalSoftcap float64
	QueryScalar  int // Gemma: attention scale is 1/sqrt(QueryScalar); 0 means HeadDim

	// Layout describes the model completely if the fields above cannot: they then describe its plain attention layers,
	// if it has any. Nil: they are complete.
	Layout *Layout
	// Tower is the vision tower; nil if there is none, or the file holds only the language model.
	Tower *Tower
	// Stored is how the files hold the weights, as far as known.
	Stored Stored
}

// maxDim bounds each dimension, far above any real model, so that the arithmetic on a hostile file cannot
// overflow.
const maxDim = 1 << 26

// Validate reports what makes the Config impossible, or nil.
func (c Config) Validate() error {
	if c.Layout != nil {
		return c.validateLayout()
	}
	if !slices.Contains(archs, c.Arch) {
		return fault.New(codes.ClassUnsupportedModel, nil, "known architectures: "+strings.Join(archs, ", "),
			"architecture %q is unknown", c.Arch)
	}
	type dim struct {
		name string
		v    int
	}
	need := []dim{{"hidden size", c.Hidden}, {"layers", c.Layers}, {"attention heads", c.Heads},
		{"key/value heads", c.KVHeads}, {"head dimension", c.HeadDim}, {"vocabulary", c.Vocab}}
	if c.Experts > 0 {
		need = append(need, dim{"expert width", c.ExpertFFN}, dim{"experts used", c.ExpertsUsed})
	} else {
		need = append(need, dim{"feed-forward width", c.FFN})
	}
	for _, d := range need {
		if d.v <= 0 || d.v > maxDim {
			return BadConfig("%s is %d", d.name, d.v)
		}
	}
	switch {
	case c.Layers > 4096 || c.Heads > 1<<16 || c.HeadDim > 1<<16 || c.Experts > 1<<16:
		return BadConfig("layers %d, heads %d, head dimension %d, experts %d do not describe a model",
			c.Layers, c.Heads, c.HeadDim, c.Experts)
	case c.KVHeads > c.Heads || c.Heads%c.KVHeads != 0:
		return BadConfig("%d attention heads cannot share %d key/value heads", c.Heads, c.KVHeads)
	case c.Experts < 0 || c.ExpertsUsed > c.Experts:
		return BadConfig("%d of %d experts", c.ExpertsUsed, c.Experts)
	case c.SlidingWindow < 0 || c.GlobalEvery < 0 || c.Context < 0:
		return BadConfig("a window or context length is negative")
	}
	return nil
}

// validateLayout reports what makes a Layout impossible.
func (c Config) validateLayout() error {
	sum := 0.0
	for _, w := range c.Layout.Weights {
		if w.Out <= 0 || w.In <= 0 || w.Count <= 0 {
			return BadConfig("a weight of %d by %d, %d times", w.Out, w.In, w.Count)
		}
		sum += float64(w.Out) * float64(w.In) * float64(w.Count)
	}
	if sum <= 0 || sum > 1<<50 {
		return BadConfig("%g parameters", sum)
	}
	for _, m := range c.Layout.Mixers {
		for _, n := range []int64{m.Layers, m.Window, m.Heads, m.Width, m.State} {
			if n < 0 || n > maxDim {
				return BadConfig("a layer keeps %d heads of %d elements and a state of %d", m.Heads, m.Width, m.State)
			}
		}
	}
	if c.Hidden <= 0 || c.Layers <= 0 || c.Vocab <= 0 || c.Hidden > maxDim || c.Layers > 4096 || c.Vocab > maxDim ||
		c.Heads < 0 || c.Heads > 1<<16 || c.KVHeads < 0 || c.FFN < 0 || c.FFN > maxDim || c.Context < 0 ||
		c.Layout.Share < 0 || c.Layout.Share > 1 {
		return BadConfig("hidden size %d, layers %d, vocabulary %d", c.Hidden, c.Layers, c.Vocab)
	}
	return nil
}

// BadConfig returns the failure of an impossible architecture.
func BadConfig(format string, args ...any) error {
	return fault.New(codes.ClassCorruptModel, nil, "check the model's config.json or download it again",
		"impossible architecture: %s", fmt.Sprintf(format, args...))
}

// window returns how many tokens layer i sees, including the current one, for a token with context tokens up to
// and including itself.
func (c Config) window(i, context int) int {
	if c.SlidingWindow == 0 || (c.GlobalEvery > 0 && (i+1)%c.GlobalEvery == 0) {
		return context
	}
	return min(c.SlidingWindow, context)
}

// Gemma reports whether norms are stored as weight-1 in Hugging Face files and the tokenizer is SentencePiece, as
// in the Gemma families.
func (c Config) Gemma() bool { return c.Arch == ArchGemma2 || c.Arch == ArchGemma3 }
