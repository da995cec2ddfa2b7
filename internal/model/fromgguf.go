package model

import (
	"fmt"
	"strings"
)

// FromGGUF reads the architecture from the header of the GGUF file at path. It
// also checks that the file holds all the tensor data that the header lists.
func FromGGUF(path string) (Config, error) {
	h, err := readGGUFFile(path)
	if err != nil {
		return Config{}, err
	}
	c, err := h.config()
	if err != nil {
		return Config{}, fmt.Errorf("reading the architecture of %s: %w", path, err)
	}
	return c, nil
}

// uint returns a key as a non-negative whole number.
func (h ggufHeader) uint(key string) (int, bool) {
	switch v := h.kv[key].(type) {
	case uint64:
		if v <= 1<<40 {
			return int(v), true
		}
	case int64:
		if v >= 0 && v <= 1<<40 {
			return int(v), true
		}
	}
	return 0, false
}

func (h ggufHeader) float(key string) float64 {
	v, _ := h.kv[key].(float64)
	return v
}

func (h ggufHeader) text(key string) string {
	v, _ := h.kv[key].(string)
	return v
}

// perLayer returns a key that may be one number or one per layer; layers that
// differ are not a uniform architecture and give false.
func (h ggufHeader) perLayer(key string) (int, bool) {
	a, ok := h.kv[key].(ggufArrayInfo)
	if !ok {
		return h.uint(key)
	}
	if len(a.values) == 0 {
		return 0, false
	}
	for _, v := range a.values {
		if v != a.values[0] {
			return 0, false
		}
	}
	return ggufHeader{kv: map[string]any{key: a.values[0]}}.uint(key)
}

// config builds the architecture from the metadata and the tensor names.
func (h ggufHeader) config() (Config, error) {
	arch := h.text("general.architecture")
	if arch == "" {
		return Config{}, fail(ClassCorrupt, nil, "download or generate it again",
			"the file does not say its architecture")
	}
	num := func(key string) int { n, _ := h.perLayer(arch + "." + key); return n }
	c := Config{
		Arch: arch, Hidden: num("embedding_length"), Layers: num("block_count"), FFN: num("feed_forward_length"),
		Heads: num("attention.head_count"), KVHeads: num("attention.head_count_kv"),
		HeadDim: num("attention.key_length"),
		Context: num("context_length"), Vocab: h.vocab(arch),
		RopeTheta: h.float(arch + ".rope.freq_base"), RopeLocalTheta: h.float(arch + ".rope.local.freq_base"),
		NormEps: h.float(arch + ".attention.layer_norm_rms_epsilon"),
		Experts: num("expert_count"), ExpertsUsed: num("expert_used_count"),
		ExpertFFN:     num("expert_feed_forward_length"),
		SlidingWindow: num("attention.sliding_window"),
		AttnSoftcap:   h.float(arch + ".attn_logit_softcapping"),
		FinalSoftcap:  h.float(arch + ".final_logit_softcapping"),
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
	h.fromTensors(&c)
	switch c.Arch {
	case ArchGemma2:
		c.GlobalEvery, c.QueryScalar = 2, c.HeadDim
	case ArchGemma3:
		c.GlobalEvery, c.QueryScalar = 6, c.HeadDim
	}
	return c, c.Validate()
}

// vocab is the number of embedding rows; the list of tokens may be shorter.
func (h ggufHeader) vocab(arch string) int {
	for _, t := range h.tensors {
		if t.name == "token_embd.weight" && len(t.shape) == 2 {
			return int(t.shape[1])
		}
	}
	if n, ok := h.uint(arch + ".vocab_size"); ok {
		return n
	}
	a, _ := h.kv["tokenizer.ggml.tokens"].(ggufArrayInfo)
	return int(a.n)
}

// fromTensors fills in what only the presence of a tensor tells.
func (h ggufHeader) fromTensors(c *Config) {
	for _, t := range h.tensors {
		switch strings.TrimPrefix(t.name, "blk.0.") {
		case "output.weight":
			c.Tied = false
		case "attn_q.bias", "attn_qkv.bias":
			c.QKVBias = true
		case "attn_q_norm.weight":
			c.QKNorm = true
		case "post_ffw_norm.weight":
			c.PostNorms = true
		case "ffn_gate_exps.weight":
			if c.ExpertFFN == 0 && len(t.shape) == 3 {
				c.ExpertFFN = int(t.shape[1])
			}
		}
	}
}

// dtype is the format that most of the weights are in, "" if it is none that
// this package writes.
func (h ggufHeader) dtype() DType {
	sum := map[uint32]uint64{}
	var best uint32
	for _, t := range h.tensors {
		n, _ := t.bytes()
		if sum[t.kind] += n; sum[t.kind] > sum[best] {
			best = t.kind
		}
	}
	return dtypeOfKind(best)
}
