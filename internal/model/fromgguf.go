package model

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/note"
)

// FromGGUF reads the architecture from the header of the GGUF file at path. It
// also checks that the file holds all the tensor data that the header lists.
func FromGGUF(path string) (Config, error) {
	h, err := gguf.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	c, err := configOf(h)
	if err != nil {
		return Config{}, fmt.Errorf("reading the architecture of %s: %w", path, err)
	}
	return c, nil
}

// configOf builds the architecture from the metadata and the tensor names.
func configOf(h gguf.Header) (Config, error) {
	arch := h.Text("general.architecture")
	if arch == "" {
		return Config{}, fault.New(note.ClassCorruptModel, nil, "download or generate it again",
			"the file does not say its architecture")
	}
	num := func(key string) int { n, _ := h.PerLayer(arch + "." + key); return n }
	c := Config{
		Arch: arch, Hidden: num("embedding_length"), Layers: num("block_count"), FFN: num("feed_forward_length"),
		Heads: num("attention.head_count"), KVHeads: num("attention.head_count_kv"),
		HeadDim: num("attention.key_length"),
		Context: num("context_length"), Vocab: h.Vocab(),
		RopeTheta: h.Float(arch + ".rope.freq_base"), RopeLocalTheta: h.Float(arch + ".rope.local.freq_base"),
		NormEps: h.Float(arch + ".attention.layer_norm_rms_epsilon"),
		Experts: num("expert_count"), ExpertsUsed: num("expert_used_count"),
		ExpertFFN:     num("expert_feed_forward_length"),
		SlidingWindow: num("attention.sliding_window"),
		AttnSoftcap:   h.Float(arch + ".attn_logit_softcapping"),
		FinalSoftcap:  h.Float(arch + ".final_logit_softcapping"),
		Tied:          true,
	}
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	if c.Experts > 0 && c.ExpertFFN == 0 {
		c.ExpertFFN = c.FFN
	}
	fromTensors(h, &c)
	switch c.Arch {
	case ArchGemma2:
		c.GlobalEvery, c.QueryScalar = 2, c.HeadDim
	case ArchGemma3:
		c.GlobalEvery, c.QueryScalar = 6, c.HeadDim
	}
	return c, c.Validate()
}

// fromTensors fills in what only the presence of a tensor tells.
func fromTensors(h gguf.Header, c *Config) {
	for _, t := range h.Tensors {
		switch strings.TrimPrefix(t.Name, "blk.0.") {
		case "output.weight":
			c.Tied = false
		case "attn_q.bias", "attn_qkv.bias":
			c.QKVBias = true
		case "attn_q_norm.weight":
			c.QKNorm = true
		case "post_ffw_norm.weight":
			c.PostNorms = true
		case "ffn_gate_exps.weight":
			if c.ExpertFFN == 0 && len(t.Shape) == 3 {
				c.ExpertFFN = int(t.Shape[1])
			}
		}
	}
}
