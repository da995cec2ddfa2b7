package core

import (
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
)

// uniform are the architectures whose layers the engine assumes to be alike.
var uniform = []string{"llama", "mistral3", "qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3"}

// Architectures are the engine's architectures, by their names in GGUF files.
var Architectures = []string{"bert", "deepseek2", "deepseekocr", "gemma2", "gemma3", "gemma3n", "glm4moelite", "glmocr",
	"gpt-oss", "gptoss", "lfm2", "lfm2moe", "llama", "llama4", "mistral3", "mllama", "nemotron_h", "nemotron_h_moe",
	"nomic-bert", "nomic-bert-moe", "olmo3", "qwen2", "qwen25vl", "qwen3", "qwen35", "qwen35moe", "qwen3moe",
	"qwen3next", "qwen3vl", "qwen3vlmoe"}

// Reads refuses GGUF files whose architecture or tokenizer the engine does not have, or on which it would abort: a
// part of a model, which lacks tensors, and layers with different heads, which it assumes to be alike. The error
// is a [*fault.Error].
func Reads(path string) error {
	h, err := gguf.ReadFile(path)
	if err != nil {
		return err
	}
	if part, parts := h.Split(); parts > 1 {
		return fault.New(codes.ClassUnsupportedModel, nil, "merge the parts with llama-gguf-split --merge FIRST-PART "+
			"OUTPUT, or use --backend llamacpp, which reads parts",
			"%s is part %d of %d of a model, and the embedded engine reads whole files", path, part+1, parts)
	}
	arch := h.Text("general.architecture")
	if err := lacks(path, h, arch); err != nil {
		return err
	}
	for _, key := range []string{"attention.head_count", "attention.head_count_kv"} {
		key = arch + "." + key
		if _, alike := h.PerLayer(key); h.Has(key) && !alike && slices.Contains(uniform, arch) {
			return fault.New(codes.ClassUnsupportedModel, nil, "use --backend llamacpp",
				"the layers of %s differ in %s, but the embedded engine requires all layers to be alike", path, key)
		}
	}
	for _, t := range h.Tensors {
		if slices.Contains(removed, t.Kind) {
			return fault.New(codes.ClassUnsupportedDType, nil, "use the model in another format",
				"the tensor %s of %s is in format %d of ggml, which ggml has removed", t.Name, path, t.Kind)
		}
		if t.Kind >= formats {
			return fault.New(codes.ClassUnsupportedDType, nil,
				"use the model in another format, or --backend llamacpp with a newer llama.cpp",
				"the tensor %s of %s is in format %d of ggml, which the embedded engine does not know",
				t.Name, path, t.Kind)
		}
	}
	if h.Has("tokenizer.ggml.tokens") && !h.Has("tokenizer.ggml.token_type") {
		return fault.New(codes.ClassUnsupportedModel, nil, "download or generate it again, or use --backend llamacpp",
			"%s does not give the types of its tokens (tokenizer.ggml.token_type), which the embedded engine "+
				"requires", path)
	}
	return turns(path, h, arch)
}

// lacks reports why the engine cannot load a file: missing code, or missing keys on which it would abort.
func lacks(path string, h gguf.Header, arch string) error {
	refused := func(next, format string, a ...any) error {
		return fault.New(codes.ClassUnsupportedModel, nil, next, format, a...)
	}
	experts, _ := h.Uint("llama.expert_count")
	switch words := h.Text("tokenizer.ggml.model"); {
	case !slices.Contains(Architectures, arch):
		return refused("use --backend llamacpp",
			"the embedded engine has no code for the architecture %q of %s", arch, path)
	case arch == "llama" && experts > 0:
		return refused("use --backend llamacpp", "%s has %d experts, and the embedded engine has no code for llama "+
			"models with experts", path, experts)
	case !h.Has("tokenizer.ggml.tokens"):
		return refused("use --backend llamacpp, or a file with its tokenizer",
			"%s has no tokenizer, which the embedded engine requires", path)
	case arch == "llama" && words != "gpt2" && words != "llama":
		return refused("use --backend llamacpp", "the embedded engine has no code for the tokenizer %q of %s", words,
			path)
	case slices.Contains(uniform, arch) && !h.Has(arch+".attention.head_count_kv"):
		return refused("use --backend llamacpp, which assumes as many as query heads",
			"%s does not give the number of key and value heads (%s.attention.head_count_kv), which the embedded "+
				"engine requires", path, arch)
	}
	return nil
}

// removed are the numbers of formats that ggml has removed. Their size is now 0, and the engine divides by it.
var removed = []uint32{4, 5, 31, 32, 33, 36, 37, 38}

// formats is the number of formats that the engine's ggml knows (GGML_TYPE_COUNT); it aborts on others.
const formats = 40

// turns checks how many values of a head are rotated by their position: with an odd number, or more than exist,
// the engine aborts in the middle of a run.
func turns(path string, h gguf.Header, arch string) error {
	n, given := h.Uint(arch + ".rope.dimension_count")
	width, _ := h.Uint(arch + ".attention.key_length")
	if width == 0 {
		hidden, _ := h.Uint(arch + ".embedding_length")
		heads, _ := h.PerLayer(arch + ".attention.head_count")
		width = hidden / max(1, heads)
	}
	if !given || width == 0 || n%2 == 0 && n <= width {
		return nil
	}
	return fault.New(codes.ClassCorruptModel, nil, "download or generate it again",
		"%s contradicts itself: %s.rope.dimension_count is %d, and its heads have %d values (it must be even, and "+
			"not larger)", path, arch, n, width)
}
