package convert

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/gguf"
)

// The regular expressions by which tokenizers of Llama 3 and Qwen split text.
const (
	llamaSplit = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|` +
		` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwenSplit = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|` +
		` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// checkpoint is a tiny model in the form of a Hugging Face folder. The same checkpoint always has the same bytes.
type checkpoint struct {
	config  map[string]any
	weights string // "F32", "F16" or "BF16"
	shards  int    // files with an index; 0 is model.safetensors alone
	untied  bool
	biases  bool // of q, k and v
	qkNorm  bool
	gemma   bool // four norms in a layer
	extra   []entry
	files   map[string]string // beside config.json and the weights
}

// entry is a tensor of the checkpoint.
type entry struct {
	name  string
	shape []int64
}

const hidden, heads, kvHeads, ffn, vocab = 64, 4, 2, 96, 300

// configOf returns the config.json of a class, with the additions of a case.
func configOf(class, kind string, more map[string]any) map[string]any {
	m := map[string]any{
		"architectures": []string{class}, "model_type": kind, "hidden_size": hidden, "num_hidden_layers": 2,
		"intermediate_size": ffn, "num_attention_heads": heads, "num_key_value_heads": kvHeads, "vocab_size": vocab,
		"max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "torch_dtype": "bfloat16",
	}
	maps.Copy(m, more)
	return m
}

// entries lists the tensors of the checkpoint.
func (c checkpoint) entries() []entry {
	dim := int64(hidden / heads)
	if d, ok := c.config["head_dim"].(int); ok {
		dim = int64(d)
	}
	q, kv := heads*dim, kvHeads*dim
	out := []entry{{"model.embed_tokens.weight", []int64{vocab, hidden}}, {"model.norm.weight", []int64{hidden}}}
	add := func(name string, shape ...int64) { out = append(out, entry{name, shape}) }
	if c.untied {
		add("lm_head.weight", vocab, hidden)
	}
	for i := range c.config["num_hidden_layers"].(int) {
		p := fmt.Sprintf("model.layers.%d.", i)
		add(p+"input_layernorm.weight", hidden)
		add(p+"post_attention_layernorm.weight", hidden)
		if c.gemma {
			add(p+"pre_feedforward_layernorm.weight", hidden)
			add(p+"post_feedforward_layernorm.weight", hidden)
		}
		add(p+"self_attn.q_proj.weight", q, hidden)
		add(p+"self_attn.k_proj.weight", kv, hidden)
		add(p+"self_attn.v_proj.weight", kv, hidden)
		add(p+"self_attn.o_proj.weight", hidden, q)
		if c.biases {
			add(p+"self_attn.q_proj.bias", q)
			add(p+"self_attn.k_proj.bias", kv)
			add(p+"self_attn.v_proj.bias", kv)
		}
		if c.qkNorm {
			add(p+"self_attn.q_norm.weight", dim)
			add(p+"self_attn.k_norm.weight", dim)
		}
		add(p+"mlp.gate_proj.weight", ffn, hidden)
		add(p+"mlp.up_proj.weight", ffn, hidden)
		add(p+"mlp.down_proj.weight", hidden, ffn)
	}
	return append(out, c.extra...)
}

// write makes the folder.
func (c checkpoint) write(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config, err := json.Marshal(c.config)
	if err != nil {
		t.Fatal(err)
	}
	put("config.json", config)
	for name, text := range c.files {
		put(name, []byte(text))
	}
	all := c.entries()
	if c.shards == 0 {
		put("model.safetensors", safetensors(t, all, c.weights))
		return dir
	}
	index := map[string]string{}
	for i := range c.shards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, c.shards)
		var part []entry
		for j, e := range all {
			if j%c.shards == i {
				part = append(part, e)
				index[e.name] = name
			}
		}
		put(name, safetensors(t, part, c.weights))
	}
	b, err := json.Marshal(map[string]any{"weight_map": index})
	if err != nil {
		t.Fatal(err)
	}
	put("model.safetensors.index.json", b)
	return dir
}

// safetensors returns a file with the entries, whose weights are derived from their names.
func safetensors(t testing.TB, entries []entry, kind string) []byte {
	t.Helper()
	dtype, _ := plainDType(kind)
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var data bytes.Buffer
	for _, e := range entries {
		from := data.Len()
		values := e.values()
		b := make([]byte, len(values)*dtype.Info().Size)
		gguf.Encode(b, dtype, values)
		data.Write(b)
		header[e.name] = map[string]any{"dtype": kind, "shape": e.shape, "data_offsets": []int{from, data.Len()}}
	}
	head, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	return append(append(out, head...), data.Bytes()...)
}

