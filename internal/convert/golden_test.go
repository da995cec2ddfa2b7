package convert

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ollama/ollama/fs/ggml"

	"github.com/llenergymeasure/llem/internal/gguf"
)

// description is the content of a GGUF file, read by the engine's own decoder.
type description struct {
	Keys    map[string]string // type and value, or the hash of a long one
	Tensors []string          // name, type, shape, hash of the data; in the order of names
}

func describe(t testing.TB, path string) description {
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
	d := description{Keys: map[string]string{}}
	for k, v := range g.KV() {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 100 {
			sum := sha256.Sum256(b)
			b = fmt.Appendf(nil, "%d bytes %x", len(b), sum[:8])
		}
		d.Keys[k] = fmt.Sprintf("%T %s", v, b)
	}
	for _, x := range g.Tensors().Items() {
		h := sha256.New()
		data := io.NewSectionReader(f, int64(g.Tensors().Offset+x.Offset), int64(x.Size()))
		if n, err := io.Copy(h, data); err != nil || n != int64(x.Size()) {
			t.Fatalf("%s: %d bytes, %v", x.Name, n, err)
		}
		d.Tensors = append(d.Tensors, fmt.Sprintf("%s %s %v %.8x", x.Name, x.Type(), x.Shape, h.Sum(nil)))
	}
	slices.Sort(d.Tensors)
	return d
}

// convertTo converts the folder with this package's converter.
func convertTo(t testing.TB, dir string, dtype gguf.DType) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := Folder(t.Context(), dir, path, testOptions(dir, dtype)); err != nil {
		t.Fatal(err)
	}
	return path
}

// testOptions returns options with the rotary bases of the folder's config.json.
func testOptions(dir string, dtype gguf.DType) Options {
	var c struct {
		Theta float64 `json:"rope_theta"`
		Local float64 `json:"rope_local_base_freq"`
	}
	b, _ := os.ReadFile(filepath.Join(dir, "config.json"))
	_ = json.Unmarshal(b, &c)
	return Options{DType: dtype, RopeTheta: c.Theta, RopeLocalTheta: c.Local}
}

// goldenCases calls f for every golden file, the folder that it is made of, and the format of its matrices.
func goldenCases(t *testing.T, f func(t *testing.T, file, dir string, dtype gguf.DType)) {
	t.Helper()
	other := []string{"llama3-bf16", "llama2-f16-sharded", "qwen3-bf16-sharded", "gemma3-f16"}
	for name, c := range checkpoints() {
		formats := []gguf.DType{""}
		if slices.Contains(other, name) {
			formats = append(formats, gguf.Q8_0, gguf.Q4_0, gguf.BFloat16, gguf.Float32)
		}
		for _, dtype := range formats {
			file := name + ".json"
			if dtype != "" {
				file = name + "-" + string(dtype) + ".json"
			}
			t.Run(file, func(t *testing.T) { f(t, filepath.Join("testdata", file), c.write(t), dtype) })
		}
	}
}

// TestGolden compares every kind of checkpoint with the output of the converter of Ollama 0.17.4, for which the
// engine was written.
func TestGolden(t *testing.T) {
	goldenCases(t, func(t *testing.T, file, dir string, dtype gguf.DType) {
		var want description
		b, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(b, &want)
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, describe(t, convertTo(t, dir, dtype))); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}
