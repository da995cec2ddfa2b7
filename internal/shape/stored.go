package shape

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Stored is how the files of a model hold its weights.
type Stored struct {
	// Format is the type of most weights, or the method of quantisation, in the files' own words: bfloat16, q4_k, awq.
	// Empty if unknown.
	Format string
	// Bytes is the size of all weights, from the list of tensors or the index of the files; 0 if unknown.
	Bytes int64
	// File reports that the engine uses the weights unchanged, whatever dtype is requested: a GGUF file. Otherwise
	// only quantised matrices stay unchanged.
	File bool
	// Quant is how matrices are quantised; nil if they are not.
	Quant *Quant
}

// Quant is a quantisation of the matrices of a checkpoint.
type Quant struct {
	// Type is the format that a weight is computed from: int4, int8 or fp8.
	Type string
	// Bits per weight, including its part of the scales and offsets of its group; 0 if unknown.
	Bits float64
	// PerRow is the size of the scale of an output row, in bytes.
	PerRow int64
	// Columns is the multiple to which the columns of a matrix are padded; 0 and 1 do not pad.
	Columns int64
	// ExpertsOnly reports that only the experts are quantised.
	ExpertsOnly bool
}

// StoredBytes are the sizes of weights that an engine uses as they are stored.
type StoredBytes struct {
	All     int64
	Experts int64 // of these, the experts
	Lookup  int64 // of these, the embedding
}

// StoredBytes returns the size of weights that stay as they are stored, from the list of tensors or the rules of
// the quantisation; false if they are in the dtype that the engine is asked for, or nothing is known about them.
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

// bytesOf returns the size of weights by the rules of the quantisation: unquantised weights have 16 bits.
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

// Bits of a quantisation with scales and offsets if only the method is known: groups of 128 weights share a 16-bit
// scale and a 16-bit offset; other methods as given here.
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
	r := &hfFields{m: q} // a value of the wrong type counts as unknown
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

// quantMethods are the methods of quantization_config that determine the bits. For others only the index of the
// files shows the size.
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

// bitsandbytes has 4 bits in blocks of 64 with a 32-bit scale, which may itself be quantised, or 8 bits with a
// scale for each row.
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

// Words describes how the weights are stored; empty if unknown.
func (s Stored) Words() string {
	if s.Quant != nil && s.Quant.Bits > 0 {
		return fmt.Sprintf("%s, %.3g bits", s.Format, s.Quant.Bits)
	}
	return s.Format
}
