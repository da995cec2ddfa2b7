package shape

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/pyjson"
)

// FromHFFolder reads dir/config.json, and for an unknown family the list of tensors.
func FromHFFolder(dir string) (Config, error) {
	path := filepath.Join(dir, "config.json")
	b, err := disk.ReadFile(path, disk.MaxSmall)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, statErr := os.Stat(dir); statErr != nil {
			return Config{}, fault.New(codes.ClassModelNotFound, nil, "check the path", "no such folder: %s", dir)
		}
		return Config{}, fault.New(codes.ClassModelNotFound, nil,
			"a Hugging Face model folder has a config.json and *.safetensors; name that folder",
			"%s has no config.json", dir)
	case err != nil:
		return Config{}, disk.ReadError(path, err)
	}
	c, err := FromHFConfig(b)
	files := checkpointOf(dir)
	if fault.Class(err) == codes.ClassUnsupportedModel {
		if counted, ok := files.count(b); ok {
			return counted, nil
		}
		if n := files.onDisk(); n > 0 {
			return c, fmt.Errorf("reading %s, whose files hold about %s of weights: %w", path, disk.SizeText(n), err)
		}
	}
	if err != nil {
		return c, fmt.Errorf("reading %s: %w", path, err)
	}
	if err := files.settle(b, &c); err != nil {
		return c, fmt.Errorf("reading %s: %w", path, err)
	}
	return c, nil
}

// FromHFConfig reads the content of a Hugging Face config.json. For a multimodal model it describes the language
// model, and the vision tower if its kind is known.
func FromHFConfig(data []byte) (Config, error) {
	f, err := fieldsOf(data)
	if err != nil {
		return Config{}, err
	}
	kind := f.text("model_type")
	fam, ok := families[kind]
	if !ok {
		return Config{}, fault.New(codes.ClassUnsupportedModel, nil, "known: "+strings.Join(knownHFTypes(), ", "),
			"model_type %q is unknown, so parameters and FLOPs cannot be counted", kind)
	}
	stored, outer := storedOf(&f), f
	if text, ok := f.m["text_config"].(map[string]any); ok {
		f.m = text
		if inner := f.text("model_type"); families[inner].blocks != nil {
			inner := families[inner]
			inner.tied = fam.tied
			fam = inner
		}
		if tied, ok := outer.m["tie_word_embeddings"].(bool); ok {
			f.m = maps.Clone(text)
			f.m["tie_word_embeddings"] = tied
		}
	}
	var c Config
	if f.plain(kind, fam) {
		c = f.config(fam)
		if kind == "mistral" || kind == "mixtral" || kind == "phi3" || kind == "mistral3" {
			c.SlidingWindow = f.int("sliding_window", 0)
		}
		f.experts(kind, &c)
	} else {
		c = f.fromBlocks(fam)
	}
	c.Tower = outer.tower(c.Hidden)
	if c.Tower != nil && c.Layout != nil {
		c.Layout.Weights = append(c.Layout.Weights, c.vision()...)
	}
	if stored.Quant != nil {
		c.Stored = stored
	}
	c.Outside = outside(outer.m, f.m, c.Vocab)
	if f.err != nil {
		return Config{}, fault.New(codes.ClassCorruptModel, f.err, "check the model's config.json",
			"config.json has a value of the wrong kind")
	}
	return c, c.Validate()
}

// outside names the first and last token of a sequence if their ids are not rows of the embedding. An engine may
// stop with an error at the first, and never ends a sequence by the last. -1 means none.
func outside(outer, inner map[string]any, vocab int) string {
	if vocab <= 0 {
		return ""
	}
	for _, key := range []string{"bos_token_id", "eos_token_id"} {
		for _, m := range []map[string]any{outer, inner} {
			ids, many := m[key].([]any)
			if !many {
				ids = []any{m[key]}
			}
			for _, id := range ids {
				if n, ok := id.(float64); ok && (n >= float64(vocab) || n < -1) {
					return fmt.Sprintf("%s %.0f of config.json is outside of the vocabulary of %d tokens: the engine "+
						"may refuse it, or never see the end of an answer", key, n, vocab)
				}
			}
		}
	}
	return ""
}

// plain reports whether the fields of [Config] describe the model.
func (f *hfFields) plain(kind string, fam family) bool {
	if kind == "qwen3_moe" { // unless dense and sparse layers are mixed
		dense, _ := f.m["mlp_only_layers"].([]any)
		return len(dense) == 0 && f.int("decoder_sparse_step", 1) == 1
	}
	return fam.blocks == nil
}

// fieldsOf reads a config.json as Python writes it.
func fieldsOf(data []byte) (hfFields, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return hfFields{}, fault.New(codes.ClassCorruptModel, nil, "download the model again", "config.json is empty")
	}
	if odd, ok := disk.LookOf(data); ok {
		return hfFields{}, fault.New(codes.ClassCorruptModel, nil, odd.Next, "config.json is not valid JSON: %v", odd)
	}
	var f hfFields
	if err := pyjson.Unmarshal(data, &f.m); err != nil {
		return f, fault.New(codes.ClassCorruptModel, err, "download the model again", "config.json is not valid JSON")
	}
	return f, nil
}

