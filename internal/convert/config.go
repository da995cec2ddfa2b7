package convert

import (
	"cmp"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

// config are the values of config.json that the engine needs.
type config struct {
	VocabSize uint32  `json:"vocab_size"`
	Hidden    uint32  `json:"hidden_size"`
	Layers    uint32  `json:"num_hidden_layers"`
	FFN       uint32  `json:"intermediate_size"`
	Heads     uint32  `json:"num_attention_heads"`
	KVHeads   uint32  `json:"num_key_value_heads"`
	HeadDim   uint32  `json:"head_dim"`
	Context   uint32  `json:"max_position_embeddings"`
	NormEps   float32 `json:"rms_norm_eps"`

	SlidingWindow  uint32   `json:"sliding_window"`
	WindowPattern  uint32   `json:"sliding_window_pattern"` // every n-th layer sees everything
	LayerTypes     []string `json:"layer_types"`
	AttnSoftcap    float32  `json:"attn_logit_softcapping"`
	FinalSoftcap   float32  `json:"final_logit_softcapping"`
	RopeScaling    *scaling `json:"rope_scaling"`
	RopeParameters *scaling `json:"rope_parameters"` // the place of rope_scaling since transformers 5

	ropeTheta, ropeLocalTheta float32
}

// scaling describes how rotary positions are stretched for longer contexts.
type scaling struct {
	Type     string   `json:"rope_type"`
	OldType  string   `json:"type"`
	Factor   *float32 `json:"factor"`
	Low      float32  `json:"low_freq_factor"`
	High     float32  `json:"high_freq_factor"`
	Original uint32   `json:"original_max_position_embeddings"`

	Extrapolation float32 `json:"extrapolation_factor"`
	BetaFast      float32 `json:"beta_fast"`
	BetaSlow      float32 `json:"beta_slow"`
	Sections      []int32 `json:"mrope_section"`
}

// keys sets the keys of one architecture.
type keys struct {
	kv     map[string]any
	prefix string
}

func (k keys) set(name string, v any) { k.kv[k.prefix+name] = v }

// setKnown omits a value of 0, for which the engine has a default.
func setKnown[V uint32 | float32](k keys, name string, v V) {
	if v != 0 {
		k.set(name, v)
	}
}

// llama sets the keys of Llama and Mistral.
func (c *config) llama(k keys) error {
	k.set("vocab_size", c.VocabSize)
	k.set("block_count", c.Layers)
	setKnown(k, "context_length", c.Context)
	setKnown(k, "embedding_length", c.Hidden)
	setKnown(k, "feed_forward_length", c.FFN)
	setKnown(k, "attention.head_count", c.Heads)
	setKnown(k, "attention.head_count_kv", c.KVHeads)
	setKnown(k, "attention.layer_norm_rms_epsilon", c.NormEps)
	setKnown(k, "rope.dimension_count", c.headDim())
	setKnown(k, "rope.freq_base", c.ropeTheta)
	setKnown(k, "attention.head_dim", c.HeadDim)
	setKnown(k, "attention.key_length", c.HeadDim)
	setKnown(k, "attention.value_length", c.HeadDim)
	if s := c.llamaScaling(); s != nil && s.kind() == "linear" {
		k.set("rope.scaling.type", "linear")
		k.set("rope.scaling.factor", s.factor(0))
	}
	return nil
}

// headDim returns the width of a head.
func (c *config) headDim() uint32 {
	if c.HeadDim == 0 && c.Heads > 0 {
		return c.Hidden / c.Heads
	}
	return c.HeadDim
}

func (c *config) llamaScaling() *scaling { return cmp.Or(c.RopeScaling, c.RopeParameters) }

func (s *scaling) kind() string { return cmp.Or(s.OldType, s.Type) }

func (s *scaling) factor(def float32) float32 {
	if s.Factor == nil || *s.Factor == 0 {
		return def
	}
	return *s.Factor
}

// llama3Factors returns the divisors of the rotary frequencies of Llama 3.1 and later, nil if the model has none:
// 1 for wavelengths that fit the original context high times or more, factor for wavelengths that do not fit it
// low times, and in between the inverse of a linear blend of their inverses (transformers, modeling_rope_utils.py,
// _compute_llama3_parameters).
func (c *config) llama3Factors() []float32 {
	s := c.llamaScaling()
	if s == nil || s.Type != "llama3" {
		return nil
	}
	factor, low, high := s.factor(8), cmp.Or(s.Low, 1), cmp.Or(s.High, 4)
	original := float32(cmp.Or(s.Original, 8192))
	dim := int(c.headDim())
	out := make([]float32, 0, (dim+1)/2)
	for i := 0; i < dim; i += 2 {
		wave := 2 * math.Pi * math.Pow(float64(c.ropeTheta), float64(i)/float64(dim))
		switch {
		case wave < float64(original/high):
			out = append(out, 1)
		case wave > float64(original/low):
			out = append(out, factor)
		default:
			smooth := (original/float32(wave) - low) / (high - low)
			out = append(out, 1/((1-smooth)/factor+smooth))
		}
	}
	return out
}

// qwen2 sets the keys of Qwen 2. Only scalings that do not affect text are supported.
func (c *config) qwen2(k keys) error {
	k.set("block_count", c.Layers)
	k.set("context_length", c.Context)
	k.set("embedding_length", c.Hidden)
	k.set("feed_forward_length", c.FFN)
	k.set("attention.head_count", c.Heads)
	k.set("attention.head_count_kv", c.KVHeads)
	k.set("attention.layer_norm_rms_epsilon", c.NormEps)
	k.set("rope.freq_base", c.ropeTheta)
	s := c.RopeScaling
	if s == nil || s.Factor == nil && s.OldType == "" {
		return nil
	}
	if s.Factor != nil || s.OldType != "default" && s.OldType != "mrope" {
		return fault.New(codes.ClassUnsupportedModel, nil,
			"remove rope_scaling from config.json to run it without, within its original context, or use a "+
				"Python backend",
			"the embedded engine does not scale the rotary positions of Qwen models (rope_scaling %q)", s.kind())
	}
	k.set("rope.mrope_section", slices.Clone(s.Sections))
	return nil
}

// qwen3 is qwen2 with its own head width.
func (c *config) qwen3(k keys) error {
	dim := cmp.Or(c.HeadDim, 128) // the default of Qwen3Config
	k.set("attention.key_length", dim)
	k.set("attention.value_length", dim)
	return c.qwen2(k)
}

// gemma sets the keys that Gemma 2 and 3 share.
func (c *config) gemma(k keys) {
	k.set("block_count", c.Layers)
	k.set("context_length", c.Context)
	k.set("embedding_length", c.Hidden)
	k.set("feed_forward_length", c.FFN)
	k.set("attention.head_count", c.Heads)
	k.set("attention.head_count_kv", c.KVHeads)
	k.set("attention.layer_norm_rms_epsilon", c.NormEps)
	k.set("attention.key_length", c.HeadDim)
	k.set("attention.value_length", c.HeadDim)
	k.set("attention.sliding_window", c.SlidingWindow)
}

// gemma2 adds the soft caps, and the tokens by which the engine recognises the end of a turn and text to be filled
// in.
func (c *config) gemma2(k keys) error {
	c.gemma(k)
	k.set("attn_logit_softcapping", c.AttnSoftcap)
	k.set("final_logit_softcapping", c.FinalSoftcap)
	for name, id := range map[string]uint32{"prefix": 67, "middle": 68, "suffix": 69, "eot": 107} {
		k.kv["tokenizer.ggml."+name+"_token_id"] = id
	}
	return nil
}

// gemma3Defaults fills in values that transformers omits from config.json because they are the defaults of
// Gemma3TextConfig.
func (c *config) gemma3Defaults() {
	c.Heads, c.KVHeads, c.HeadDim = cmp.Or(c.Heads, 8), cmp.Or(c.KVHeads, 4), cmp.Or(c.HeadDim, 256)
}

// gemma3 adds the second rotary base and the layers with a window.
func (c *config) gemma3(k keys) error {
	c.gemma(k)
	setKnown(k, "final_logit_softcapping", max(0, c.FinalSoftcap))
	k.set("rope.freq_base", cmp.Or(c.ropeTheta, 1e6))
	k.set("rope.local.freq_base", cmp.Or(c.ropeLocalTheta, 1e4))
	if c.WindowPattern > 0 || len(c.LayerTypes) > 0 {
		local := make([]bool, c.Layers)
		for i := range local {
			if i < len(c.LayerTypes) {
				local[i] = c.LayerTypes[i] == "sliding_attention"
			} else if c.WindowPattern > 0 {
				local[i] = (i+1)%int(c.WindowPattern) != 0
			}
		}
		k.set("attention.sliding_window_pattern", local)
	}
	if s := c.RopeScaling; s != nil && s.Type == "yarn" && s.factor(0) > 0 {
		k.set("rope.scaling.type", "yarn")
		k.set("rope.scaling.factor", s.factor(0))
		k.set("rope.scaling.original_context_length", s.Original)
		k.set("rope.scaling.extrapolation_factor", cmp.Or(s.Extrapolation, 1))
		k.set("rope.scaling.beta_fast", cmp.Or(s.BetaFast, 64))
		k.set("rope.scaling.beta_slow", cmp.Or(s.BetaSlow, 1))
	}
	return nil
}

// maxLayers is far above any real model.
const maxLayers = 4096
