package model

import (
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/shape"
)

// ggufKV returns the metadata of a random model's GGUF file, including the tokenizer. The keys that an
// architecture needs come from the engine's sources.
func ggufKV(c shape.Config, d gguf.DType, name string) map[string]any {
	u := func(n int) uint32 { return uint32(n) }
	kv := map[string]any{
		"general.architecture": c.Arch,
		"general.name":         name,
		"general.file_type":    d.Info().FileType,
		"general.description":  "random weights, byte-level tokenizer",
	}
	if d == gguf.Q8_0 || d == gguf.Q4_0 {
		kv["general.quantization_version"] = uint32(2)
	}
	set := func(key string, v any) { kv[c.Arch+"."+key] = v }
	set("block_count", u(c.Layers))
	set("embedding_length", u(c.Hidden))
	set("feed_forward_length", u(c.FFN))
	set("context_length", u(c.Context))
	set("vocab_size", u(c.Vocab))
	set("attention.head_count", u(c.Heads))
	set("attention.head_count_kv", u(c.KVHeads))
	set("attention.key_length", u(c.HeadDim))
	set("attention.value_length", u(c.HeadDim))
	set("attention.layer_norm_rms_epsilon", float32(c.NormEps))
	set("rope.dimension_count", u(c.HeadDim))
	set("rope.freq_base", float32(c.RopeTheta))
	if c.Experts > 0 {
		set("expert_count", u(c.Experts))
		set("expert_used_count", u(c.ExpertsUsed))
		set("expert_feed_forward_length", u(c.ExpertFFN))
		set("norm_top_k_prob", true)
	}
	if c.SlidingWindow > 0 {
		set("attention.sliding_window", u(c.SlidingWindow))
	}
	if c.Arch == shape.ArchGemma2 {
		set("attn_logit_softcapping", float32(c.AttnSoftcap))
		set("final_logit_softcapping", float32(c.FinalSoftcap))
	}
	if c.Arch == shape.ArchGemma3 {
		set("rope.local.freq_base", float32(c.RopeLocalTheta))
		local := make([]bool, c.Layers)
		for i := range local {
			local[i] = (i+1)%c.GlobalEvery != 0
		}
		set("attention.sliding_window_pattern", local)
	}
	tokenizerKV(c, kv)
	return kv
}

// tokenizerKV adds the byte-level vocabulary. The engine reads Gemma 2 with SentencePiece whatever the file
// contains; all others use byte-level BPE.
func tokenizerKV(c shape.Config, kv map[string]any) {
	spm := c.Arch == shape.ArchGemma2
	v := newVocabulary(c.Vocab, spm)
	if spm {
		kv["tokenizer.ggml.model"] = "llama"
		kv["tokenizer.ggml.scores"] = make([]float32, c.Vocab)
		kv["tokenizer.ggml.unknown_token_id"] = uint32(TokenPad)
		kv["tokenizer.ggml.add_space_prefix"] = false
	} else {
		kv["tokenizer.ggml.model"] = "gpt2"
		kv["tokenizer.ggml.pre"] = "default"
		kv["tokenizer.ggml.merges"] = []string{}
	}
	kv["tokenizer.ggml.tokens"] = v.tokens
	kv["tokenizer.ggml.token_type"] = v.types
	kv["tokenizer.ggml.bos_token_id"] = uint32(TokenBOS)
	kv["tokenizer.ggml.eos_token_id"] = uint32(TokenEOS)
	kv["tokenizer.ggml.padding_token_id"] = uint32(TokenPad)
	kv["tokenizer.ggml.add_bos_token"] = false
	kv["tokenizer.ggml.add_eos_token"] = false
}
