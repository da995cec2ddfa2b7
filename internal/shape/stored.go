package shape

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Stored is how the files of a model hold its weights.
type Stored struct {
	// Format is the type of most weights, or the method of quantisation, in the words of the
	// files: bfloat16, q4_k, awq. Empty is not known.
	Format string
	// Bytes are those of all weights, from the list of tensors or the index of the files; 0 is
	// not known.
	Bytes int64
	// File says that the engine takes the weights as they are, whatever dtype is asked for: a
	// GGUF file. Otherwise only quantised matrices stay as they are.
	File bool
	// Quant is how matrices are quantised; nil: they are not.
	Quant *Quant
}

// Quant is a quantisation of the matrices of a checkpoint.
type Quant struct {
	// Type is what a weight is computed from: int4, int8 or fp8.
	Type string
	// Bits of one weight, with its part of the scales and offsets of its group; 0 is not known.
	Bits float64
	// PerRow are the bytes of the scale of an output row.
	PerRow int64
	// Columns is the number of which the columns of a matrix are padded to a multiple; 0 and 1
	// leave them.
	Columns int64
	// ExpertsOnly leaves all but the experts as they were.
	ExpertsOnly bool
}

// StoredBytes are the sizes of weights that an engine takes as they are stored.
type StoredBytes struct {
	All     int64
	Experts int64 // of them, the experts
	Lookup  int64 // of them, the embedding
}

// StoredBytes are the bytes of weights that stay as they are stored, from the list of tensors
// or the rules of the quantisation; false where they are in the dtype that the engine is asked
// for, or nothing is known about them.
func (c Config) StoredBytes() (StoredBytes, bool) {
	s, l := c.Stored, c.layout()
	if !s.File && (s.Quant == nil || s.Quant.Bits == 0 && s.Bytes == 0) {
		return StoredBytes{}, false
	}
	var b StoredBytes
	for _, w := range l.Weights {
		n := w.Bytes
		if n == 0 {
			n = s.bytesOf(w)
		}
		b.All += n
		switch w.Role {
		case Expert:
			b.Experts += n
		case Embedding:
			b.Lookup += n
		}
	}
	if s.Bytes > 0 && b.All > 0 {
		scale := float64(s.Bytes) / float64(b.All)
		b.Experts, b.Lookup = int64(float64(b.Experts)*scale), int64(float64(b.Lookup)*scale)
		b.All = s.Bytes
	}
	return b, b.All > 0
}

// bytesOf are the bytes of weights by the rules of the quantisation: what is not quantised has
// 16 bits.
func (s Stored) bytesOf(w Weight) int64 {
	q := s.Quant
	if q == nil || q.Bits == 0 || w.Role != Expert && (w.Role != Matrix || q.ExpertsOnly) {
		return 2 * w.Elements()
	}
	if pad := max(1, q.Columns); w.In%pad != 0 {
		w.In += pad - w.In%pad
	}
	return int64(float64(w.Elements())*q.Bits/8) + q.PerRow*w.Out*w.Count
}

// Bits of the quantisation of which only the method is known, with scales and offsets: groups
// of 128 weights share a 16-bit scale and a 16-bit offset, other methods as written here.
const (
	groupBits  = 32
	usualGroup = 128
)

// storedOf reads quantization_config of a config.json, and the dtype.
func storedOf(f *hfFields) Stored {
	s := Stored{Format: f.text("torch_dtype")}
	if d := f.text("dtype"); d != "" {
		s.Format = d
	}
	q, ok := f.m["quantization_config"].(map[string]any)
	if !ok {
		if q, ok = f.m["compression_config"].(map[string]any); !ok {
			return s
		}
	}
	r := &hfFields{m: q} // of the wrong kind is not known
	method := strings.ToLower(r.text("quant_method"))
	read, known := quantMethods[method]
	s.Format, s.Quant = method, &Quant{}
	if method == "" {
		s.Format = "quantised"
	}
	if known {
		if q := read(r); r.err == nil && q.Bits >= 0 && q.Bits <= 32 {
			if q.Type == "" {
				q.Type = "int8"
				if q.Bits < 6 {
					q.Type = "int4"
				}
			}
			s.Quant = &q
		}
	}
	return s
}

