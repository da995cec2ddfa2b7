package model

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/shape"
)

// WriteHFDir writes what a Python engine needs to build the shape with its own random weights: config.json,
// generation_config.json and a byte-level tokenizer. The folder is written beside path and renamed.
func WriteHFDir(path string, shape shape.Config, dtype gguf.DType) error {
	files, err := hfFiles(shape, dtype)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return disk.WriteError(path, 0, err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return disk.WriteError(path, 0, err)
	}
	defer os.RemoveAll(tmp)
	tmp = filepath.Join(tmp, "model") // a folder with the permissions of the user's umask
	if err := os.Mkdir(tmp, 0o777); err != nil {
		return disk.WriteError(path, 0, err)
	}
	var size int64
	for name, v := range files {
		b, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			return fmt.Errorf("encoding %s of %s: %w", name, path, err)
		}
		size += int64(len(b))
		if err := os.WriteFile(filepath.Join(tmp, name), append(b, '\n'), 0o666); err != nil {
			return disk.WriteError(path, size, err)
		}
	}
	return disk.WriteError(path, size, replaceDir(tmp, path))
}

// replaceDir moves the finished folder tmp to path, replacing an older one.
func replaceDir(tmp, path string) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// hfFiles builds the documents of a Hugging Face model folder.
func hfFiles(c shape.Config, dtype gguf.DType) (map[string]any, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Vocab < firstFiller {
		return nil, shape.BadConfig("vocabulary of %d, but 256 bytes and 3 control tokens need %d", c.Vocab,
			firstFiller)
	}
	switch dtype {
	case gguf.Float32, gguf.Float16, gguf.BFloat16:
	default:
		return nil, fault.New(codes.ClassUnsupportedDType, nil,
			"use float32, float16 or bfloat16, or the backend's own quantization setting",
			"a Python engine cannot build random weights in %s", dtype)
	}
	cfg, err := hfConfig(c, dtype)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"config.json": cfg,
		"generation_config.json": map[string]any{"_from_model_config": false, "do_sample": false,
			"pad_token_id": TokenPad},
		"tokenizer.json": hfTokenizer(c.Vocab),
		"tokenizer_config.json": map[string]any{
			"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": controlTokens[0], "eos_token": controlTokens[1],
			"pad_token": controlTokens[2],
			// Qwen's tokenizer class would add its own token for this.
			"unk_token":        controlTokens[2],
			"model_max_length": c.Context, "clean_up_tokenization_spaces": false,
			"add_bos_token": false, "add_eos_token": false,
		},
	}, nil
}

// hfType returns the model_type that a shape.Config is written as.
func hfType(c shape.Config) string {
	switch {
	case c.Arch == shape.ArchLlama && c.Experts > 0:
		return "mixtral"
	case c.Arch == shape.ArchLlama && c.SlidingWindow > 0:
		return "mistral"
	case c.Arch == shape.ArchQwen3MoE:
		return "qwen3_moe"
	case c.Arch == shape.ArchGemma3:
		return "gemma3_text"
	}
	return c.Arch
}

// hfConfig returns config.json. Rotary settings have the form from before transformers 5, which newer versions and
// the other engines also read.
func hfConfig(c shape.Config, dtype gguf.DType) (map[string]any, error) {
	class, ok := shape.Class(hfType(c))
	if !ok || c.Layout != nil {
		return nil, fault.New(codes.ClassUnsupportedModel, nil, "", "architecture %s cannot be written", c.Arch)
	}
	m := map[string]any{
		"architectures": []string{class}, "model_type": hfType(c),
		"torch_dtype": string(dtype), "dtype": string(dtype),
		"hidden_size": c.Hidden, "num_hidden_layers": c.Layers, "num_attention_heads": c.Heads,
		"num_key_value_heads": c.KVHeads, "head_dim": c.HeadDim, "intermediate_size": c.FFN,
		"vocab_size": c.Vocab, "max_position_embeddings": c.Context, "tie_word_embeddings": c.Tied,
		"rope_theta": jsonFloat(c.RopeTheta), "rms_norm_eps": jsonFloat(c.NormEps), "attention_bias": c.QKVBias,
		"attention_dropout": jsonFloat(0), "hidden_act": "silu", "initializer_range": weightStd, "use_cache": true,
		"bos_token_id": TokenBOS, "eos_token_id": TokenEOS, "pad_token_id": TokenPad,
	}
	if c.Arch == shape.ArchQwen2 {
		delete(m, "attention_bias") // always on there
	}
	if c.SlidingWindow > 0 {
		m["sliding_window"] = c.SlidingWindow
		m["use_sliding_window"] = true
	}
	switch {
	case c.Gemma():
		delete(m, "hidden_act")
		delete(m, "use_sliding_window")
		m["hidden_activation"] = "gelu_pytorch_tanh"
		m["query_pre_attn_scalar"] = c.QueryScalar
		m["attn_logit_softcapping"], m["final_logit_softcapping"] = orNull(c.AttnSoftcap), orNull(c.FinalSoftcap)
		if c.Arch == shape.ArchGemma3 {
			m["rope_local_base_freq"] = jsonFloat(c.RopeLocalTheta)
			m["sliding_window_pattern"] = c.GlobalEvery
		}
	case c.Arch == shape.ArchQwen3MoE:
		m["num_experts"], m["num_experts_per_tok"], m["moe_intermediate_size"] = c.Experts, c.ExpertsUsed, c.ExpertFFN
		m["decoder_sparse_step"], m["mlp_only_layers"], m["norm_topk_prob"] = 1, []int{}, true
	case c.Experts > 0:
		m["num_local_experts"], m["num_experts_per_tok"], m["intermediate_size"] = c.Experts, c.ExpertsUsed, c.ExpertFFN
	}
	return m, nil
}

func orNull(v float64) any {
	if v == 0 {
		return nil
	}
	return jsonFloat(v)
}

// jsonFloat is written with a decimal point even if it is whole: transformers 5 refuses an integer where it
// expects a float.
type jsonFloat float64

// MarshalJSON implements json.Marshaler.
func (f jsonFloat) MarshalJSON() ([]byte, error) {
	s := strconv.FormatFloat(float64(f), 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return []byte(s), nil
}

// hfTokenizer returns tokenizer.json: byte-level BPE without merges, so that each byte is its own token, and
// fillers up to the size of the embedding, so that any generated id can be decoded.
func hfTokenizer(size int) map[string]any {
	v := newVocabulary(size, false)
	vocab := make(map[string]int, size)
	for id, text := range v.tokens {
		vocab[text] = id
	}
	var added []map[string]any
	for i, text := range controlTokens {
		added = append(added, map[string]any{
			"id": TokenBOS + i, "content": text, "special": true,
			"single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
		})
	}
	byteLevel := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false,
		"use_regex": false}
	return map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added,
		"normalizer": nil, "pre_tokenizer": byteLevel, "post_processor": nil, "decoder": byteLevel,
		"model": map[string]any{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil,
			"end_of_word_suffix": nil,
			"fuse_unk":           false, "byte_fallback": false, "ignore_merges": false, "vocab": vocab,
			"merges": []string{},
		},
	}
}
