package shape

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
)

// FromGGUF reads the architecture from the header of the GGUF file at path. It
// also checks that the file holds all the tensor data that the header lists.
func FromGGUF(path string) (Config, error) {
	h, err := ReadGGUF(path)
	if err != nil {
		return Config{}, err
	}
	c, err := ConfigOf(h)
	if err != nil {
		return Config{}, fmt.Errorf("reading the architecture of %s: %w", path, err)
	}
	return c, nil
}

// ReadGGUF reads a header and checks the norms. For a model in parts the header includes the tensors of all parts.
func ReadGGUF(path string) (gguf.Header, error) {
	h, err := gguf.ReadFile(path)
	if err != nil {
		return h, err
	}
	if kind := h.Text("general.type"); kind != "" && kind != "model" {
		return h, fault.New(codes.ClassUnsupportedModel, nil, "name the model that it belongs to",
			"%s is of the type %s, not a model", path, kind)
	}
	if err := checkFinite(path, h); err != nil {
		return h, err
	}
	part, parts := h.Split()
	if parts == 1 {
		return h, nil
	}
	m := partName.FindStringSubmatch(path)
	if m == nil {
		return h, fault.New(codes.ClassCorruptModel, nil,
			"give it the name that it was downloaded with, and the other "+
				"parts beside it", "%s is part %d of %d of a model, and its name does not say where the others are",
			path,
			part+1, parts)
	}
	names := map[string]bool{}
	for _, t := range h.Tensors {
		names[t.Name] = true
	}
	for i := 1; i <= parts && i <= 1<<16; i++ {
		other := fmt.Sprintf("%s-%05d-of-%05d.gguf", m[1], i, parts)
		if filepath.Base(other) == filepath.Base(path) {
			continue
		}
		p, err := gguf.ReadFile(other)
		if err != nil {
			return h, fmt.Errorf("reading part %d of %d: %w", i, parts, err)
		}
		for _, t := range p.Tensors {
			if names[t.Name] {
				return h, fault.New(codes.ClassCorruptModel, nil, "download the parts again",
					"two parts of %s hold a tensor %q", path, t.Name)
			}
			names[t.Name] = true
			h.Tensors = append(h.Tensors, t)
		}
	}
	return h, nil
}

// partName matches the name of a part of a model.
var partName = regexp.MustCompile(`^(.*)-\d{5}-of-\d{5}\.gguf$`)

// ConfigOf builds the architecture from the metadata and the list of tensors, which must agree.
func ConfigOf(h gguf.Header) (Config, error) {
	arch := h.Text("general.architecture")
	if arch == "" {
		return Config{}, fault.New(codes.ClassCorruptModel, nil, "download or generate it again",
			"the file does not name its architecture")
	}
	c := fromMetadata(h, arch)
	c.Stored = Stored{Format: gguf.KindName(h.Kind()), Bytes: h.Bytes(), File: true}
	listed, layers := listOf(h, c)
	if slices.Contains(archs, arch) && uniform(h, arch) {
		if err := c.Validate(); err != nil {
			return c, err
		}
		return agree(h, c, listed)
	}
	if c.Layers <= 0 || c.Layers > 4096 || layers == 0 {
		return c, BadConfig("layers is %d, and the list of tensors has %d", c.Layers, layers)
	}
	if !slices.Contains(archs, arch) {
		listed.Approximate = "counted from the list of tensors: the architecture " + arch + " is unknown, so " +
			"parameters are exact, and FLOPs and the cache approximate"
	}
	c.Layout = &listed
	return c, c.Validate()
}

// agree compares the metadata with the list of tensors.
func agree(h gguf.Header, c Config, listed Layout) (Config, error) {
	said := c.Parameters().Total
	counted := listed.Sum(Embedding, Head, Matrix, Expert, Vector, Router)
	if off := math.Abs(float64(said-counted)) / float64(said); off > 0.01 {
		return c, fault.New(codes.ClassCorruptModel, nil, "download or generate it again",
			"the file contradicts itself: its metadata imply %d parameters, and its tensors hold %d", said, counted)
	}
	for _, t := range h.Tensors {
		name := t.Name[strings.LastIndexByte(strings.TrimSuffix(t.Name, ".weight"), '.')+1:]
		if wideNorms[name] && (len(t.Shape) != 1 || t.Shape[0] != uint64(c.Hidden)) {
			return c, fault.New(codes.ClassCorruptModel, nil, "download or generate it again",
				"the file contradicts itself: %s has the shape %v in a model %d wide", t.Name, t.Shape, c.Hidden)
		}
	}
	layout := c.layout()
	c.Layout = nil
	if counted != said {
		layout.Weights = listed.Weights
		c.Layout = &layout
	}
	return c, nil
}

