package convert

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/gguf/gguftest"
	"github.com/llenergymeasure/llem/note"
)

// rewrite changes one file of a folder; nil removes it.
type rewrite struct {
	name string
	to   func(old string) string
}

func put(name, text string) rewrite { return rewrite{name, func(string) string { return text }} }

func replace(name, old, text string) rewrite {
	return rewrite{name, func(s string) string { return strings.Replace(s, old, text, 1) }}
}

func remove(name string) rewrite { return rewrite{name, nil} }

func (r rewrite) apply(t testing.TB, dir string) {
	t.Helper()
	path := filepath.Join(dir, r.name)
	if r.to == nil {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, _ := os.ReadFile(path)
	text := r.to(string(old))
	if text == string(old) {
		t.Fatalf("%s stays as it is", r.name)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// header gives a safetensors file another header for the same tensors.
func header(old, text string) rewrite {
	return rewrite{"model.safetensors", func(s string) string {
		n := binary.LittleEndian.Uint64([]byte(s))
		head := strings.Replace(s[8:8+n], old, text, 1)
		if head == s[8:8+n] {
			return s
		}
		return string(binary.LittleEndian.AppendUint64(nil, uint64(len(head)))) + head + s[8+n:]
	}}
}

// refusal is a folder that cannot be converted.
type refusal struct {
	of     string // the checkpoint
	change rewrite
	class  note.Class
	text   string
}

func refusals() map[string]refusal {
	const llama, qwen, spm = "llama3-bf16", "qwen2-bf16", "llama2-f16-sharded"
	const config, weights, tokens = "config.json", "model.safetensors", "tokenizer.json"
	norm := `"model.norm.weight":{"data_offsets":[422400,422528],"dtype":"BF16","shape":[64]}`
	return map[string]refusal{
		"no config": {llama, remove(config), codes.ClassModelNotFound, "cannot read the configuration"},
		"not JSON":  {llama, put(config, "{"), codes.ClassCorruptModel, "not valid JSON"},
		"unknown class": {llama, replace(config, "LlamaFor", "OddFor"), codes.ClassUnsupportedModel,
			"LlamaForCausalLM"},
		"no class": {llama, put(config, "{}"), codes.ClassUnsupportedModel, `architecture ""`},
		"quantized": {llama, replace(config, "{", `{"quantization_config":{"quant_method":"awq"},`),
			codes.ClassUnsupportedDType, "quantized"},
		"size as text": {llama, replace(config, `"hidden_size":64`, `"hidden_size":"big"`), codes.ClassCorruptModel,
			"hidden_size"},
		"half a layer": {llama, replace(config, `"num_hidden_layers":11`, `"num_hidden_layers":1.5`),
			codes.ClassCorruptModel,
			"num_hidden_layers"},
		"negative heads": {llama, replace(config, `"num_attention_heads":4`, `"num_attention_heads":-4`),
			codes.ClassCorruptModel, "num_attention_heads"},
		"no heads": {llama, replace(config, `"num_attention_heads":4`, `"num_attention_heads":0`),
			codes.ClassCorruptModel,
			"heads"},
		"odd heads": {llama, replace(config, `"num_attention_heads":4`, `"num_attention_heads":3`),
			codes.ClassCorruptModel,
			"cannot be shared by 3 heads"},
		"yarn for Qwen": {qwen, replace(config, `"mrope_section":[2,3,3],"type":"mrope"`, `"factor":4,"type":"yarn"`),
			codes.ClassUnsupportedModel, `rope_scaling "yarn"`},
		"new yarn": {qwen, replace(config, `"mrope_section":[2,3,3],"type":"mrope"`,
			`"factor":4,"rope_type":"yarn"`), codes.ClassUnsupportedModel, `rope_scaling "yarn"`},
		"odd scaling": {qwen, replace(config, `"mrope_section":[2,3,3],"type":"mrope"`, `"type":"dynamic"`),
			codes.ClassUnsupportedModel, `rope_scaling "dynamic"`},

		"no weights": {llama, remove(weights), codes.ClassModelNotFound, "no weights"},
		"rubbish": {llama, put(weights, "not safetensors at all"), codes.ClassCorruptModel,
			"not a safetensors file"},
		"empty":           {llama, put(weights, ""), codes.ClassCorruptModel, "not a safetensors file"},
		"header not JSON": {llama, header("{", "["), codes.ClassCorruptModel, "its header"},
		"truncated": {llama, rewrite{weights, func(s string) string { return s[:len(s)-10] }}, codes.ClassCorruptModel,
			"truncated"},
		"quantized weights": {llama, header(`"dtype":"BF16"`, `"dtype":"F8_E4M3"`), codes.ClassUnsupportedDType,
			"F8_E4M3"},
		"whole numbers": {llama, header(`"dtype":"BF16"`, `"dtype":"I64"`), codes.ClassUnsupportedDType, "I64"},
		"scalar":        {llama, header(`"shape":[300,64]`, `"shape":[]`), codes.ClassUnsupportedDType, "[]"},
		"shape and place": {llama, header(`"shape":[300,64]`, `"shape":[300,65]`), codes.ClassCorruptModel,
			"cannot be bytes"},
		"name given twice": {llama,
			header(`"model.norm.weight"`,
				`"output_norm.weight":`+strings.SplitN(norm, ":", 2)[1]+`,"model.norm.weight"`),
			codes.ClassCorruptModel, ""},
		"missing file": {spm, remove("model-00002-of-00003.safetensors"), codes.ClassCorruptModel, "not complete"},
		"missing layer": {llama, replace(config, `"num_hidden_layers":11`, `"num_hidden_layers":12`),
			codes.ClassCorruptModel,
			"blk.11.attn_q.weight"},

		"no tokenizer":       {llama, remove(tokens), codes.ClassCorruptModel, "no tokenizer.json"},
		"tokenizer not JSON": {llama, put(tokens, "{"), codes.ClassCorruptModel, "tokenizer.json"},
		"odd merges":         {llama, replace(tokens, `"merges":[`, `"merges":[7,`), codes.ClassCorruptModel, "merges"},
		"odd template": {llama, replace("tokenizer_config.json", `"{{ messages }}"`, "7"), codes.ClassCorruptModel,
			"chat_template"},
		"odd flag": {llama,
			replace("tokenizer_config.json", `"add_bos_token": true`,
				`"add_bos_token": "yes"`), codes.ClassCorruptModel,
			"add_bos_token"},
		"odd pieces":       {spm, put("tokenizer.model", "\x0a\xff"), codes.ClassCorruptModel, "SentencePiece"},
		"added elsewhere":  {spm, put("added_tokens.json", `{"<new>": 5}`), codes.ClassCorruptModel, "<new>"},
		"added with a gap": {spm, put("added_tokens.json", `{"<new>": 270}`), codes.ClassCorruptModel, "270"},
	}
}

func TestRefusals(t *testing.T) {
	all := checkpoints()
	for name, c := range refusals() {
		t.Run(name, func(t *testing.T) {
			dir := all[c.of].write(t)
			c.change.apply(t, dir)
			out := t.TempDir()
			err := Folder(t.Context(), dir, filepath.Join(out, "m.gguf"), testOptions(dir, ""))
			if fault.Class(err) != c.class || !strings.Contains(err.Error(), c.text) {
				t.Errorf("class %q: %v", fault.Class(err), err)
			}
			if left, _ := os.ReadDir(out); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestPyTorchWeights: pickles are not read and do not count as weights.
func TestPyTorchWeights(t *testing.T) {
	dir := checkpoints()["llama3-bf16"].write(t)
	if err := os.Rename(filepath.Join(dir, "model.safetensors"), filepath.Join(dir, "pytorch_model.bin")); err != nil {
		t.Fatal(err)
	}
	err := Folder(t.Context(), dir, filepath.Join(t.TempDir(), "m.gguf"), Options{})
	if fault.Class(err) != codes.ClassUnsupportedModel || !strings.Contains(err.Error(), "PyTorch") {
		t.Errorf("%v", err)
	}
}

// TestWeightFiles: an index selects the files that belong to the model, and a single file is a whole model.
func TestWeightFiles(t *testing.T) {
	sharded := checkpoints()["qwen3-bf16-sharded"]
	want := describe(t, convertTo(t, sharded.write(t), ""))
	stray := sharded.write(t)
	put("consolidated.safetensors", "a copy in another format").apply(t, stray)
	loose := sharded.write(t)
	remove("model.safetensors.index.json").apply(t, loose)
	whole := sharded
	whole.shards = 0
	single := whole.write(t)
	put("model.safetensors.index.json", `{"weight_map": {"model.norm.weight": "gone.safetensors"}}`).apply(t, single)
	for name, dir := range map[string]string{"stray file": stray, "no index": loose, "old index": single} {
		if got := describe(t, convertTo(t, dir, "")); !slices.Equal(got.Tensors, want.Tensors) ||
			!maps.Equal(got.Keys, want.Keys) {
			t.Errorf("%s: the file differs", name)
		}
	}
	put("model.safetensors.index.json", `{"weight_map": {"model.norm.weight": "../x.safetensors"}}`).apply(t, loose)
	if err := Folder(t.Context(), loose, filepath.Join(t.TempDir(), "m.gguf"), Options{}); err == nil ||
		!strings.Contains(err.Error(), "../x.safetensors") {
		t.Errorf("outside the folder: %v", err)
	}
}

// TestInterleaved: rows j and j+d/2 of a head become neighbours, in biases too.
func TestInterleaved(t *testing.T) {
	c := checkpoints()["llama3-bf16"]
	c.weights, c.biases = "F32", true
	path := convertTo(t, c.write(t), gguf.Float32)
	for _, x := range []struct {
		part  string
		heads int
	}{{"attn_q", heads}, {"attn_k", kvHeads}, {"attn_v", 0}} {
		hf := "model.layers.10.self_attn." + x.part[5:] + "_proj"
		for suffix, width := range map[string]int{"weight": hidden, "bias": 1} {
			rows := hidden * max(1, x.heads) / heads
			if x.heads == 0 {
				rows = hidden * kvHeads / heads
			}
			shape := []int64{int64(rows), int64(width)}
			if width == 1 {
				shape = shape[:1]
			}
			in := entry{hf + "." + suffix, shape}.values()
			got := gguftest.Values(t, path, "blk.10."+x.part+"."+suffix)
			const d = hidden / heads
			for row := range rows {
				from := row
				if x.heads > 0 {
					from = row/d*d + row%2*d/2 + row%d/2
				}
				if !slices.Equal(got[row*width:][:width], in[from*width:][:width]) {
					t.Fatalf("%s.%s: row %d is not row %d of the checkpoint", x.part, suffix, row, from)
				}
			}
		}
	}
}

// TestFloat32: float32 weights stay unchanged if float32 is requested.
func TestFloat32(t *testing.T) {
	c := checkpoints()["mistral-f32"]
	path := convertTo(t, c.write(t), gguf.Float32)
	want := entry{"model.layers.1.mlp.up_proj.weight", []int64{ffn, hidden}}.values()
	if !slices.Equal(gguftest.Values(t, path, "blk.1.ffn_up.weight"), want) {
		t.Error("weights changed")
	}
}

// TestHeadWidth: rotation covers a head if heads are not hidden/heads wide.
func TestHeadWidth(t *testing.T) {
	c := checkpoints()["mistral-f32"]
	c.config = maps.Clone(c.config)
	c.config["head_dim"] = 32
	got := describe(t, convertTo(t, c.write(t), ""))
	for _, key := range []string{"rope.dimension_count", "attention.key_length"} {
		if v := got.Keys["llama."+key]; v != "uint32 32" {
			t.Errorf("%s is %s", key, v)
		}
	}
}

// TestGemma3Defaults: values that config.json omits are known.
func TestGemma3Defaults(t *testing.T) {
	c := checkpoints()["gemma3-bf16"]
	dir := c.write(t)
	for key, value := range map[string]string{"num_attention_heads": "4", "num_key_value_heads": "2",
		"head_dim": "32"} {
		replace("config.json", `"`+key+`":`+value+`,`, "").apply(t, dir)
	}
	got := describe(t, convertTo(t, dir, ""))
	for key, want := range map[string]string{"head_count": "8", "head_count_kv": "4", "key_length": "256"} {
		if v := got.Keys["gemma3.attention."+key]; v != "uint32 "+want {
			t.Errorf("%s is %s", key, v)
		}
	}
}

// TestNewScaling reads Llama's scaling in the place of transformers 5.
func TestNewScaling(t *testing.T) {
	c := checkpoints()["llama3-bf16"]
	want := describe(t, convertTo(t, c.write(t), ""))
	c.config = maps.Clone(c.config)
	c.config["rope_parameters"] = c.config["rope_scaling"]
	delete(c.config, "rope_scaling")
	if got := describe(t, convertTo(t, c.write(t), "")); !slices.Equal(got.Tensors, want.Tensors) {
		t.Error("the factors differ")
	}
}

// TestTokenGap: a token keeps the row of its id if ids have a gap.
func TestTokenGap(t *testing.T) {
	dir := checkpoints()["qwen2-f16-untied"].write(t)
	put("tokenizer.json", `{"model": {"vocab": {"a": 0, "b": 3}, "merges": []}}`).apply(t, dir)
	v, err := readVocabulary(dir)
	if err != nil {
		t.Fatal(err)
	}
	v.pad(6)
	if want := []string{"a", "[UNUSED1]", "[UNUSED2]", "b", "[PAD0]", "[PAD1]"}; !slices.Equal(v.tokens, want) {
		t.Errorf("%q", v.tokens)
	}
	for _, id := range []string{"-1", "99999999"} {
		put("tokenizer.json", `{"model": {"vocab": {"a": `+id+`}}}`).apply(t, dir)
		if _, err := readVocabulary(dir); err == nil {
			t.Errorf("id %s was accepted", id)
		}
	}
}

// TestMemory converts more than it allocates: weights are never completely in memory.
func TestMemory(t *testing.T) {
	c := checkpoints()["llama3-bf16"]
	dir := c.write(t)
	rows := int64(2 << 20) // of 64 weights in 2 bytes: 256 MiB, all of it sparse on disk
	if testing.Short() {
		rows /= 16 // smaller, but still more than may be allocated: the race detector and the workers use the rest
	}
	head := fmt.Sprintf(`{"big.weight":{"dtype":"BF16","shape":[%d,64],"data_offsets":[0,%d]}}`, rows, rows*64*2)
	f, err := os.Create(filepath.Join(dir, "extra.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head...)); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(8 + int64(len(head)) + rows*64*2); err != nil {
		t.Fatal(err)
	}
	put("model.safetensors.index.json",
		`{"weight_map": {"a": "weights.safetensors", "big.weight": "extra.safetensors"}}`).apply(t, dir)
	if err := os.Rename(filepath.Join(dir, "model.safetensors"),
		filepath.Join(dir, "weights.safetensors")); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	path := convertTo(t, dir, gguf.Q8_0)
	runtime.ReadMemStats(&after)
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	workers := uint64(runtime.GOMAXPROCS(0))
	if n := after.TotalAlloc - before.TotalAlloc; st.Size() < rows*64 || n > 32<<20+workers*8<<20 {
		t.Errorf("%d bytes allocated for a file of %d", n, st.Size())
	}
}

// TestInterrupted: an interrupted conversion leaves nothing behind.
func TestInterrupted(t *testing.T) {
	dir, out := checkpoints()["llama3-bf16"].write(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	o := testOptions(dir, "")
	o.Progress = func(int64, int64) { cancel() }
	err := Folder(ctx, dir, filepath.Join(out, "m.gguf"), o)
	if fault.Class(err) != codes.ClassInterrupted || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(out); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func FuzzPieces(f *testing.F) {
	f.Add([]byte(sentencePiece(30)))
	f.Fuzz(func(t *testing.T, b []byte) {
		pieces, err := readPieces(b)
		if err == nil && len(pieces) > len(b) {
			t.Errorf("%d pieces in %d bytes", len(pieces), len(b))
		}
	})
}

func FuzzSafetensors(f *testing.F) {
	b := safetensors(f, []entry{{"a.weight", []int64{2, 3}}, {"b", []int64{4}}}, "BF16")
	f.Add(b)
	f.Add(b[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		tensors, err := safetensorsHeader(strings.NewReader(string(b)), int64(len(b)))
		if err != nil {
			return
		}
		// All tensors are within the file.
		for _, x := range tensors {
			if end := x.at + x.elements()*int64(x.dtype.Info().Size); x.at < 8 || end > int64(len(b)) || end <= x.at {
				t.Errorf("%s at %d to %d of %d", x.name, x.at, end, len(b))
			}
		}
	})
}
