package model

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/shape"
)

// piece is a tensor of a file with a real header and sparse data.
type piece struct {
	name  string
	shape []uint64
	kind  uint32
}

// ggmlKinds are id, weights and bytes of a block, from ggml.h.
var ggmlKinds = map[string][3]uint64{"f32": {0, 1, 4}, "f16": {1, 1, 2}, "bf16": {30, 1, 2}, "q8_0": {8, 32, 34},
	"q4_k": {12, 256, 144}, "q6_k": {14, 256, 210}, "iq2_xxs": {16, 256, 66}, "mxfp4": {39, 32, 17},
	"nvfp4": {40, 64, 36}, "novel": {99, 8, 5}}

// writeSparse writes a file with the pieces, whose data are zeros that take no disk space.
func writeSparse(t *testing.T, path string, kv map[string]any, pieces []piece) {
	t.Helper()
	le := binary.LittleEndian
	text := func(b []byte, s string) []byte { return append(le.AppendUint64(b, uint64(len(s))), s...) }
	b := le.AppendUint32([]byte("GGUF"), 3)
	b = le.AppendUint64(le.AppendUint64(b, uint64(len(pieces))), uint64(len(kv)))
	for k, v := range kv {
		b = text(b, k)
		switch v := v.(type) {
		case string:
			b = text(le.AppendUint32(b, 8), v)
		case int:
			b = le.AppendUint32(le.AppendUint32(b, 4), uint32(v))
		case []int:
			b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, 9), 5), uint64(len(v)))
			for _, n := range v {
				b = le.AppendUint32(b, uint32(n))
			}
		}
	}
	at := uint64(0)
	for _, p := range pieces {
		n := uint64(1)
		b = le.AppendUint32(text(b, p.name), uint32(len(p.shape)))
		for _, d := range p.shape {
			b = le.AppendUint64(b, d)
			n *= d
		}
		b = le.AppendUint64(le.AppendUint32(b, p.kind), at)
		for _, k := range ggmlKinds {
			if k[0] == uint64(p.kind) {
				at += (n/k[1]*k[2] + 31) / 32 * 32
			}
		}
	}
	for len(b)%32 != 0 {
		b = append(b, 0)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(len(b))+int64(at)); err != nil {
		t.Fatal(err)
	}
}

// llamaPieces returns the keys and tensors of a Llama whose matrices are in main, and some, as in llama.cpp's
// mixtures, in alt.
func llamaPieces(layers, hidden, ffn, heads, kv, vocab int, main, alt string) (map[string]any, []piece) {
	keys := map[string]any{"general.architecture": "llama", "llama.context_length": 8192,
		"llama.embedding_length": hidden, "llama.block_count": layers, "llama.feed_forward_length": ffn,
		"llama.attention.head_count": heads, "llama.attention.head_count_kv": kv, "llama.vocab_size": vocab}
	var out []piece
	add := func(kind, name string, shape ...int) {
		p := piece{name: name, kind: uint32(ggmlKinds[kind][0])}
		for _, d := range shape {
			p.shape = append(p.shape, uint64(d))
		}
		out = append(out, p)
	}
	add(main, "token_embd.weight", hidden, vocab)
	add("f32", "output_norm.weight", hidden)
	add(alt, "output.weight", hidden, vocab)
	add("f32", "rope_freqs.weight", hidden/heads/2)
	for i := range layers {
		b, down := fmt.Sprintf("blk.%d.", i), main
		if i%2 == 1 {
			down = alt
		}
		add("f32", b+"attn_norm.weight", hidden)
		add("f32", b+"ffn_norm.weight", hidden)
		add(main, b+"attn_q.weight", hidden, hidden)
		add(main, b+"attn_k.weight", hidden, kv*hidden/heads)
		add(alt, b+"attn_v.weight", hidden, kv*hidden/heads)
		add(main, b+"attn_output.weight", hidden, hidden)
		add(main, b+"ffn_gate.weight", hidden, ffn)
		add(main, b+"ffn_up.weight", hidden, ffn)
		add(down, b+"ffn_down.weight", ffn, hidden)
	}
	return keys, out
}