// wideNorms are as wide as the model.
var wideNorms = map[string]bool{"attn_norm.weight": true, "ffn_norm.weight": true, "output_norm.weight": true,
	"post_attention_norm.weight": true, "post_ffw_norm.weight": true}

// fromMetadata returns the architecture according to the keys of the file.
func fromMetadata(h gguf.Header, arch string) Config {
	num := func(key string) int { n, _ := h.PerLayer(arch + "." + key); return n }
	c := Config{
		Arch: arch, Hidden: num("embedding_length"), Layers: num("block_count"), FFN: num("feed_forward_length"),
		Heads: num("attention.head_count"), KVHeads: num("attention.head_count_kv"),
		HeadDim: num("attention.key_length"),
		Context: num("context_length"), Vocab: h.Vocab(),
		RopeTheta: h.Float(arch + ".rope.freq_base"), RopeLocalTheta: h.Float(arch + ".rope.local.freq_base"),
		NormEps: h.Float(arch + ".attention.layer_norm_rms_epsilon"),
		Experts: num("expert_count"), ExpertsUsed: num("expert_used_count"),
		ExpertFFN:     num("expert_feed_forward_length"),
		SlidingWindow: num("attention.sliding_window"),
		AttnSoftcap:   h.Float(arch + ".attn_logit_softcapping"),
		FinalSoftcap:  h.Float(arch + ".final_logit_softcapping"),
		Tied:          true,
	}
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	if c.Experts > 0 && c.ExpertFFN == 0 {
		c.ExpertFFN = c.FFN
	}
	fromTensors(h, &c)
	switch c.Arch {
	case ArchGemma2:
		c.GlobalEvery, c.QueryScalar = 2, c.HeadDim
	case ArchGemma3:
		c.GlobalEvery, c.QueryScalar = 6, c.HeadDim
	}
	return c
}

// uniform reports whether all layers are alike.
func uniform(h gguf.Header, arch string) bool {
	for _, key := range []string{"attention.head_count", "attention.head_count_kv", "feed_forward_length"} {
		if h.Has(arch + "." + key) {
			if _, same := h.PerLayer(arch + "." + key); !same {
				return false
			}
		}
	}
	return true
}

// fromTensors fills in what only the presence of a tensor shows.
func fromTensors(h gguf.Header, c *Config) {
	for _, t := range h.Tensors {
		switch strings.TrimPrefix(t.Name, "blk.0.") {
		case "output.weight":
			c.Tied = false
		case "attn_q.bias", "attn_qkv.bias":
			c.QKVBias = true
		case "attn_q_norm.weight":
			c.QKNorm = true
		case "post_ffw_norm.weight":
			c.PostNorms = true
		case "ffn_gate_exps.weight":
			if c.ExpertFFN == 0 && len(t.Shape) == 3 {
				c.ExpertFFN = int(t.Shape[1])
			}
		}
	}
}

var blockName = regexp.MustCompile(`^blk\.(\d{1,4})\.(.+)$`)

// listOf returns the layout according to the list of tensors, and its number of layers: the cache of an attention
// layer is as wide as its keys and values.
func listOf(h gguf.Header, c Config) (Layout, int) {
	var l Layout
	keys, values, latent, state := map[int]int64{}, map[int]int64{}, map[int]int64{}, map[int]int64{}
	layers := 0
	for _, t := range h.Tensors {
		if len(t.Shape) == 0 || strings.HasPrefix(t.Name, "rope_") || strings.Contains(t.Name, ".rope_") {
			continue
		}
		in := int64(t.Shape[0])
		w := Weight{Role: ggufRole(t.Name, len(t.Shape)), Out: int64(t.Elements()) / in, In: in, Count: 1,
			Bytes: int64(t.Size)}
		if w.Role == Vector {
			w.Out, w.In = w.Out*w.In, 1
		}
		l.Weights = append(l.Weights, w)
		m := blockName.FindStringSubmatch(t.Name)
		if m == nil {
			continue
		}
		i, _ := strconv.Atoi(m[1])
		layers = max(layers, i+1)
		switch m[2] {
		case "attn_k.weight":
			keys[i] = w.Out
		case "attn_v.weight":
			values[i] = w.Out
		case "attn_qkv.weight":
			keys[i] = int64(c.KVHeads * c.HeadDim)
			values[i] = keys[i]
		case "attn_kv_a_mqa.weight":
			latent[i] = w.Out
		case "ssm_a", "ssm_a.weight":
			state[i] = w.Elements()
		}
	}
	if c.Experts > 0 {
		l.Share = float64(min(c.ExpertsUsed, c.Experts)) / float64(c.Experts)
	}
	l.Mixers = listedMixers(h, c, keys, values, latent, state)
	return l, layers
}

