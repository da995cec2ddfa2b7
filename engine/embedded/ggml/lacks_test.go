//go:build cgo

package ggml

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/ollama/ollama/model"

	"github.com/llenergymeasure/llem/engine/embedded/internal/core"
	"github.com/llenergymeasure/llem/internal/gguf"
)

// TestArchitectures: a name is in the list of the parent, which has no C++, if and only if the engine has it. The
// known names are tested: the names of the list, and some architectures that other engines run.
func TestArchitectures(t *testing.T) {
	has := func(arch string) (known bool) {
		path := filepath.Join(t.TempDir(), "x.gguf")
		f := gguf.File{Meta: map[string]any{"general.architecture": arch, "tokenizer.ggml.model": "gpt2"}}
		if err := f.Write(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		defer func() { // of an architecture whose keys are missing
			known = recover() != nil || known
		}()
		_, err := model.NewTextProcessor(path)
		return !errors.Is(err, model.ErrUnsupportedModel)
	}
	for _, arch := range core.Architectures {
		if !has(arch) {
			t.Errorf("the engine has no %s", arch)
		}
	}
	for _, arch := range []string{"granite", "granitemoe", "falcon", "gpt2", "gptneox", "phi3", "mamba", "jamba",
		"olmo2",
		"stablelm", "starcoder2", "command-r", "gemma", "glm4", "smollm3", "qwen2moe", "deepseek", "ernie4_5"} {
		if has(arch) {
			t.Errorf("the engine has %s, which is not in the list", arch)
		}
	}
}