// TestStoredBytes: the weights of a GGUF file are the sum of its tensors.
func TestStoredBytes(t *testing.T) {
	for _, c := range []struct {
		main, alt string
		big       bool
		gib       float64
	}{
		{"q4_k", "q6_k", false, 4.59}, {"q8_0", "q8_0", false, 7.95}, {"q4_k", "q6_k", true, 39.6},
		{"iq2_xxs", "q4_k", true, 20.1}, {"mxfp4", "q8_0", false, 4.765}, {"nvfp4", "q8_0", false, 4.952},
	} {
		keys, pieces := llamaPieces(32, 4096, 14336, 32, 8, 128256, c.main, c.alt)
		want := int64(8_030_261_248)
		if c.big {
			keys, pieces = llamaPieces(80, 8192, 28672, 64, 8, 128256, c.main, c.alt)
			want = 70_553_706_496
		}
		path := filepath.Join(t.TempDir(), "x.gguf")
		writeSparse(t, path, keys, pieces)
		got, err := Describe(path)
		if err != nil {
			t.Errorf("%s: %v", c.main, err)
			continue
		}
		if folder, err := Describe(filepath.Dir(path)); err != nil || folder.Parameters() != got.Parameters() {
			t.Errorf("%s: the folder that holds the one file: %+v, %v", c.main, folder.Parameters(), err)
		}
		weights, _ := got.EstimateBytes("float16", 1, 1)
		if math.Abs(float64(weights)/(1<<30)/c.gib-1) > 0.005 {
			t.Errorf("%s: %.3f GiB, want %.3f", c.main, float64(weights)/(1<<30), c.gib)
		}
		if p := got.Parameters(); p.Total != want || p.Active != want {
			t.Errorf("%s: %+v, want %d", c.main, p, want)
		}
		if got.Stored.Format != c.main {
			t.Errorf("%s: reported as %s", c.main, got.Stored.Format)
		}
	}
}

// TestListOfTensors: layers that differ and unknown architectures are counted from the tensors, and types that are
// newer than this program do no harm.
func TestListOfTensors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.gguf")
	keys, pieces := llamaPieces(2, 256, 512, 4, 2, 512, "f16", "f16")
	keys["llama.attention.head_count_kv"] = []int{2, 4}
	for i := range pieces {
		if strings.HasPrefix(pieces[i].name, "blk.1.attn_k") || strings.HasPrefix(pieces[i].name, "blk.1.attn_v") {
			pieces[i].shape[1] = 256
		}
	}
	writeSparse(t, path, keys, pieces)
	got, err := shape.FromGGUF(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := got.CacheElements(100); n != 100*(2*128+2*256) {
		t.Errorf("key/value heads 2 and 4: %d elements", n)
	}
	if p := got.Parameters(); p.Total != 2*512*256+256+2*(2*256+2*256*256+3*256*512)+2*256*128+2*256*256 {
		t.Errorf("%+v", p)
	}

	keys, pieces = llamaPieces(2, 256, 512, 4, 2, 512, "novel", "novel")
	keys["general.architecture"] = "novel"
	for k, v := range keys {
		keys[strings.Replace(k, "llama.", "novel.", 1)] = v
	}
	writeSparse(t, path, keys, pieces)
	if got, err = shape.FromGGUF(path); err != nil {
		t.Fatal(err)
	}
	if got.Layout == nil || !strings.Contains(got.Layout.Approximate, "novel") || got.Stored.Format != "type 99" {
		t.Errorf("%+v", got)
	}
	if f := got.FLOPs([]shape.Length{{Prompt: 10, Output: 1}}); f.Prefill <= 0 || got.CacheElements(10) != 10*2*2*128 {
		t.Errorf("%+v, cache %d", f, got.CacheElements(10))
	}
}

// TestContradictions: files whose parts contradict each other are refused as corrupt.
func TestContradictions(t *testing.T) {
	for name, c := range map[string]struct {
		change func(map[string]any, []piece) []piece
		want   string
	}{
		"a flipped bit": {func(kv map[string]any, p []piece) []piece {
			kv["llama.feed_forward_length"] = 512 | 1<<20
			return p
		}, "contradicts itself"},
		"no tensors": {func(kv map[string]any, _ []piece) []piece { return nil }, "contradicts itself"},
		"no layers": {func(kv map[string]any, p []piece) []piece { kv["llama.block_count"] = 0; return p },
			"layers is 0"},
		"half a norm":   {func(_ map[string]any, p []piece) []piece { p[1].shape[0] = 128; return p }, "output_norm"},
		"two of a name": {func(_ map[string]any, p []piece) []piece { return append(p, p[3]) }, "two tensors"},
		"many layers": {func(kv map[string]any, p []piece) []piece { kv["llama.block_count"] = 1 << 20; return p },
			"layers"},
	} {
		keys, pieces := llamaPieces(2, 256, 512, 4, 2, 512, "f16", "f16")
		pieces = c.change(keys, pieces)
		path := filepath.Join(t.TempDir(), "x.gguf")
		writeSparse(t, path, keys, pieces)
		_, err := Describe(path)
		if fault.Class(err) != codes.ClassCorruptModel || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if _, err := (Store{Dir: t.TempDir()}).Resolve(t.Context(), Request{Model: path}); fault.Class(err) !=
			codes.ClassCorruptModel {
			t.Errorf("%s: resolved with %v", name, err)
		}
	}

	keys, pieces := llamaPieces(2, 256, 512, 4, 2, 512, "f16", "f16")
	path := filepath.Join(t.TempDir(), "x.gguf")
	writeSparse(t, path, keys, pieces)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(b), "blk.0.ffn_norm.weight") + len("blk.0.ffn_norm.weight") + 4 + 8 + 4
	binary.LittleEndian.PutUint64(b[at:], 0)
	overlap := filepath.Join(t.TempDir(), "o.gguf")
	if err := os.WriteFile(overlap, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Describe(overlap); fault.Class(err) != codes.ClassCorruptModel ||
		!strings.Contains(err.Error(), "overlap") {
		t.Errorf("overlapping tensors: %v", err)
	}
}