func knownHFTypes() []string {
	var names []string
	for n := range families {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// hfFields reads values of a config.json and remembers the first one of the wrong type. null counts as absent.
type hfFields struct {
	m   map[string]any
	err error
}

func (f *hfFields) wrong(key string, v any) {
	if f.err == nil {
		f.err = fmt.Errorf("%s is %v", key, v)
	}
}

func (f *hfFields) float(key string, def float64) float64 {
	switch v := f.m[key].(type) {
	case nil:
	case float64:
		return v
	default:
		f.wrong(key, v)
	}
	return def
}

func (f *hfFields) int(key string, def int) int {
	v := f.float(key, float64(def))
	if v != math.Trunc(v) || math.Abs(v) > 1<<40 {
		f.wrong(key, v)
		return def
	}
	return int(v)
}

func (f *hfFields) bool(key string, def bool) bool {
	switch v := f.m[key].(type) {
	case nil:
	case bool:
		return v
	default:
		f.wrong(key, v)
	}
	return def
}

func (f *hfFields) text(key string) string {
	s, _ := f.m[key].(string)
	return s
}

// config reads what all supported families share. The defaults come from the families' configuration classes in
// transformers.
func (f *hfFields) config(a family) Config {
	c := Config{
		Arch: a.arch, Hidden: f.int("hidden_size", 0), Layers: f.int("num_hidden_layers", 0),
		Heads: f.int("num_attention_heads", 0), FFN: f.int("intermediate_size", 0),
		Vocab: f.int("vocab_size", 0), Context: f.int("max_position_embeddings", 0),
		Tied: f.bool("tie_word_embeddings", a.tied), NormEps: f.float("rms_norm_eps", 1e-6),
		QKVBias: f.bool("attention_bias", false), HeadDim: f.int("head_dim", 0),
	}
	if a.arch == ArchGemma3 {
		f.gemma3Defaults(&c)
	}
	c.KVHeads = f.int("num_key_value_heads", c.KVHeads)
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	c.RopeTheta, c.RopeLocalTheta = f.rope(a)
	switch a.arch {
	case ArchQwen2:
		c.QKVBias = true
		f.optionalWindow(&c)
	case ArchQwen3, ArchQwen3MoE:
		c.QKNorm = true
		f.optionalWindow(&c)
	case ArchGemma2, ArchGemma3:
		f.gemma(&c)
	}
	return c
}

func (f *hfFields) gemma3Defaults(c *Config) {
	or := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	or(&c.Heads, 8)
	or(&c.HeadDim, 256)
	or(&c.Vocab, 262208)
	or(&c.Context, 131072)
	c.KVHeads = 4
}

// optionalWindow reads the window of Qwen models, which is off unless requested; the first max_window_layers
// layers of Qwen 2 have none.
func (f *hfFields) optionalWindow(c *Config) {
	if f.bool("use_sliding_window", false) && f.int("max_window_layers", c.Layers) == 0 {
		c.SlidingWindow = f.int("sliding_window", 4096)
	}
}

func (f *hfFields) gemma(c *Config) {
	c.PostNorms = true
	c.SlidingWindow = f.int("sliding_window", 4096)
	c.QueryScalar = f.int("query_pre_attn_scalar", 256)
	c.FinalSoftcap = f.float("final_logit_softcapping", 0)
	c.GlobalEvery = 2
	if c.Arch == ArchGemma2 {
		c.AttnSoftcap = f.float("attn_logit_softcapping", 0)
	} else {
		c.QKNorm = true
		c.GlobalEvery = f.int("sliding_window_pattern", 6)
	}
	types, _ := f.m["layer_types"].([]any)
	if i := slices.Index(types, any("full_attention")); i >= 0 {
		c.GlobalEvery = i + 1
	}
}

// rope reads the rotary bases, in the form before transformers 5 (rope_theta)
// or since (rope_parameters, for Gemma 3 one set per kind of layer).
func (f *hfFields) rope(a family) (global, local float64) {
	global, local = 1e4, 0
	if a.arch == ArchGemma3 {
		global, local = 1e6, 1e4
	}
	global = f.float("rope_theta", global)
	local = f.float("rope_local_base_freq", local)
	theta := func(v any, def float64) float64 {
		m, _ := v.(map[string]any)
		if t, ok := m["rope_theta"].(float64); ok {
			return t
		}
		return def
	}
	p, _ := f.m["rope_parameters"].(map[string]any)
	global = theta(p, global)
	global = theta(p["full_attention"], global)
	local = theta(p["sliding_attention"], local)
	return global, local
}

// RopeBases reads the rotary bases of a config.json, also of models that this package does not know.
func RopeBases(data []byte) (global, local float64) {
	var f hfFields
	_ = pyjson.Unmarshal(data, &f.m) // the converter refuses invalid JSON
	return f.rope(families[f.text("model_type")])
}

// experts reads the mixture-of-experts fields.
func (f *hfFields) experts(kind string, c *Config) {
	c.ExpertsUsed = f.int("num_experts_per_tok", 0)
	switch kind {
	case "mixtral":
		c.Experts, c.ExpertFFN = f.int("num_local_experts", 8), c.FFN
		c.ExpertsUsed = f.int("num_experts_per_tok", 2)
	case "qwen3_moe":
		c.Experts, c.ExpertFFN = f.int("num_experts", 128), f.int("moe_intermediate_size", 768)
		c.ExpertsUsed = f.int("num_experts_per_tok", 8)
	default:
		c.ExpertsUsed = 0
	}
}
