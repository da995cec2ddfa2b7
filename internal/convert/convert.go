// Package convert turns a Hugging Face folder into the one GGUF file that the embedded engine opens.
//
//	config.json ────────────────▶ config ──▶ keys ───┐
//	tokenizer.json, tokenizer.model ▶ vocabulary ──▶ keys ─┼─▶ gguf.File ─▶ one file
//	*.safetensors ──────────────▶ tensors, read when written ─┘
//
// Everything that the engine expects of each family of models (names of keys and tensors, the order of rows in q
// and k, norms stored as weight+1) is defined only here. Weights are read in small parts while the file is
// written, so that memory does not depend on the size of the model.
package convert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/pyjson"
)

// Options control how a folder is converted.
type Options struct {
	DType gguf.DType // of the matrices; "" keeps the stored type, but float32 becomes float16
	// RopeTheta and RopeLocalTheta are the rotary bases, which config.json gives in more than one form; RopeLocalTheta
	// is 0 if all layers have the same.
	RopeTheta, RopeLocalTheta float64
	Progress                  func(done, total int64) // bytes written; may be nil
}

// family is what the engine's implementation of a model expects.
type family struct {
	arch  string
	keys  func(*config, keys) error
	names *strings.Replacer
	// interleaved: rows of q and k are ordered for rotation of neighbours.
	interleaved bool
	// normPlusOne: norms are stored as weight+1.
	normPlusOne bool
}

// familyOf returns the family of a class of the transformers library.
func familyOf(class string) (family, bool) {
	switch class {
	case "LlamaForCausalLM", "MistralForCausalLM": // one network with two names
		return family{arch: "llama", keys: (*config).llama, names: plainNames, interleaved: true}, true
	case "Qwen2ForCausalLM":
		return family{arch: "qwen2", keys: (*config).qwen2, names: plainNames}, true
	case "Qwen3ForCausalLM":
		return family{arch: "qwen3", keys: (*config).qwen3, names: plainNames}, true
	case "Gemma2ForCausalLM":
		return family{arch: "gemma2", keys: (*config).gemma2, names: gemmaNames, normPlusOne: true}, true
	case "Gemma3ForCausalLM":
		return family{arch: "gemma3", keys: (*config).gemma3, names: gemmaNames, normPlusOne: true}, true
	}
	return family{}, false
}

const classes = "Gemma2ForCausalLM, Gemma3ForCausalLM, LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, " +
	"Qwen3ForCausalLM"

// Check returns the reason why the embedded engine cannot run the model whose config.json is in dir, or nil.
func Check(dir string) error {
	_, _, err := readConfig(dir, Options{})
	return err
}

// DType returns the type that the matrices of a folder are converted to if [Options.DType] is empty. It is empty
// if they differ, or the folder cannot be converted.
func DType(dir string) gguf.DType {
	if Check(dir) != nil {
		return ""
	}
	w, err := openWeights(dir)
	if err != nil {
		return ""
	}
	defer w.close()
	var all gguf.DType
	for _, s := range w.tensors {
		own := storedAs(s, "")
		if len(s.shape) < 2 {
			continue
		}
		if all != "" && own != all {
			return ""
		}
		all = own
	}
	return all
}

// readConfig reads config.json and finds the family.
func readConfig(dir string, o Options) (*config, family, error) {
	path := filepath.Join(dir, "config.json")
	raw, err := disk.ReadFile(path, disk.MaxSmall)
	if _, odd := errors.AsType[*disk.OddFileError](err); odd {
		return nil, family{}, disk.ReadError(path, err)
	}
	if err != nil {
		return nil, family{}, fault.New(codes.ClassModelNotFound, err, "name a Hugging Face model folder",
			"cannot read the configuration of %s", dir)
	}
	return parseConfig(raw, o)
}