// values returns random weights.
func (e entry) values() []float32 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.name))
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	v := make([]float32, stored{shape: e.shape}.elements())
	for i := range v {
		v[i] = float32(r.NormFloat64() * 0.05)
	}
	return v
}

// bpe returns a tokenizer.json: bytes, some merges, and the added tokens.
func bpe(split string, size int, pairs bool, added ...string) string {
	model := map[string]any{"type": "BPE"}
	vocab := map[string]int{}
	for i := range size {
		vocab[fmt.Sprintf("t%03d", i)] = i
	}
	model["vocab"] = vocab
	var lines []string
	var lists [][]string
	for i := range 20 {
		a, b := fmt.Sprintf("t%03d", i), fmt.Sprintf("Ġt%03d", i+1)
		lines, lists = append(lines, a+" "+b), append(lists, []string{a, b})
	}
	model["merges"] = lines
	if pairs {
		model["merges"] = lists
	}
	var tokens []map[string]any
	for i, text := range added {
		tokens = append(tokens,
			map[string]any{"id": size + i, "content": text, "special": strings.HasPrefix(text, "<")})
	}
	doc := map[string]any{"version": "1.0", "added_tokens": tokens, "model": model}
	if split != "" {
		doc["pre_tokenizer"] = map[string]any{"type": "Sequence", "pretokenizers": []any{
			map[string]any{"type": "Split", "pattern": map[string]string{"Regex": split}, "behavior": "Isolated"},
			map[string]any{"type": "ByteLevel", "add_prefix_space": false},
		}}
	}
	return toJSON(doc)
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// sentencePiece returns a tokenizer.model with pieces of all kinds.
func sentencePiece(size int) string {
	var out []byte
	bytesField := func(b []byte, field uint64, v []byte) []byte {
		b = binary.AppendUvarint(b, field<<3|wireBytes)
		b = binary.AppendUvarint(b, uint64(len(v)))
		return append(b, v...)
	}
	for i := range size {
		text, kind := fmt.Sprintf("▁p%d", i), gguf.TokenNormal
		switch {
		case i < 4:
			text, kind = []string{"<pad>", "<eos>", "<bos>", "<unk>"}[i], gguf.TokenControl
			if i == 3 {
				kind = gguf.TokenUnknown
			}
		case i < 8:
			text, kind = []string{"<start_of_turn>", "<end_of_turn>", "<extra>", "<mine>"}[i-4], gguf.TokenUser
		case i < 20:
			text, kind = fmt.Sprintf("<0x%02X>", i), gguf.TokenByte
		case i == 20:
			kind = gguf.TokenUnused
		}
		p := bytesField(nil, pieceText, []byte(text))
		p = binary.AppendUvarint(p, pieceScore<<3|wire32)
		p = binary.LittleEndian.AppendUint32(p, math.Float32bits(-float32(i)/7))
		if kind != gguf.TokenNormal || i%2 == 0 {
			p = binary.AppendUvarint(p, pieceKind<<3)
			p = binary.AppendUvarint(p, uint64(kind))
		}
		out = bytesField(out, modelPieces, p)
	}
	// The rest of a real file describes how the model was trained; it is skipped.
	return string(bytesField(out, 2, binary.AppendUvarint([]byte{4 << 3}, 8000)))
}

const bpeConfig = `{"add_bos_token": true, "bos_token": {"content": "<bos>", "lstrip": false}, "eos_token": "<eos>",
	"pad_token": null, "unk_token": "absent", "sep_token": 7, "chat_template": "{{ messages }}"}`

// checkpoints returns the cases: every class, every kind of tokenizer, weights, files and scaling.
func checkpoints() map[string]checkpoint {
	llama3 := map[string]any{"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
		"original_max_position_embeddings": 64}
	spm := map[string]string{
		"tokenizer.model": sentencePiece(260), "tokenizer_config.json": bpeConfig,
		"special_tokens_map.json": `{"additional_special_tokens": [{"content": "<extra>", "lstrip": false}]}`,
	}
	withBPE := func(size int, files map[string]string) map[string]string {
		files = maps.Clone(files)
		files["tokenizer.json"] = bpe("", size, false, "<pad>", "<eos>", "<bos>")
		return files
	}
	added := maps.Clone(spm)
	added["added_tokens.json"] = `{"<new>": 260, "<extra>": 6, "<newer>": 261}`
	gemma := map[string]any{"head_dim": 32, "sliding_window": 128, "query_pre_attn_scalar": 32}
	with := func(m, more map[string]any) map[string]any {
		m = maps.Clone(m)
		maps.Copy(m, more)
		return m
	}
	return map[string]checkpoint{
		"llama3-bf16": {config: configOf("LlamaForCausalLM", "llama", map[string]any{"rope_scaling": llama3,
			"num_hidden_layers": 11}), weights: "BF16", files: map[string]string{
			"tokenizer.json":         bpe(llamaSplit, 290, false, "<bos>", "<eos>", "more"),
			"tokenizer_config.json":  bpeConfig,
			"generation_config.json": `{"eos_token_id": [291, 292], "bos_token_id": 290}`}},
		"llama2-f16-sharded": {config: configOf("LlamaForCausalLM", "llama", map[string]any{"rms_norm_eps": 1e-6,
			"rope_scaling": map[string]any{"type": "linear", "factor": 2.0}, "num_key_value_heads": kvHeads}),
			weights: "F16", shards: 3, untied: true, files: added,
			extra: []entry{{"model.layers.0.self_attn.rotary_emb.inv_freq", []int64{8}}}},
		"mistral-f32": {config: configOf("MistralForCausalLM", "mistral", map[string]any{"head_dim": 16,
			"sliding_window": nil}), weights: "F32", untied: true, files: map[string]string{
			"tokenizer.json": bpe("", 250, true, "<bos>", "<eos>"),
			"tokenizer_config.json": `{"bos_token": "<bos>", "eos_token": "<eos>", "add_eos_token": false,
					"chat_template": [{"name": "tools", "template": "a"}, {"name": "default", "template": "b"}]}`}},
		"qwen2-bf16": {config: configOf("Qwen2ForCausalLM", "qwen2", map[string]any{"use_sliding_window": false,
			"rope_scaling": map[string]any{"type": "mrope", "mrope_section": []int{2, 3, 3}}}),
			weights: "BF16", biases: true, files: map[string]string{
				"tokenizer.json":        bpe(qwenSplit, 296, false, "<eos>", "user"),
				"tokenizer_config.json": bpeConfig}},
		"qwen2-f16-untied": {config: configOf("Qwen2ForCausalLM", "qwen2", nil), weights: "F16", shards: 2,
			biases: true,
			untied: true, files: map[string]string{"tokenizer.json": bpe(".", 300, true)}},
		"qwen3-bf16-sharded": {config: configOf("Qwen3ForCausalLM", "qwen3", map[string]any{"head_dim": 32}),
			weights: "BF16", shards: 2, qkNorm: true, files: map[string]string{
				"tokenizer.json": bpe(qwenSplit, 300, true, "<eos>"), "tokenizer_config.json": bpeConfig}},
		"qwen3-f32": {config: configOf("Qwen3ForCausalLM", "qwen3", map[string]any{"num_attention_heads": 4}),
			weights: "F32", qkNorm: true, untied: true, files: map[string]string{"tokenizer.json": bpe("", 300, true)}},
		"gemma2-f32": {config: configOf("Gemma2ForCausalLM", "gemma2", with(gemma, map[string]any{
			"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0})), weights: "F32", gemma: true,
			files: withBPE(250, spm)},
		"gemma2-bf16": {config: configOf("Gemma2ForCausalLM", "gemma2", gemma), weights: "BF16", gemma: true, shards: 2,
			files: spm},
		"gemma3-bf16": {config: configOf("Gemma3ForCausalLM", "gemma3_text", with(gemma, map[string]any{
			"rope_local_base_freq": 10000.0, "sliding_window_pattern": 3, "num_hidden_layers": 7,
			"layer_types":  []string{"sliding_attention", "full_attention", "sliding_attention"},
			"rope_scaling": map[string]any{"rope_type": "yarn", "factor": 8.0, "beta_fast": 32.0}})),
			weights: "BF16", gemma: true, qkNorm: true, files: withBPE(250, spm)},
		"gemma3-f16": {config: configOf("Gemma3ForCausalLM", "gemma3_text", with(gemma, map[string]any{
			"rope_theta": nil, "final_logit_softcapping": 30.0, "sliding_window_pattern": 3})),
			weights: "F16", gemma: true, qkNorm: true, untied: true, shards: 2,
			files: map[string]string{"tokenizer.json": bpe("", 300, true, "<bos>"),
				"tokenizer_config.json": bpeConfig}},
	}
}