// TestNotAModel: an adapter is reported as not a model, rather than as a model that contradicts itself.
func TestNotAModel(t *testing.T) {
	keys, pieces := llamaPieces(2, 256, 512, 4, 2, 512, "f16", "f16")
	keys["general.type"] = "adapter"
	path := filepath.Join(t.TempDir(), "x.gguf")
	writeSparse(t, path, keys, pieces[:4])
	if _, err := Describe(path); fault.Class(err) != codes.ClassUnsupportedModel ||
		!strings.Contains(err.Error(), "adapter") {
		t.Errorf("%v", err)
	}
}

// TestNotFinite: a weight that is NaN or infinite makes all results NaN. Norms are read completely, other weights
// at both ends.
func TestNotFinite(t *testing.T) {
	for _, q := range []struct {
		kind   string
		tensor int // of token_embd, output_norm, output
		from   int64
		bits   []byte
	}{
		{"f16", 1, 8, []byte{0, 0, 0xc0, 0x7f}}, {"f16", 1, 8, []byte{0, 0, 0x80, 0x7f}},
		{"f16", 1, 8, []byte{0, 0, 0x80, 0xff}}, {"f16", 0, 64, []byte{0, 0x7e}}, {"f16", 2, -2, []byte{0, 0x7c}},
		{"f16", 2, -4096, []byte{0, 0xfc}}, {"bf16", 0, 0, []byte{0x80, 0x7f}}, {"bf16", 2, -2, []byte{0xc0, 0xff}},
		{"f32", 2, -4, []byte{0, 0, 0xc0, 0x7f}},
	} {
		keys, pieces := llamaPieces(2, 256, 512, 4, 2, 512, q.kind, q.kind)
		path := filepath.Join(t.TempDir(), "x.gguf")
		writeSparse(t, path, keys, pieces)
		h, err := shape.ReadGGUF(path)
		if err != nil {
			t.Fatal(err)
		}
		tensor := h.Tensors[q.tensor]
		if q.from < 0 {
			q.from += int64(tensor.Size)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(q.bits, h.Data+int64(tensor.Offset)+q.from); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if _, err := Describe(path); fault.Class(err) != codes.ClassCorruptModel ||
			!strings.Contains(err.Error(), tensor.Name+" of ") {
			t.Errorf("%s %#x in %s: %v", q.kind, q.bits, tensor.Name, err)
		}
	}
}

// TestParts: a model in parts is counted as a whole, and a part without an output matrix does not make it a model
// with tied weights.
func TestParts(t *testing.T) {
	keys, pieces := llamaPieces(2, 256, 512, 4, 2, 512, "f16", "f16")
	dir := t.TempDir()
	var first, second []piece
	for _, p := range pieces {
		if strings.HasPrefix(p.name, "output") || strings.HasPrefix(p.name, "blk.1") {
			second = append(second, p)
		} else {
			first = append(first, p)
		}
	}
	keys["split.count"], keys["split.no"] = 2, 0
	one := filepath.Join(dir, "m-00001-of-00002.gguf")
	writeSparse(t, one, keys, first)
	if _, err := Describe(one); err == nil || !strings.Contains(err.Error(), "part 2 of 2") {
		t.Errorf("without its second part: %v", err)
	}
	writeSparse(t, filepath.Join(dir, "m-00002-of-00002.gguf"), map[string]any{"split.count": 2, "split.no": 1}, second)
	whole := filepath.Join(dir, "whole.gguf")
	delete(keys, "split.count")
	writeSparse(t, whole, keys, pieces)
	a, err := Describe(one)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Describe(whole)
	if err != nil {
		t.Fatal(err)
	}
	if a.Parameters() != b.Parameters() || a.Tied || a.Stored != b.Stored {
		t.Errorf("in parts %+v, whole %+v", a, b)
	}
}