// quantMethods are the methods of quantization_config whose bits follow from it. Of others
// only the index of the files tells the size.
var quantMethods = map[string]func(*hfFields) Quant{
	"awq":                groups,
	"gptq":               groups,
	"auto-round":         groups,
	"fp8":                fp8,
	"fbgemm_fp8":         func(*hfFields) Quant { return Quant{Type: "fp8", Bits: 8, PerRow: 4} },
	"mxfp4":              func(*hfFields) Quant { return Quant{Bits: 4 + 8.0/32, ExpertsOnly: true} },
	"bitsandbytes":       bitsandbytes,
	"modelopt":           modelopt,
	"compressed-tensors": compressed,
}

// groups are integers of a few bits in groups with a scale and an offset.
func groups(f *hfFields) Quant {
	bits, group := float64(f.int("bits", f.int("w_bit", 4))), f.int("group_size", f.int("q_group_size", usualGroup))
	if group <= 0 {
		return Quant{Bits: bits, PerRow: groupBits / 8}
	}
	return Quant{Bits: bits + groupBits/float64(group)}
}

// fp8 has a scale for each block of weights, or for each matrix.
func fp8(f *hfFields) Quant {
	q := Quant{Type: "fp8", Bits: 8}
	block, _ := f.m["weight_block_size"].([]any)
	n := 1.0
	for _, side := range block {
		if v, ok := side.(float64); ok && v > 0 {
			n *= v
		}
	}
	if n > 1 {
		q.Bits += 32 / n
	}
	return q
}

// bitsandbytes has 4 bits in blocks of 64 with a 32-bit scale, which may be quantised itself, or
// 8 bits with a scale for each row.
func bitsandbytes(f *hfFields) Quant {
	switch {
	case f.bool("load_in_8bit", false):
		return Quant{Bits: 8, PerRow: 4}
	case f.bool("bnb_4bit_use_double_quant", false):
		return Quant{Bits: 4 + 8.0/64 + 32.0/(64*256)}
	}
	return Quant{Bits: 4 + 32.0/64}
}

// modelopt is fp8 or nvfp4: blocks of 16 with an 8-bit scale.
func modelopt(f *hfFields) Quant {
	switch algorithm := strings.ToUpper(f.text("quant_algo")); {
	case strings.Contains(algorithm, "FP4"):
		return Quant{Bits: 4 + 8.0/16}
	case strings.Contains(algorithm, "FP8"):
		return Quant{Type: "fp8", Bits: 8}
	}
	return Quant{}
}

// compressed reads the first group of weights of compressed-tensors.
func compressed(f *hfFields) Quant {
	all, _ := f.m["config_groups"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		group, _ := all[name].(map[string]any)
		m, _ := group["weights"].(map[string]any)
		if m == nil {
			continue
		}
		w := &hfFields{m: m}
		q := Quant{Bits: w.float("num_bits", 0)}
		if w.text("type") == "float" && q.Bits == 8 {
			q.Type = "fp8"
		}
		size := w.float("group_size", 0)
		switch {
		case size > 0 && w.text("type") == "float" && q.Bits == 4:
			q.Bits += 8 / size
		case size > 0 && w.bool("symmetric", true):
			q.Bits += 16 / size
		case size > 0:
			q.Bits += groupBits / size
		default:
			q.PerRow = 4
		}
		if w.err != nil {
			f.err = w.err
		}
		return q
	}
	return Quant{}
}

// Words says how the weights are stored; empty where that is not known.
func (s Stored) Words() string {
	if s.Quant != nil && s.Quant.Bits > 0 {
		return fmt.Sprintf("%s, %.3g bits", s.Format, s.Quant.Bits)
	}
	return s.Format
}
