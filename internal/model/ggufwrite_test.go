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

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/gguf/gguftest"
	"github.com/llenergymeasure/llem/internal/shape"
)

var allDTypes = []gguf.DType{gguf.Float32, gguf.Float16, gguf.BFloat16, gguf.Q8_0, gguf.Q4_0}

func tinyShapes() []shape.Shape {
	var tiny []shape.Shape
	for _, s := range shape.Shapes() {
		if s.Source == "" {
			tiny = append(tiny, s)
		}
	}
	return tiny
}

func writeTiny(t *testing.T, c shape.Config, d gguf.DType, seed uint64) string {
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
				got, err := shape.FromGGUF(path)
				if err != nil {
					t.Fatal(err)
				}
				if st, _ := os.Stat(path); got.Stored.Bytes < st.Size()/2 || !got.Stored.File {
					t.Errorf("%+v of a file of %d bytes", got.Stored, st.Size())
				}
				got.Stored = shape.Stored{}
				if diff := cmp.Diff(s.Config, got,
					cmp.Comparer(func(a, b float64) bool { return float32(a) == float32(b) })); diff != "" {
					t.Errorf("config changed (-want +got):\n%s", diff)
				}
				h, _ := gguf.ReadFile(path)
				if h.DType() != d {
					t.Errorf("read back as %s", h.DType())
				}
				checkWithEngineDecoder(t, path, s.Config)
			})
		}
	}
}

func checkWithEngineDecoder(t *testing.T, path string, c shape.Config) {
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
	s, _ := shape.Lookup("tiny-qwen2")
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

func TestWeightsAreNormal(t *testing.T) {
	s, _ := shape.Lookup("tiny-qwen2")
	for _, d := range allDTypes {
		path := writeTiny(t, s.Config, d, 3)
		v := gguftest.Values(t, path, "token_embd.weight")
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
		for _, x := range gguftest.Values(t, path, "blk.1.ffn_norm.weight") {
			if x != 1 {
				t.Fatalf("%s: norm weight %g", d, x)
			}
		}
		if b := gguftest.Values(t, path, "blk.0.attn_q.bias"); b[0] == 0 || b[0] == b[1] {
			t.Errorf("%s: biases %v", d, b[:2])
		}
	}
}

func TestWriteGGUFLeavesNothingBehind(t *testing.T) {
	s, _ := shape.Lookup("tiny-llama")
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	path := filepath.Join(dir, "m.gguf")
	err := WriteGGUF(ctx, path, s.Config, gguf.Float32, 1, func(int64, int64) { cancel() })
	if !errors.Is(err, context.Canceled) || fault.Class(err) != codes.ClassInterrupted {
		t.Errorf("cancelled: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := WriteGGUF(context.Background(), "/dev/null/x.gguf", s.Config, gguf.Float32, 1, nil); err == nil ||
		fault.Class(err) == "" {
		t.Errorf("impossible folder: %v", err)
	}
}

func TestProgressReachesTotal(t *testing.T) {
	s, _ := shape.Lookup("tiny-llama")
	var last, total int64
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := WriteGGUF(context.Background(), path, s.Config, gguf.Float16, 1,
		func(d, n int64) { last, total = max(last, d), n }); err != nil {
		t.Fatal(err)
	}
	st, _ := os.Stat(path)
	if total != st.Size() || total-last >= 32 {
		t.Errorf("progress ended at %d of %d, file has %d", last, total, st.Size())
	}
}

func TestDamagedGGUF(t *testing.T) {
	s, _ := shape.Lookup("tiny-llama")
	good, err := os.ReadFile(writeTiny(t, s.Config, gguf.Q8_0, 1))
	if err != nil {
		t.Fatal(err)
	}
	h, _ := gguf.Read(strings.NewReader(string(good)), int64(len(good)))
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
		"cut in tensors": {good[:h.Data-100], "truncated"},
		"cut in data":    {good[:len(good)-64], "truncated"},
		"impossible count": {append([]byte("GGUF\x03\x00\x00\x00"), []byte(strings.Repeat("\xff", 16))...),
			"cannot be right"},
		"impossible key": {huge, "cannot be right"},
	} {
		path := filepath.Join(t.TempDir(), "x.gguf")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := shape.FromGGUF(path)
		if fault.Class(err) != codes.ClassCorruptModel || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := shape.FromGGUF(filepath.Join(t.TempDir(), "none.gguf")); fault.Class(err) != codes.ClassModelNotFound {
		t.Errorf("missing: %v", err)
	}
}

func BenchmarkFill(b *testing.B) {
	for _, d := range allDTypes {
		b.Run(string(d), func(b *testing.B) {
			buf := make([]byte, (4<<20)/d.Info().Size*d.Info().Size)
			t := shape.Tensor{Tensor: gguf.Tensor{Name: "x", DType: d}}
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				drawer{1}.fill(buf, t, 0)
			}
		})
	}
}
