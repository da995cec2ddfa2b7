package model

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ollama/ollama/fs/ggml"
)

var allDTypes = []DType{Float32, Float16, BFloat16, Q8_0, Q4_0}

func tinyShapes() []Shape {
	var tiny []Shape
	for _, s := range Shapes() {
		if s.Source == "" {
			tiny = append(tiny, s)
		}
	}
	return tiny
}

func writeTiny(t *testing.T, c Config, d DType, seed uint64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := WriteGGUF(context.Background(), path, c, d, seed, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

func fileSum(t *testing.T, path string) [32]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

// TestWriteGGUFReadsBack writes every tiny shape in every format and reads it
// with this package and with the engine's own decoder.
func TestWriteGGUFReadsBack(t *testing.T) {
	for _, s := range tinyShapes() {
		for _, d := range allDTypes {
			t.Run(s.Name+"/"+string(d), func(t *testing.T) {
				path := writeTiny(t, s.Config, d, 1)
				got, err := FromGGUF(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(s.Config, got,
					cmp.Comparer(func(a, b float64) bool { return float32(a) == float32(b) })); diff != "" {
					t.Errorf("config changed (-want +got):\n%s", diff)
				}
				h, _ := readGGUFFile(path)
				if h.dtype() != d {
					t.Errorf("read back as %s", h.dtype())
				}
				checkWithEngineDecoder(t, path, s.Config)
			})
		}
	}
}

func checkWithEngineDecoder(t *testing.T, path string, c Config) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g, err := ggml.Decode(f, -1)
	if err != nil {
		t.Fatal(err)
	}
	if n := int64(g.KV().ParameterCount()); n != c.Parameters().Total {
		t.Errorf("the engine's decoder counts %d parameters, want %d", n, c.Parameters().Total)
	}
	if n := len(g.KV().Strings("tokenizer.ggml.tokens")); n != c.Vocab {
		t.Errorf("%d tokens, want %d", n, c.Vocab)
	}
}

func TestWriteGGUFIsDeterministic(t *testing.T) {
	s, _ := Lookup("tiny-qwen2")
	for _, d := range allDTypes {
		a := fileSum(t, writeTiny(t, s.Config, d, 7))
		old := runtime.GOMAXPROCS(1)
		b := fileSum(t, writeTiny(t, s.Config, d, 7))
		runtime.GOMAXPROCS(old)
		other := fileSum(t, writeTiny(t, s.Config, d, 8))
		if a != b {
			t.Errorf("%s: the same seed gave different files", d)
		}
		if a == other {
			t.Errorf("%s: different seeds gave the same file", d)
		}
	}
}

// tensorData returns the decoded values of one tensor.
func tensorData(t *testing.T, path, name string) []float32 {
	t.Helper()
	h, err := readGGUFFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range h.tensors {
		if x.name == name {
			n, _ := x.bytes()
			at := uint64(h.data) + x.offset
			return decode(dtypeOfKind(x.kind), b[at:at+n])
		}
	}
	t.Fatalf("no tensor %s", name)
	return nil
}

// decode is the reference reading of the formats, written from ggml's
// dequantize_row functions.
func decode(d DType, b []byte) []float32 {
	var out []float32
	le := binary.LittleEndian
	for n := d.info().size; len(b) > 0; b = b[n:] {
		switch d {
		case Float32:
			out = append(out, math.Float32frombits(le.Uint32(b)))
		case Float16:
			out = append(out, float16Value(le.Uint16(b)))
		case BFloat16:
			out = append(out, math.Float32frombits(uint32(le.Uint16(b))<<16))
		case Q8_0:
			s := float16Value(le.Uint16(b))
			for _, q := range b[2:34] {
				out = append(out, s*float32(int8(q)))
			}
		case Q4_0:
			s := float16Value(le.Uint16(b))
			for _, q := range b[2:18] {
				out = append(out, s*float32(int(q&15)-8))
			}
			for _, q := range b[2:18] {
				out = append(out, s*float32(int(q>>4)-8))
			}
		}
	}
	return out
}

func TestWeightsAreNormal(t *testing.T) {
	s, _ := Lookup("tiny-qwen2")
	for _, d := range allDTypes {
		path := writeTiny(t, s.Config, d, 3)
		v := tensorData(t, path, "token_embd.weight")
		var sum, sq, four float64
		for _, x := range v {
			f := float64(x)
			sum, sq, four = sum+f, sq+f*f, four+f*f*f*f
		}
		n := float64(len(v))
		if n != 64*512 {
			t.Fatalf("%s: %g values", d, n)
		}
		std := math.Sqrt(sq / n)
		if kurt := four / n / (sq / n * sq / n); math.Abs(sum/n) > 0.001 || math.Abs(std-0.02) > 0.001 ||
			math.Abs(kurt-3) > 0.2 {
			t.Errorf("%s: mean %.5f, standard deviation %.5f, kurtosis %.2f", d, sum/n, std, kurt)
		}
		for _, x := range tensorData(t, path, "blk.1.ffn_norm.weight") {
			if x != 1 {
				t.Fatalf("%s: norm weight %g", d, x)
			}
		}
		if b := tensorData(t, path, "blk.0.attn_q.bias"); b[0] == 0 || b[0] == b[1] {
			t.Errorf("%s: biases %v", d, b[:2])
		}
	}
}

func TestBlockEncodersRoundTrip(t *testing.T) {
	q := quantiles()
	for i := range 200 {
		var v [32]float32
		var top float32
		for j := range v {
			v[j] = q[uint16(mix(uint64(i*32+j)))]
			top = max(top, abs32(v[j]))
		}
		b8, b4 := make([]byte, 34), make([]byte, 18)
		encodeQ8(b8, &v)
		encodeQ4(b4, &v)
		for j, x := range decode(Q8_0, b8) {
			if e := abs32(x - v[j]); e > top/127*0.51+top*0.001 {
				t.Fatalf("q8_0: %g became %g", v[j], x)
			}
		}
		for j, x := range decode(Q4_0, b4) {
			// One step at the clipped end, half a step elsewhere.
			if e := abs32(x - v[j]); e > top/8*1.01 {
				t.Fatalf("q4_0: %g became %g (largest %g)", v[j], x, top)
			}
		}
	}
	var zero [32]float32
	b8, b4 := make([]byte, 34), make([]byte, 18)
	encodeQ8(b8, &zero)
	encodeQ4(b4, &zero)
	for _, x := range append(decode(Q8_0, b8), decode(Q4_0, b4)...) {
		if x != 0 {
			t.Fatal("a block of zeros did not stay zero")
		}
	}
}

func TestFloat16(t *testing.T) {
	for h := range 1 << 16 {
		v := float16Value(uint16(h))
		if h>>10&31 == 31 {
			continue
		}
		if got := float16Bits(v); got != uint16(h) {
			t.Fatalf("%#04x → %g → %#04x", h, v, got)
		}
	}
	for _, c := range []struct {
		f    float32
		want uint16
	}{{65520, 0x7c00}, {65519, 0x7bff}, {1 + 1.0/2048, 0x3c00}, {1 + 3.0/2048, 0x3c02},
		{float32(math.Inf(-1)), 0xfc00}, {1e-9, 0}} {
		if got := float16Bits(c.f); got != c.want {
			t.Errorf("%g → %#04x, want %#04x", c.f, got, c.want)
		}
	}
	if got := bfloat16Bits(1 + 1.0/256); got != 0x3f80 {
		t.Errorf("bfloat16 ties to even: %#04x", got)
	}
}

func TestBlockSizesMatchEngine(t *testing.T) {
	for kind := range uint32(len(ggmlBlocks)) {
		block, size, ok := ggmlBlock(kind)
		tt := ggml.TensorType(kind)
		if !ok || tt.TypeSize() == 0 {
			continue
		}
		if tt.BlockSize() != block || tt.TypeSize() != size {
			t.Errorf("type %d: %d/%d, the engine has %d/%d", kind, block, size, tt.BlockSize(), tt.TypeSize())
		}
	}
}

func TestWriteGGUFLeavesNothingBehind(t *testing.T) {
	s, _ := Lookup("tiny-llama")
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	path := filepath.Join(dir, "m.gguf")
	err := WriteGGUF(ctx, path, s.Config, Float32, 1, func(int64, int64) { cancel() })
	if !errors.Is(err, context.Canceled) || Class(err) != ClassInterrupted {
		t.Errorf("cancelled: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := WriteGGUF(context.Background(), "/dev/null/x.gguf", s.Config, Float32, 1, nil); err == nil ||
		Class(err) == "" {
		t.Errorf("impossible folder: %v", err)
	}
}

func TestWriteGGUFDiskFull(t *testing.T) {
	err := checkSpace(t.TempDir(), 1<<60)
	if Class(err) != ClassDiskFull || !strings.Contains(err.Error(), "LLEM_CACHE") {
		t.Errorf("%v", err)
	}
}

func TestProgressReachesTotal(t *testing.T) {
	s, _ := Lookup("tiny-llama")
	var last, total int64
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := WriteGGUF(context.Background(), path, s.Config, Float16, 1,
		func(d, n int64) { last, total = max(last, d), n }); err != nil {
		t.Fatal(err)
	}
	st, _ := os.Stat(path)
	if total != st.Size() || total-last >= ggufAlign {
		t.Errorf("progress ended at %d of %d, file has %d", last, total, st.Size())
	}
}

func TestDamagedGGUF(t *testing.T) {
	s, _ := Lookup("tiny-llama")
	good, err := os.ReadFile(writeTiny(t, s.Config, Q8_0, 1))
	if err != nil {
		t.Fatal(err)
	}
	h, _ := readGGUF(strings.NewReader(string(good)), int64(len(good)))
	huge := append([]byte(nil), good...)
	binary.LittleEndian.PutUint64(huge[24:], 1<<40) // length of the first key
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":          {nil, "empty"},
		"not gguf":       {[]byte("PK\x03\x04 something else"), "GGUF"},
		"old version":    {[]byte("GGUF\x01\x00\x00\x00aaaaaaaaaaaaaaaa"), "version"},
		"cut in header":  {good[:200], "truncated"},
		"cut in tensors": {good[:h.data-100], "truncated"},
		"cut in data":    {good[:len(good)-64], "truncated"},
		"impossible count": {append([]byte("GGUF\x03\x00\x00\x00"), []byte(strings.Repeat("\xff", 16))...),
			"cannot be right"},
		"impossible key": {huge, "cannot be right"},
	} {
		path := filepath.Join(t.TempDir(), "x.gguf")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := FromGGUF(path)
		if Class(err) != ClassCorrupt || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := FromGGUF(filepath.Join(t.TempDir(), "none.gguf")); Class(err) != ClassNotFound {
		t.Errorf("missing: %v", err)
	}
}

func BenchmarkFill(b *testing.B) {
	for _, d := range allDTypes {
		b.Run(string(d), func(b *testing.B) {
			buf := make([]byte, spanBytes/d.info().size*d.info().size)
			t := tensor{name: "x", dtype: d}
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				drawer{1}.fill(buf, t, 0)
			}
		})
	}
}
