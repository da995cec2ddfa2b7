package shape

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
)

// checkpoint are the weights of a folder, as described by their headers and their index.
type checkpoint struct{ dir string }

func checkpointOf(dir string) checkpoint { return checkpoint{dir} }

// Limits beyond which a header or an index is not read.
const maxIndex, maxHeader = 256 << 20, 100_000_000

// saved is a tensor as the header of a safetensors file describes it.
type saved struct {
	name  string
	dtype string
	shape []int64 // as in Python: rows first
	from  int64   // in the data of the file
	bytes int64
}

// index returns the names of the tensors and their total bytes, 0 if unknown; false if there is no index.
func (p checkpoint) index() (names []string, total int64, ok bool) {
	var doc struct {
		Metadata struct {
			Total float64 `json:"total_size"`
		} `json:"metadata"`
		Map map[string]string `json:"weight_map"`
	}
	b, err := disk.ReadFile(filepath.Join(p.dir, "model.safetensors.index.json"), maxIndex)
	if err != nil || json.Unmarshal(b, &doc) != nil || len(doc.Map) == 0 {
		return nil, 0, false
	}
	for name := range doc.Map {
		names = append(names, name)
	}
	if t := doc.Metadata.Total; t > 0 && t < 1<<50 {
		total = int64(t)
	}
	return names, total, true
}

// tensors reads the headers of all safetensors files; false if there are none, or one is incomplete.
func (p checkpoint) tensors() ([]saved, bool) {
	paths, _ := filepath.Glob(filepath.Join(p.dir, "*.safetensors"))
	slices.Sort(paths)
	var out []saved
	for _, path := range paths {
		t, err := savedIn(path)
		if err != nil {
			return nil, false
		}
		out = append(out, t...)
	}
	if _, whole, indexed := p.index(); indexed && whole > 0 {
		sum := int64(0)
		for _, t := range out {
			sum += t.bytes
		}
		if sum < whole/100*99 {
			return nil, false // a shard is missing
		}
	}
	return out, len(out) > 0
}

