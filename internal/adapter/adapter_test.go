package adapter_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/adapter"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/shape"
)

func tiny(t *testing.T) shape.Config {
	t.Helper()
	named, err := shape.Lookup("tiny-llama")
	if err != nil {
		t.Fatal(err)
	}
	return named.Config
}

func folder(t *testing.T, c shape.Config) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := model.WriteHFDir(dir, c, gguf.Float32); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestOpen: a random adapter has a pair of matrices for every projection, with its own file's
// hash known when the folder
// is named again, the same bytes for the same seed, and is removed.
func TestOpen(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	c := tiny(t)
	dir := folder(t, c)
	var files [][]byte
	for _, seed := range []uint64{1, 1, 2} {
		a, err := adapter.Open("vllm.lora", "random:4", dir, seed)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Remove()
		weights, err := os.ReadFile(filepath.Join(a.Path, "adapter_model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, weights)
		again, err := adapter.Open("vllm.lora", a.Path, dir, 1)
		if err != nil || again.Rank != 4 || len(again.SHA256) != 64 || again.Folders() != nil || len(a.Folders()) != 1 {
			t.Errorf("the folder again: %+v, %v", again, err)
		}
	}
	if !bytes.Equal(files[0], files[1]) || bytes.Equal(files[0], files[2]) {
		t.Error("the weights do not follow the seed")
	}
	size := binary.LittleEndian.Uint64(files[0])
	var header map[string]struct {
		Shape   []int
		Offsets []int `json:"data_offsets"`
	}
	if err := json.Unmarshal(files[0][8:8+size], &header); err != nil {
		t.Fatal(err)
	}
	k := header["base_model.model.model.layers.1.self_attn.k_proj.lora_B.weight"]
	if len(header) != 8*c.Layers || len(k.Shape) != 2 || k.Shape[0] != c.KVHeads*c.HeadDim || k.Shape[1] != 4 {
		t.Errorf("%d matrices, one is %+v", len(header), k)
	}
	data, end := files[0][8+size:], 0
	for _, h := range header {
		end = max(end, h.Offsets[1])
	}
	if end != len(data) {
		t.Errorf("the matrices end at %d of %d bytes", end, len(data))
	}
}

// TestOpenGGUF: a random adapter has the matrices, the names and the scale that llama.cpp expects.
func TestOpenGGUF(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	c := tiny(t)
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := model.WriteGGUF(t.Context(), path, c, gguf.Float16, 1, nil); err != nil {
		t.Fatal(err)
	}
	a, err := adapter.OpenGGUF(t.Context(), "llamacpp.lora", "random:4", path, 1)
	if err != nil {
		t.Fatal(err)
	}
	h, err := gguf.ReadFile(a.Path)
	if err != nil {
		t.Fatal(err)
	}
	if h.Text("general.type") != "adapter" || h.Text("adapter.type") != "lora" ||
		h.Text("general.architecture") != "llama" || h.Float("adapter.lora.alpha") != 4 ||
		len(h.Tensors) != 8*c.Layers {
		t.Errorf("%d matrices of %q", len(h.Tensors), h.Text("general.type"))
	}
	for _, m := range h.Tensors {
		if m.Name == "blk.1.attn_k.weight.lora_b" && (m.Shape[0] != 4 || int(m.Shape[1]) != c.KVHeads*c.HeadDim) ||
			m.Name == "blk.1.attn_k.weight.lora_a" && (int(m.Shape[0]) != c.Hidden || m.Shape[1] != 4) {
			t.Errorf("%s is %v", m.Name, m.Shape)
		}
	}
	again, err := adapter.OpenGGUF(t.Context(), "llamacpp.lora", a.Path, path, 1)
	if err != nil || again.Rank != 4 || len(again.SHA256) != 64 {
		t.Errorf("the file again: %+v, %v", again, err)
	}
	if _, err := adapter.OpenGGUF(t.Context(), "llamacpp.lora", path, path, 1); err == nil ||
		!strings.Contains(err.Error(), "is not a LoRA adapter") {
		t.Errorf("a model as an adapter: %v", err)
	}
	a.Remove()
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "llem-*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestRefused: what no engine could load is refused with the key, what is wrong and what to do.
func TestRefused(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := folder(t, tiny(t))
	with := func(config string) string {
		out := t.TempDir()
		if err := os.WriteFile(filepath.Join(out, "adapter_config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		return out
	}
	for asked, want := range map[string]string{
		"random:999":                       "inputs and",
		t.TempDir():                        "has no adapter_config.json",
		with(`{"peft_type":"LORA","r":8}`): "has no adapter_model.safetensors",
		with(`{"peft_type":"IA3"}`):        `peft_type "IA3"`,
		with(`{`):                          "read adapter_config.json",
	} {
		_, err := adapter.Open("sglang.lora", asked, dir, 1)
		f := fault.As(err)
		if err == nil || !strings.HasPrefix(f.Error(), "sglang.lora "+asked) || !strings.Contains(f.Error(), want) ||
			f.Next == "" {
			t.Errorf("%s: %v (next %q), want %s", asked, err, f.Next, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "llem-*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