// listedMixers groups the layers with caches of the same size.
func listedMixers(h gguf.Header, c Config, keys, values, latent, state map[int]int64) []Mixer {
	count := map[Mixer]int64{}
	score := 4 * float64(c.Heads) * float64(c.HeadDim)
	for i, k := range keys {
		count[Mixer{Heads: 1, Width: k + values[i], Score: score}]++
	}
	for _, row := range latent {
		count[Mixer{Heads: 1, Width: row, Score: score}]++
	}
	inner, _ := h.PerLayer(c.Arch + ".ssm.inner_size")
	size, _ := h.PerLayer(c.Arch + ".ssm.state_size")
	kernel, _ := h.PerLayer(c.Arch + ".ssm.conv_kernel")
	for range state {
		n := int64(min(inner, maxDim)) * int64(min(size+kernel, maxDim))
		count[Mixer{State: n, Scan: 5 * float64(inner) * float64(size)}]++
	}
	var out []Mixer
	for _, m := range slices.SortedFunc(maps.Keys(count), func(a, b Mixer) int {
		return cmp.Or(cmp.Compare(a.Width, b.Width), cmp.Compare(a.State, b.State))
	}) {
		m.Layers = count[m]
		out = append(out, m)
	}
	return out
}

// ggufRole returns the role of a tensor, by its name in GGUF files.
func ggufRole(name string, dims int) Role {
	switch {
	case strings.HasPrefix(name, "v.") || strings.HasPrefix(name, "mm."):
		return Vision
	case strings.HasPrefix(name, "token_embd.") || strings.HasPrefix(name, "position_embd.") ||
		strings.HasPrefix(name, "per_layer_token_embd."):
		return Embedding
	case name == "output.weight":
		return Head
	case strings.Contains(name, "_exps."):
		return Expert
	case dims < 2, strings.Contains(name, "ssm_conv1d"), strings.Contains(name, "ssm_a"):
		return Vector
	case strings.Contains(name, "ffn_gate_inp"):
		return Router
	}
	return Matrix
}

// mostNorm is the longest norm that is read completely, in bytes. Of other weights, whose files may have hundreds
// of gigabytes, the first and the last lookedAt bytes of each tensor are read.
const (
	mostNorm = 1 << 20
	lookedAt = 4 << 10
)

// checkFinite refuses weights that are NaN or infinite: all results of such a model are NaN. Weights in block
// formats are not checked.
func checkFinite(path string, h gguf.Header) error {
	f, err := disk.Open(path, disk.Unbounded)
	if err != nil {
		return disk.ReadError(path, err)
	}
	defer f.Close()
	for _, t := range h.Tensors {
		width, exponent := exponentOf(gguf.DTypeOfKind(t.Kind))
		if !strings.HasSuffix(t.Name, ".weight") || width == 0 {
			continue
		}
		first, last := int64(t.Size), int64(0)
		if t.Size > 2*lookedAt && (!strings.HasSuffix(t.Name, "norm.weight") || t.Size > mostNorm) {
			first, last = lookedAt, lookedAt
		}
		b := make([]byte, first+last)
		_, err := f.ReadAt(b[:first], h.Data+int64(t.Offset))
		if err == nil && last > 0 {
			_, err = f.ReadAt(b[first:], h.Data+int64(t.Offset+t.Size)-last)
		}
		if err != nil {
			return fault.New(codes.ClassCorruptModel, err, "download or generate it again", "cannot read %s of %s",
				t.Name, path)
		}
		for ; len(b) >= width; b = b[width:] {
			// All bits of the exponent are set in an infinity and in NaN.
			if binary.LittleEndian.Uint16(b[width-2:])&exponent == exponent {
				return fault.New(codes.ClassCorruptModel, nil, "download or generate it again",
					"%s of %s has weights that are not finite numbers", t.Name, path)
			}
		}
	}
	return nil
}

// exponentOf returns the size of a number in bytes, and the exponent bits in its last two bytes; 0 for block
// formats.
func exponentOf(d gguf.DType) (width int, bits uint16) {
	switch d {
	case gguf.Float32:
		return 4, 0x7f80
	case gguf.BFloat16:
		return 2, 0x7f80
	case gguf.Float16:
		return 2, 0x7c00
	}
	return 0, 0
}
