package model

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/gguf/gguftest"
	"github.com/llenergymeasure/llem/internal/hub/hubtest"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/note"
)

// hfNames maps GGUF tensor names to the names in Hugging Face files. Gemma has another name for the second norm.
func hfNames(gemma bool) *strings.Replacer {
	pairs := []string{
		"token_embd", "model.embed_tokens", "output_norm", "model.norm", "blk.", "model.layers.",
		"attn_norm", "input_layernorm", "attn_q_norm", "self_attn.q_norm", "attn_k_norm", "self_attn.k_norm",
		"attn_q", "self_attn.q_proj", "attn_k", "self_attn.k_proj", "attn_v", "self_attn.v_proj", "attn_output",
		"self_attn.o_proj",
		"ffn_gate", "mlp.gate_proj", "ffn_up", "mlp.up_proj", "ffn_down", "mlp.down_proj",
		"post_attention_norm", "post_attention_layernorm", "post_ffw_norm", "post_feedforward_layernorm",
	}
	if gemma {
		return strings.NewReplacer(append(pairs, "ffn_norm", "pre_feedforward_layernorm", "output", "lm_head")...)
	}
	return strings.NewReplacer(append(pairs, "ffn_norm", "post_attention_layernorm", "output", "lm_head")...)
}

// writeSafetensors adds model.safetensors with random weights to dir.
func writeSafetensors(t *testing.T, dir string, c shape.Config) {
	t.Helper()
	header := map[string]any{}
	var data bytes.Buffer
	for _, x := range c.Tensors(gguf.BFloat16) {
		x.DType = gguf.BFloat16
		shape := make([]int64, len(x.Shape))
		for i, n := range x.Shape {
			shape[len(shape)-1-i] = n
		}
		from := data.Len()
		buf := make([]byte, x.Bytes())
		if !x.Ones {
			drawer{1}.fill(buf, x, 0)
		}
		data.Write(buf)
		header[hfNames(c.Gemma()).Replace(x.Name)] = map[string]any{"dtype": "BF16", "shape": shape,
			"data_offsets": []int{from, data.Len()}}
	}
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(h)))
	out = append(append(out, h...), data.Bytes()...)
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), out, 0o600); err != nil {
		t.Fatal(err)
	}
}

// hfFolder writes a complete Hugging Face folder of a tiny shape.
func hfFolder(t *testing.T, name string) (string, shape.Config) {
	t.Helper()
	s, err := shape.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "my-"+name)
	if err := WriteHFDir(dir, s.Config, gguf.BFloat16); err != nil {
		t.Fatal(err)
	}
	writeSafetensors(t, dir, s.Config)
	return dir, s.Config
}

