package model

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/note"
)

func TestFromHFConfigForms(t *testing.T) {
	base := `"hidden_size":4096,"num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,` +
		`"intermediate_size":14336,"vocab_size":32000`
	for name, c := range map[string]struct {
		json  string
		check func(shape.Config) bool
	}{
		"mistral window": {`{"model_type":"mistral","sliding_window":4096,` + base + `}`,
			func(c shape.Config) bool { return c.SlidingWindow == 4096 && c.GlobalEvery == 0 && c.HeadDim == 128 }},
		"null is absent": {`{"model_type":"mistral","sliding_window":null,"head_dim":null,` + base + `}`,
			func(c shape.Config) bool { return c.SlidingWindow == 0 && c.HeadDim == 128 }},
		"qwen2 window off": {`{"model_type":"qwen2","sliding_window":32768,"use_sliding_window":false,` + base + `}`,
			func(c shape.Config) bool { return c.SlidingWindow == 0 && c.QKVBias }},
		"mixtral": {`{"model_type":"mixtral","num_local_experts":8,"num_experts_per_tok":2,` + base + `}`,
			func(c shape.Config) bool { return c.Parameters().Total == 46_702_792_704 }},
		// Layers 0 and 1 of four are dense.
		"dense and sparse layers": {`{"model_type":"qwen3_moe","mlp_only_layers":[0,1],"hidden_size":64,` +
			`"num_hidden_layers":4,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":16,"num_experts":8,` +
			`"num_experts_per_tok":2,"moe_intermediate_size":32,"intermediate_size":128,"vocab_size":100}`,
			func(c shape.Config) bool {
				attention := 4 * (2*64*64 + 2*32*64 + 2*16 + 2*64)
				return c.Parameters().Total == int64(2*100*64+64+attention+2*3*64*128+2*(8*64+8*3*64*32)) &&
					c.Parameters().Active == c.Parameters().Total-2*6*3*64*32
			}},
		"rope of version 5": {`{"model_type":"llama","rope_parameters":{"rope_type":"default",` +
			`"rope_theta":500000.0},` + base + `}`, func(c shape.Config) bool { return c.RopeTheta == 5e5 }},
		"gemma3, two ropes": {`{"model_type":"gemma3_text",` +
			`"rope_parameters":{"full_attention":{"rope_theta":7.0},` +
			`"sliding_attention":{"rope_theta":3.0}},` + base +
			`}`, func(c shape.Config) bool { return c.RopeTheta == 7 && c.RopeLocalTheta == 3 }},
		"gemma3 layers": {`{"model_type":"gemma3_text","layer_types":["sliding_attention",` +
			`"sliding_attention","full_attention"],` + base +
			`}`, func(c shape.Config) bool { return c.GlobalEvery == 3 }},
		// google/gemma-3-4b-pt: 3,880,263,168 of its 4,300,079,472 parameters are the language model.
		"gemma3 4b": {`{"model_type":"gemma3","text_config":{"hidden_size":2560,"intermediate_size":10240,` +
			`"model_type":"gemma3_text","num_hidden_layers":34,` +
			`"sliding_window":1024}}`, func(c shape.Config) bool { return c.Parameters().Total == 3_880_263_168 }},
		// microsoft/Phi-3-mini-4k-instruct: 3,821,079,552 parameters.
		"phi3": {`{"model_type":"phi3","hidden_size":3072,"num_hidden_layers":32,"num_attention_heads":32,` +
			`"num_key_value_heads":32,"intermediate_size":8192,"vocab_size":32064,` +
			`"sliding_window":2047}`, func(c shape.Config) bool { return c.Parameters().Total == 3_821_079_552 }},
	} {
		got, err := shape.FromHFConfig([]byte(c.json))
		if err != nil || !c.check(got) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestFromHFConfigMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		json  string
		class note.Class
		text  string
	}{
		"empty":     {" ", codes.ClassCorruptModel, "empty"},
		"not JSON":  {"<html>", codes.ClassCorruptModel, "JSON"},
		"a list":    {"[]", codes.ClassCorruptModel, "JSON"},
		"null":      {"null", codes.ClassUnsupportedModel, "model_type"},
		"unknown":   {`{"model_type":"novel"}`, codes.ClassUnsupportedModel, "novel"},
		"no sizes":  {`{"model_type":"llama"}`, codes.ClassCorruptModel, "hidden size is 0"},
		"text size": {`{"model_type":"llama","hidden_size":"big"}`, codes.ClassCorruptModel, "hidden_size"},
		"fraction":  {`{"model_type":"llama","hidden_size":1.5}`, codes.ClassCorruptModel, "hidden_size"},
		"odd heads": {`{"model_type":"llama","hidden_size":64,"num_hidden_layers":1,"num_attention_heads":4,` +
			`"num_key_value_heads":3,"intermediate_size":8,"vocab_size":9}`, codes.ClassCorruptModel, "share"},
		"huge numbers": {`{"model_type":"llama","hidden_size":1e300}`, codes.ClassCorruptModel, "hidden_size"},
	} {
		_, err := shape.FromHFConfig([]byte(c.json))
		if fault.Class(err) != c.class || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: class %q: %v", name, fault.Class(err), err)
		}
	}
	if _, err := shape.FromHFFolder(filepath.Join(t.TempDir(), "none")); fault.Class(err) != codes.ClassModelNotFound {
		t.Errorf("missing folder: %v", err)
	}
}

