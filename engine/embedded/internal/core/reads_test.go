package core

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/note"
)

// header writes the start of a GGUF file without tensors, with keys of type uint32 or lists of them.
func header(t *testing.T, kv map[string][]uint32) string {
	t.Helper()
	le := binary.LittleEndian
	text := func(b []byte, s string) []byte { return append(le.AppendUint64(b, uint64(len(s))), s...) }
	b := le.AppendUint32([]byte("GGUF"), 3)
	b = le.AppendUint64(le.AppendUint64(b, 0), uint64(len(kv)+1))
	b = text(le.AppendUint32(text(b, "general.architecture"), 8), "llama")
	for k, v := range kv {
		b = text(b, k)
		if len(v) == 1 {
			b = le.AppendUint32(le.AppendUint32(b, 4), v[0])
			continue
		}
		b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, 9), 4), uint64(len(v)))
		for _, n := range v {
			b = le.AppendUint32(b, n)
		}
	}
	for len(b)%32 != 0 {
		b = append(b, 0)
	}
	path := filepath.Join(t.TempDir(), "x.gguf")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReads: the engine aborts on parts of models and on layers that differ, so that both are
// refused before.
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
	kv := map[string][]uint32{"tokenizer.ggml.tokens": {1, 2}}
	if err := Reads(header(t, kv)); fault.Class(err) != codes.ClassUnsupportedModel {
		t.Errorf("without: %v", err)
	}
	kv["tokenizer.ggml.token_type"] = []uint32{1, 1}
	if err := Reads(header(t, kv)); err != nil {
		t.Errorf("with: %v", err)
	}
}

// TestReadsFormats: the engine divides by the size of a removed format, which is 0, and aborts on
// one that it does not know.
func TestReadsFormats(t *testing.T) {
	le := binary.LittleEndian
	for kind, class := range map[uint32]note.Class{0: "", 33: codes.ClassUnsupportedDType,
		40: codes.ClassUnsupportedDType, 200: codes.ClassUnsupportedDType} {
		path := header(t, nil)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		le.PutUint64(b[8:], 1) // one tensor, after the only key
		b = b[:4+4+8+8+8+len("general.architecture")+4+8+len("llama")]
		b = append(le.AppendUint64(b, 1), 'x')
		b = le.AppendUint64(le.AppendUint32(b, 1), 256)
		b = le.AppendUint64(le.AppendUint32(b, kind), 0)
		b = append(b, make([]byte, 2048)...)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Reads(path); fault.Class(err) != class || class == "" && err != nil {
			t.Errorf("format %d: %v", kind, err)
		}
	}
}