func TestResolveRandom(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	got, err := s.Resolve(context.Background(), Request{Model: "Random:Tiny-Llama", DType: "q8_0", Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	tiny, _ := shape.Lookup("tiny-llama")
	want := Resolved{Name: "random:tiny-llama", Kind: KindRandom, Format: FormatGGUF, Path: got.Path, DType: gguf.Q8_0,
		Synthetic: true, Config: tiny.Config}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	hf, err := s.Resolve(context.Background(), Request{Model: "random:tiny-llama", Format: FormatHF})
	if err != nil || hf.Format != FormatHF || hf.DType != gguf.BFloat16 {
		t.Errorf("%+v, %v", hf, err)
	}
	if _, err := shape.FromHFFolder(hf.Path); err != nil {
		t.Error(err)
	}
}

func TestResolveGGUFFile(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	tiny, _ := shape.Lookup("tiny-qwen3")
	path := writeTiny(t, tiny.Config, gguf.Q4_0, 1)
	got, err := s.Resolve(context.Background(), Request{Model: path})
	if err != nil || got.Kind != KindGGUF || got.DType != gguf.Q4_0 || got.Synthetic ||
		got.Config.Parameters() != tiny.Config.Parameters() {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.Resolve(context.Background(),
		Request{Model: path, Format: FormatHF}); fault.Class(err) != codes.ClassUnsupportedModel {
		t.Errorf("for Python: %v", err)
	}
	// The same file alone in a folder, as downloads often are.
	got, err = s.Resolve(context.Background(), Request{Model: filepath.Dir(path)})
	if err != nil || got.Path != path {
		t.Errorf("folder: %+v, %v", got, err)
	}
}

func TestResolveFolder(t *testing.T) {
	for _, name := range []string{"tiny-llama", "tiny-qwen2", "tiny-qwen3", "tiny-gemma3"} {
		t.Run(name, func(t *testing.T) {
			s := Store{Dir: t.TempDir()}
			dir, config := hfFolder(t, name)
			hf, err := s.Resolve(context.Background(), Request{Model: dir, Format: FormatHF})
			if err != nil || hf.Path != dir || hf.Kind != KindFolder || hf.Config != config {
				t.Errorf("hf: %+v, %v", hf, err)
			}
			got, err := s.Resolve(context.Background(), Request{Model: dir})
			if err != nil {
				t.Fatal(err)
			}
			if got.DType != gguf.BFloat16 || got.Config.Parameters() != config.Parameters() ||
				got.Config.Arch != config.Arch {
				t.Errorf("gguf: %+v", got)
			}
			checkWithEngineDecoder(t, got.Path, config)
			again, err := s.Resolve(context.Background(), Request{Model: dir})
			if err != nil || again.Path != got.Path {
				t.Errorf("second time: %s, %v", again.Path, err)
			}
			// A changed folder is converted again.
			writeFile(t, filepath.Join(dir, "generation_config.json"), `{"changed": true}`)
			if third, err := s.Resolve(context.Background(), Request{Model: dir}); err != nil ||
				third.Path == got.Path {
				t.Errorf("after a change: %s, %v", third.Path, err)
			}
		})
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestResolveMistakes(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	t.Setenv("HF_HUB_OFFLINE", "1")
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	root := t.TempDir()
	dir := func(name, config string) string {
		d := filepath.Join(root, name)
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if config != "" {
			writeFile(t, filepath.Join(d, "config.json"), config)
		}
		return d
	}
	llamaConfig := `{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":64,` +
		`"num_hidden_layers":2,"num_attention_heads":4,"intermediate_size":192,"vocab_size":512}`
	damaged := dir("damaged", llamaConfig)
	writeFile(t, filepath.Join(damaged, "model.safetensors"), "not safetensors at all")
	writeFile(t, filepath.Join(damaged, "tokenizer.json"), "{}")
	quantized := dir("quantized",
		strings.Replace(llamaConfig, "{", `{"quantization_config":{"quant_method":"awq"},`, 1))
	writeFile(t, filepath.Join(root, "notes.txt"), "hello")
	writeFile(t, filepath.Join(root, "empty.gguf"), "")
	for name, c := range map[string]struct {
		model, format string
		class         note.Class
		text          string
	}{
		"nothing":            {"", "", codes.ClassModelNotFound, "no model"},
		"bare word":          {"llama3", "", codes.ClassModelNotFound, "has an owner"},
		"shape, no prefix":   {"smollm2-135m", "", codes.ClassModelNotFound, "random:smollm2-135m"},
		"misspelt shape":     {"random:smolm2-135m", "", codes.ClassModelNotFound, "smollm2-135m"},
		"missing path":       {"./no/such", "", codes.ClassModelNotFound, "no such file or folder: "},
		"missing gguf":       {"some/model.gguf", "", codes.ClassModelNotFound, "no such file or folder: "},
		"folder, no config":  {dir("bare", ""), "", codes.ClassModelNotFound, "no config.json"},
		"folder, bad JSON":   {dir("json", "{"), "", codes.ClassCorruptModel, "JSON"},
		"folder, empty":      {dir("void", ""), "hf", codes.ClassModelNotFound, "no config.json"},
		"folder, no weights": {dir("thin", llamaConfig), "", codes.ClassModelNotFound, "no weights"},
		"folder, unknown": {dir("odd", `{"architectures":["OddForCausalLM"],"model_type":"odd"}`), "",
			codes.ClassUnsupportedModel, "LlamaForCausalLM"},
		"folder, damaged":     {damaged, "", codes.ClassCorruptModel, "cannot convert"},
		"folder, quantized":   {quantized, "", codes.ClassUnsupportedDType, "quantized"},
		"not a model file":    {filepath.Join(root, "notes.txt"), "", codes.ClassCorruptModel, "GGUF"},
		"empty gguf":          {filepath.Join(root, "empty.gguf"), "", codes.ClassCorruptModel, "empty"},
		"hub, offline":        {"org/name", "", codes.ClassOffline, "HF_HUB_OFFLINE"},
		"hub gguf for Python": {"org/name:x.gguf", "hf", codes.ClassUnsupportedModel, "leave out"},
	} {
		_, err := s.Resolve(context.Background(), Request{Model: c.model, Format: c.format})
		if fault.Class(err) != c.class || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: class %q: %v", name, fault.Class(err), err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir, "models", ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestResolveFolderInOtherFormats converts real weights to each format and
// compares the values.
func TestResolveFolderInOtherFormats(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	dir, config := hfFolder(t, "tiny-qwen3")
	plain, err := s.Resolve(context.Background(), Request{Model: dir})
	if err != nil {
		t.Fatal(err)
	}
	const name = "blk.1.ffn_down.weight"
	want := gguftest.Values(t, plain.Path, name)
	for d, tolerance := range map[gguf.DType]float32{gguf.Float32: 0, gguf.BFloat16: 0, gguf.Float16: 1e-5,
		gguf.Q8_0: 0.0005, gguf.Q4_0: 0.011} {
		got, err := s.Resolve(context.Background(), Request{Model: dir, DType: string(d)})
		if err != nil {
			t.Fatal(err)
		}
		if got.DType != d || got.Config.Arch != shape.ArchQwen3 || got.Config.Parameters() != config.Parameters() {
			t.Errorf("%s: %+v", d, got)
		}
		checkWithEngineDecoder(t, got.Path, config)
		for i, x := range gguftest.Values(t, got.Path, name) {
			if max(x-want[i], want[i]-x) > tolerance {
				t.Fatalf("%s: value %d is %g, want %g", d, i, x, want[i])
			}
		}
		for _, x := range gguftest.Values(t, got.Path, "blk.0.attn_q_norm.weight") {
			if x != 0 { // as in the safetensors
				t.Fatalf("%s: norm weight %g", d, x)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir, "models", "*.tmp-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := s.Resolve(context.Background(),
		Request{Model: dir, DType: "fp8"}); fault.Class(err) != codes.ClassUnsupportedDType {
		t.Errorf("fp8: %v", err)
	}
}

// TestResolveUnknownForPython: an engine may try a model that this package cannot count.
func TestResolveUnknownForPython(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "config.json"), `{"architectures":["OddForCausalLM"],"model_type":"odd"}`)
	got, err := Store{Dir: t.TempDir()}.Resolve(context.Background(), Request{Model: dir, Format: FormatHF})
	if err != nil || got.ConfigErr == nil || got.Path != dir {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestResolveHub(t *testing.T) {
	dir, config := hfFolder(t, "tiny-llama")
	files := map[string][]byte{}
	for _, name := range []string{"config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
		"model.safetensors"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	h := hubtest.New(t, files)
	s := Store{Dir: t.TempDir()}
	for _, format := range []string{FormatHF, FormatGGUF} {
		got, err := s.Resolve(context.Background(), Request{Model: "org/name", Format: format, Endpoint: h.API.URL})
		if err != nil {
			t.Fatal(err)
		}
		if got.Kind != KindHub || got.Revision != hubtest.Commit || got.Name != "org/name" || got.Format != format ||
			got.Config.Parameters() != config.Parameters() {
			t.Errorf("%+v", got)
		}
	}
}

func TestResolveHubGGUF(t *testing.T) {
	tiny, _ := shape.Lookup("tiny-llama")
	read := func(d gguf.DType) []byte {
		b, err := os.ReadFile(writeTiny(t, tiny.Config, d, 1))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	h := hubtest.New(t, map[string][]byte{"m-f16.gguf": read(gguf.Float16), "m-Q8_0.gguf": read(gguf.Q8_0)})
	s := Store{Dir: t.TempDir()}
	for model, want := range map[string]gguf.DType{"org/name": gguf.Float16, "org/name:m-Q8_0.gguf": gguf.Q8_0} {
		got, err := s.Resolve(context.Background(), Request{Model: model, Endpoint: h.API.URL, HTTP: h.API.Client()})
		if err != nil || got.DType != want {
			t.Errorf("%s: %+v, %v", model, got, err)
		}
	}
	got, err := s.Resolve(context.Background(), Request{Model: "org/name", DType: "q8_0", Endpoint: h.API.URL})
	if err != nil || got.DType != gguf.Q8_0 {
		t.Errorf("with both on disk: %+v, %v", got, err)
	}
}

// TestCheckWeights: files that replace weights are named before a run, for every engine.
func TestCheckWeights(t *testing.T) {
	const config = `{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, ` +
		`"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 256}`
	for text, want := range map[string]string{
		"": "", // planned from the configuration alone
		"\x08\x00\x00\x00\x00\x00\x00\x00{}      ":                              "",
		"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n": "git lfs pull",
		"<!DOCTYPE html><html>Sign in</html>":                                   "open it in a browser",
	} {
		dir := t.TempDir()
		err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600)
		if text != "" {
			err = errors.Join(err, os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte(text), 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{FormatGGUF, FormatHF} {
			err := Check(Request{Model: dir, Format: format})
			f, refused := errors.AsType[*fault.Error](err)
			if refused != (want != "") || refused && (f.Class != codes.ClassCorruptModel ||
				!strings.Contains(f.Next, want)) {
				t.Errorf("%q as %s: %v, want %q", text, format, err, want)
			}
		}
	}
}