func FuzzFromHFConfig(f *testing.F) {
	for _, s := range shape.Shapes() {
		m, err := hfConfig(s.Config, gguf.BFloat16)
		if err != nil {
			f.Fatal(err)
		}
		var b bytes.Buffer
		b.WriteString(`{"model_type":"` + m["model_type"].(string) + `","hidden_size":64}`)
		f.Add(b.Bytes())
	}
	configs, _ := filepath.Glob(filepath.Join("../shape/testdata", "configs", "*", "config.json"))
	for _, path := range configs {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"model_type":"gemma3","text_config":{"hidden_size":2560,"intermediate_size":10240,` +
		`"num_hidden_layers":34}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := shape.FromHFConfig(data)
		if err != nil {
			return
		}
		// Every accepted config can be used in computations.
		if p := c.Parameters(); p.Total <= 0 || p.Active <= 0 || p.Active > p.Total {
			t.Errorf("%+v has %+v", c, p)
		}
		if x := c.FLOPs([]shape.Length{{Prompt: 10, Output: 10}}); !(x.Total() > 0) {
			t.Errorf("%+v needs %+v", c, x)
		}
		c.EstimateBytes("q4_0", 1, 100)
	})
}

// smallGGUF is the header of a small model, and the size of its whole file.
func smallGGUF(t testing.TB, name string) ([]byte, int64) {
	t.Helper()
	s, err := shape.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	c := s.Config
	c.Vocab, c.Layers, c.Hidden, c.FFN = firstFiller, 1, 32, 32
	path := filepath.Join(t.TempDir(), "x.gguf")
	if err := WriteGGUF(t.Context(), path, c, gguf.Q8_0, 1, nil); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := gguf.Read(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return file[:h.Data], int64(len(file))
}

// useHeader uses a header in every possible way, and reports whether it was accepted.
func useHeader(data []byte, size int64) bool {
	h, err := gguf.Read(bytes.NewReader(data), size)
	if err != nil {
		return false
	}
	h.DType()
	c, err := shape.ConfigOf(h)
	if err != nil {
		return false
	}
	_ = c.Parameters()
	_ = c.FLOPs([]shape.Length{{Prompt: 10, Output: 10}})
	return true
}

func FuzzGGUF(f *testing.F) {
	for _, name := range []string{"tiny-llama", "tiny-gemma3"} {
		head, _ := smallGGUF(f, name)
		f.Add(head)
		f.Add(head[:len(head)/2])
	}
	f.Add([]byte("GGUF\x03\x00\x00\x00"))
	f.Fuzz(func(_ *testing.T, data []byte) { useHeader(data, int64(len(data))+1<<16) })
}

// TestMutatedHeaders is a small fuzz run that always uses the same inputs.
func TestMutatedHeaders(t *testing.T) {
	good, size := smallGGUF(t, "tiny-llama")
	r := rand.New(rand.NewPCG(1, 2))
	accepted := 0
	for range 3000 {
		b := bytes.Clone(good)
		for range 1 + r.IntN(4) {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
		if useHeader(b, size) {
			accepted++
		}
	}
	// Many changes hit the text of a token, which is not checked here.
	if accepted == 0 || accepted == 3000 {
		t.Errorf("%d of 3000 were accepted", accepted)
	}
}

// TestFromGGUFOfFolder passes things that are not GGUF files.
func TestFromGGUFOfFolder(t *testing.T) {
	if _, err := shape.FromGGUF(t.TempDir()); fault.Class(err) != codes.ClassModelNotFound {
		t.Errorf("%v", err)
	}
	path := filepath.Join(t.TempDir(), "x.gguf")
	if err := os.WriteFile(path, []byte("GGUF"), 0o200); err != nil {
		t.Fatal(err)
	}
	if _, err := shape.FromGGUF(path); err == nil {
		t.Error("half a header was accepted")
	}
}
