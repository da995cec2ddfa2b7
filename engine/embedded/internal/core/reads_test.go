package core

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/note"
)

// header writes a GGUF file with one tensor and everything that the engine requires, then replaces keys by uint32
// values or lists of them; a key without a value is left out.
func header(t *testing.T, kv map[string][]uint32) string {
	t.Helper()
	meta := map[string]any{"general.architecture": "llama", "llama.attention.head_count_kv": uint32(4),
		"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": []string{"a", "b"},
		"tokenizer.ggml.token_type": []int32{1, 1}}
	for k, v := range kv {
		switch len(v) {
		case 0:
			delete(meta, k)
		case 1:
			meta[k] = v[0]
		default:
			var list []int32
			for _, n := range v {
				list = append(list, int32(n))
			}
			meta[k] = list
		}
	}
	return written(t, meta)
}

func written(t *testing.T, meta map[string]any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.gguf")
	f := gguf.File{Meta: meta, Tensors: []gguf.Tensor{{Name: "x", DType: gguf.Float32, Shape: []int64{256}}},
		Fill: func([]byte, int, int64) error { return nil }}
	if err := f.Write(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLacks: a file that the engine has no code for is refused before the run, and in a dry run.
func TestLacks(t *testing.T) {
	for name, c := range map[string]struct {
		key   string
		value any
		ok    bool
	}{
		"whole":              {"llama.expert_count", uint32(0), true},
		"sentence pieces":    {"tokenizer.ggml.model", "llama", true},
		"no architecture":    {"general.architecture", nil, false},
		"other architecture": {"general.architecture", "granite", false},
		"experts":            {"llama.expert_count", uint32(8), false},
		"no tokens":          {"tokenizer.ggml.tokens", nil, false},
		"other tokenizer":    {"tokenizer.ggml.model", "rwkv", false},
		"no heads of keys":   {"llama.attention.head_count_kv", nil, false},
	} {
		meta := map[string]any{"general.architecture": "llama", "llama.attention.head_count_kv": uint32(4),
			"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": []string{"a", "b"},
			"tokenizer.ggml.token_type": []int32{1, 1}}
		meta[c.key] = c.value
		if c.value == nil {
			delete(meta, c.key)
		}
		err := Reads(written(t, meta))
		f, ok := errors.AsType[*fault.Error](err)
		if c.ok && err != nil || !c.ok && (!ok || f.Class != codes.ClassUnsupportedModel ||
			!strings.Contains(f.Next, "llamacpp")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReads: the engine aborts on parts of models and on layers that differ, so both are refused first.
func TestReads(t *testing.T) {
	for name, c := range map[string]struct {
		kv   map[string][]uint32
		want string // in the next step
	}{
		"a part":     {map[string][]uint32{"split.no": {0}, "split.count": {2}}, "llama-gguf-split --merge"},
		"two widths": {map[string][]uint32{"llama.attention.head_count_kv": {2, 4}}, "llamacpp"},
		"alike":      {map[string][]uint32{"llama.attention.head_count_kv": {4, 4}, "split.count": {1}}, ""},
	} {
		err := Reads(header(t, c.kv))
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Class != codes.ClassUnsupportedModel || !strings.Contains(f.Next, c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestReadsTurns: with such a number of rotated values ggml aborts in the middle of a run.
func TestReadsTurns(t *testing.T) {
	for _, c := range []struct {
		kv map[string][]uint32
		ok bool
	}{
		{map[string][]uint32{"llama.rope.dimension_count": {16}}, true},
		{map[string][]uint32{"llama.rope.dimension_count": {8}}, true},
		{map[string][]uint32{}, true},
		{map[string][]uint32{"llama.rope.dimension_count": {1}}, false},
		{map[string][]uint32{"llama.rope.dimension_count": {18}}, false},
		{map[string][]uint32{"llama.rope.dimension_count": {18}, "llama.attention.key_length": {32}}, true},
		{map[string][]uint32{"llama.rope.dimension_count": {1 << 20}}, false},
		{map[string][]uint32{"llama.rope.dimension_count": {1<<32 - 1}}, false},
	} {
		c.kv["llama.embedding_length"], c.kv["llama.attention.head_count"] = []uint32{64}, []uint32{4}
		err := Reads(header(t, c.kv))
		if c.ok && err != nil || !c.ok && fault.Class(err) != codes.ClassCorruptModel {
			t.Errorf("%v: %v", c.kv, err)
		}
	}
}

// TestReadsTokenTypes: without them the engine fails at the first prompt.
func TestReadsTokenTypes(t *testing.T) {
	kv := map[string][]uint32{"tokenizer.ggml.token_type": nil}
	if err := Reads(header(t, kv)); fault.Class(err) != codes.ClassUnsupportedModel {
		t.Errorf("without: %v", err)
	}
	kv["tokenizer.ggml.token_type"] = []uint32{1, 1}
	if err := Reads(header(t, kv)); err != nil {
		t.Errorf("with: %v", err)
	}
}

// TestReadsFormats: the engine divides by the size of a removed format, which is 0, and aborts on an unknown one.
func TestReadsFormats(t *testing.T) {
	of := func(kind uint32) []byte { // of the tensor x of 256 numbers
		le := binary.LittleEndian
		return le.AppendUint32(le.AppendUint64(le.AppendUint32([]byte("x"), 1), 256), kind)
	}
	for kind, class := range map[uint32]note.Class{0: "", 33: codes.ClassUnsupportedDType,
		40: codes.ClassUnsupportedDType, 200: codes.ClassUnsupportedDType} {
		path := header(t, nil)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Replace(b, of(0), of(kind), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Reads(path); fault.Class(err) != class || class == "" && err != nil {
			t.Errorf("format %d: %v", kind, err)
		}
	}
}