// Folder converts the folder dir to a GGUF file at path, or writes nothing.
func Folder(ctx context.Context, dir, path string, o Options) error {
	err := convertFolder(ctx, dir, path, o)
	if err == nil {
		return nil
	}
	if _, known := errors.AsType[*fault.Error](err); known {
		return fmt.Errorf("converting %s: %w", dir, err)
	}
	return fault.New(codes.ClassCorruptModel, err, "check that the folder is complete, or download it again",
		"cannot convert %s for the embedded engine", dir)
}

func convertFolder(ctx context.Context, dir, path string, o Options) error {
	c, f, err := readConfig(dir, o)
	if err != nil {
		return err
	}
	w, err := openWeights(dir)
	if err != nil {
		return err
	}
	defer w.close()
	voc, err := readVocabulary(dir)
	if err != nil {
		return fmt.Errorf("reading the tokenizer: %w", err)
	}
	kv, err := metadata(c, f, voc, o)
	if err != nil {
		return err
	}
	ts, err := plan(w.tensors, c, f, o.DType)
	if err != nil {
		return err
	}
	file := gguf.File{Meta: kv, Fill: ts.fill, Progress: o.Progress}
	for _, t := range ts {
		file.Tensors = append(file.Tensors, t.Tensor)
	}
	return file.Write(ctx, path)
}

// metadata returns the keys of the file.
func metadata(c *config, f family, voc *vocabulary, o Options) (map[string]any, error) {
	kv := map[string]any{
		"general.architecture":         f.arch,
		"general.file_type":            gguf.Float16.Info().FileType,
		"general.quantization_version": uint32(2),
	}
	if o.DType != "" {
		kv["general.file_type"] = o.DType.Info().FileType
	}
	if err := f.keys(c, keys{kv, f.arch + "."}); err != nil {
		return nil, err
	}
	voc.pad(int(c.VocabSize))
	maps.Copy(kv, voc.keys())
	return kv, nil
}

// parseConfig reads the content of config.json. A whole number may be written as a fraction (4096.0), and a class
// may be followed by others.
func parseConfig(raw []byte, o Options) (*config, family, error) {
	var m map[string]any
	if err := pyjson.Unmarshal(raw, &m); err != nil {
		return nil, family{}, fault.New(codes.ClassCorruptModel, err, "download the model again",
			"config.json is not valid JSON")
	}
	class := ""
	if list, _ := m["architectures"].([]any); len(list) > 0 {
		class, _ = list[0].(string)
	}
	f, ok := familyOf(class)
	if !ok {
		return nil, f, fault.New(codes.ClassUnsupportedModel, nil,
			"it runs "+classes+"; use a Python backend for others",
			"the embedded engine cannot run architecture %q", class)
	}
	if m["quantization_config"] != nil {
		return nil, f, fault.New(codes.ClassUnsupportedDType, nil,
			"use the unquantized model, a GGUF file, or a Python backend", "quantized safetensors cannot be converted")
	}
	plain, err := json.Marshal(m) // 4096.0 becomes 4096
	if err != nil {
		return nil, f, fmt.Errorf("encoding config.json: %w", err)
	}
	c := &config{ropeTheta: float32(o.RopeTheta), ropeLocalTheta: float32(o.RopeLocalTheta)}
	if err := json.Unmarshal(plain, c); err != nil {
		return nil, f, fault.New(codes.ClassCorruptModel, err, checkConfig, "config.json has a value of the wrong kind")
	}
	if f.arch == "gemma3" {
		c.gemma3Defaults()
	}
	if c.Hidden == 0 || c.Heads == 0 || c.Layers == 0 || c.Layers > maxLayers {
		return nil, f, fault.New(codes.ClassCorruptModel, nil, checkConfig,
			"config.json asks for %d layers with %d heads, %d wide", c.Layers, c.Heads, c.Hidden)
	}
	return c, f, nil
}

const checkConfig = "check the model's config.json"

// sorted returns the names in a fixed order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