// savedIn reads the header of one file: its length in 8 bytes, then JSON.
func savedIn(path string) ([]saved, error) {
	f, err := disk.Open(path, disk.Unbounded)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var size [8]byte
	if _, err := io.ReadFull(f, size[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(size[:])
	if n > maxHeader || int64(n) > st.Size() {
		return nil, errors.New("no header")
	}
	head := make([]byte, n)
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, err
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(head, &entries); err != nil {
		return nil, err
	}
	var out []saved
	for name, raw := range entries {
		var e struct {
			DType   string   `json:"dtype"`
			Shape   []int64  `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}
		if name == "__metadata__" || json.Unmarshal(raw, &e) != nil {
			continue
		}
		t := saved{name, e.DType, e.Shape, e.Offsets[0], e.Offsets[1] - e.Offsets[0]}
		if t.bytes < 0 || t.elements() < 0 {
			return nil, errors.New("impossible tensor " + name)
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b saved) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.bytes, b.bytes))
	})
	at := int64(0)
	for _, t := range out {
		if t.from != at {
			return nil, fmt.Errorf("tensor %s begins at byte %d of the data and should at %d", t.name, t.from, at)
		}
		at += t.bytes
	}
	return out, nil
}

// elements returns the number of stored values; -1 if the shape is invalid.
func (t saved) elements() int64 {
	n := int64(1)
	for _, d := range t.shape {
		if d < 0 || d > 0 && n > (1<<48)/d {
			return -1
		}
		n *= d
	}
	return n
}

// settle completes what config.json leaves open: the bytes of quantised weights, and whether there is an output
// matrix.
func (p checkpoint) settle(config []byte, c *Config) error {
	f, err := fieldsOf(config)
	if err != nil {
		return err
	}
	text, _ := f.m["text_config"].(map[string]any)
	if f.m["tie_word_embeddings"] == nil && text["tie_word_embeddings"] == nil && c.Tied && p.hasHead() {
		c.Tied = false
		if c.Layout != nil {
			c.Layout.Weights = append(c.Layout.Weights, Weight{Role: Head, Out: int64(c.Vocab), In: int64(c.Hidden),
				Count: 1})
		}
	}
	if c.Stored.Quant != nil {
		c.Stored.Bytes = p.size()
	}
	return nil
}

// size returns the size of all weights in bytes, by the index or the headers; 0 if there is neither.
func (p checkpoint) size() int64 {
	if _, total, ok := p.index(); ok && total > 0 {
		return total
	}
	sum := int64(0)
	all, _ := p.tensors()
	for _, t := range all {
		sum += t.bytes
	}
	return sum
}

// onDisk returns the size of the weights by the index, or of the files that hold them.
func (p checkpoint) onDisk() int64 {
	if _, total, ok := p.index(); ok && total > 0 {
		return total
	}
	sum := int64(0)
	for _, pattern := range []string{"*.safetensors", "*.bin"} {
		paths, _ := filepath.Glob(filepath.Join(p.dir, pattern))
		for _, path := range paths {
			if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
				sum += st.Size()
			}
		}
	}
	return sum
}

// hasHead reports whether the files hold an output matrix.
func (p checkpoint) hasHead() bool {
	names, _, ok := p.index()
	if !ok {
		all, _ := p.tensors()
		for _, t := range all {
			names = append(names, t.name)
		}
	}
	return slices.ContainsFunc(names, func(n string) bool { return roleOf(n, 2) == Head })
}

// Names of tensors by their role, in the known families.
var (
	isVision    = regexp.MustCompile(`(^|[._])(vision|visual|image|vit|audio|multi_modal_projector|mm_projector)`)
	isExtra     = regexp.MustCompile(`(^|\.)mtp\.|rotary_emb|\.attn\.bias$|attention\.(masked_)?bias$`)
	isEmbedding = regexp.MustCompile(
		`(embed_tokens|embed_in|word_embeddings|embeddings?|wte|wpe|tok_embeddings)\.weight$`)
	isHead   = regexp.MustCompile(`(lm_head|embed_out|output_layer|^output|output_projection)\.weight$`)
	isRouter = regexp.MustCompile(`\.(router|gate)(\.weight|\.wg\.weight|\.classifier\.weight|$)`)
	isExpert = regexp.MustCompile(`\.experts?\.|\.experts?_|\.local_experts\.`)
	isShared = regexp.MustCompile(`shared_experts?`)
	isScale  = regexp.MustCompile(
		`(scales?|scale_inv|zeros|qzeros|g_idx|absmax|quant_map|weight_shape|quant_state.*|zero_point|` +
			`weight_global_scale)$`)
	layerNumber = regexp.MustCompile(`\.(?:layers|h|blocks|layer)\.(\d+)\.`)
)

// roleOf returns the role of a tensor, by its name and the number of its dimensions.
func roleOf(name string, dims int) Role {
	switch {
	case isVision.MatchString(name):
		return Vision
	case isEmbedding.MatchString(name):
		return Embedding
	case isHead.MatchString(name):
		return Head
	case isExpert.MatchString(name) && !isShared.MatchString(name):
		return Expert
	case dims < 2, strings.Contains(name, "conv1d"):
		return Vector
	case isRouter.MatchString(name):
		return Router
	}
	return Matrix
}

// count describes a model of an unknown family by its list of tensors: its parameters exactly, its operations and
// cache by the usual keys of config.json. It returns false if there is no such list.
func (p checkpoint) count(config []byte) (Config, bool) {
	f, err := fieldsOf(config)
	if err != nil {
		return Config{}, false
	}
	all, ok := p.tensors()
	if !ok {
		return Config{}, false
	}
	stored := storedOf(&f)
	if text, ok := f.m["text_config"].(map[string]any); ok {
		f.m = text
	}
	l := Layout{Approximate: "counted from the list of tensors: the model's family is unknown, so parameters " +
		"are exact, and FLOPs and the cache assume an ordinary transformer"}
	c := Config{Arch: f.text("model_type"), Tied: true, Layout: &l}
	for _, t := range all {
		w, ok := weightOf(t, stored)
		if !ok {
			continue
		}
		l.Weights = append(l.Weights, w)
		switch w.Role {
		case Embedding:
			if w.Out > int64(c.Vocab) {
				c.Vocab, c.Hidden = int(w.Out), int(w.In)
			}
		case Head:
			c.Tied = false
		}
		if m := layerNumber.FindStringSubmatch(t.name); m != nil && w.Role != Vision {
			n, _ := strconv.Atoi(m[1])
			c.Layers = max(c.Layers, n+1)
		}
		stored.Bytes += t.bytes
	}
	f.ordinary(&c)
	if stored.Quant == nil {
		stored.Bytes = 0 // the dtype decides
	}
	c.Stored = stored
	return c, f.err == nil && c.Validate() == nil
}

// weightOf returns a stored tensor as weights; false for a tensor without weights, such as scales.
func weightOf(t saved, s Stored) (Weight, bool) {
	n := t.elements()
	if n <= 0 || isExtra.MatchString(t.name) || s.Quant != nil && isScale.MatchString(t.name) {
		return Weight{}, false
	}
	w := Weight{Role: roleOf(t.name, len(t.shape)), Out: n, In: 1, Count: 1, Bytes: t.bytes}
	if last := t.shape[len(t.shape)-1]; len(t.shape) > 1 {
		w.Out, w.In = n/last, last
	}
	if s.Quant != nil && w.Role != Vector {
		bits := 4.0
		if s.Quant.Bits > 0 {
			bits = float64(int(s.Quant.Bits))
		}
		switch t.dtype { // packed weights
		case "I32", "U32":
			w.In *= int64(32 / bits)
		case "U8":
			w.In *= int64(8 / bits)
		}
	} else {
		w.Bytes = 0
	}
	return w, true
}

// ordinary fills in what config.json contains under the names that most families use, and the resulting cache.
func (f *hfFields) ordinary(c *Config) {
	first := func(keys ...string) int {
		for _, k := range keys {
			if v, ok := f.m[k].(float64); ok && v > 0 && v < maxDim {
				return int(v)
			}
		}
		return 0
	}
	c.Heads = first("num_attention_heads", "n_head", "n_heads", "num_heads")
	c.KVHeads = first("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")
	c.HeadDim, c.FFN = first("head_dim", "kv_channels"), first("intermediate_size", "ffn_hidden_size", "n_inner")
	c.Context = first("max_position_embeddings", "n_positions", "seq_length", "max_sequence_length")
	c.Experts = first("num_experts", "num_local_experts", "n_routed_experts")
	c.ExpertsUsed = first("num_experts_per_tok", "num_experts_per_token", "moe_top_k", "moe_topk")
	c.ExpertFFN = first("moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size")
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	c.Layout.Share = 1
	if c.Experts > 0 && c.ExpertsUsed > 0 {
		c.Layout.Share = float64(min(c.ExpertsUsed, c.Experts)) / float64(c.Experts)
	}
	c.Layout.Mixers = []Mixer{{Layers: int64(c.Layers), Heads: int64(c.KVHeads), Width: 2 * int64(c.HeadDim),
		Score: 4 * float64(c.Heads) * float64(c.HeadDim)}}
}
