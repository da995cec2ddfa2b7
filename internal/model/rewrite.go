package model

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

// finishConversion writes what the converter left at first to path, with the
// right architecture and number format.
func finishConversion(ctx context.Context, first, path string, c folderConversion) error {
	in, err := os.Open(first)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	h, err := readGGUF(in, st.Size())
	if err != nil {
		return fmt.Errorf("reading what the converter wrote: %w", err)
	}
	kv, err := rawValues(in, h)
	if err != nil {
		return err
	}
	rename := func(name string) string { return name }
	if c.class == "Qwen3ForCausalLM" {
		if kv, err = qwen3KV(kv, c.config); err != nil {
			return err
		}
		rename = strings.NewReplacer("self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm").Replace
	}
	if c.dtype == "" && c.class != "Qwen3ForCausalLM" {
		return os.Rename(first, path)
	}
	if c.dtype != "" {
		kv["general.file_type"] = c.dtype.info().fileType
	}
	t := transcoder{in: in, h: h, to: c.dtype}
	g := &ggufFile{progress: c.progress}
	for _, x := range h.tensors {
		out, err := t.target(x)
		if err != nil {
			return err
		}
		out.name = rename(out.name)
		t.out = append(t.out, out)
	}
	g.tensors, g.fill = t.out, t.fill
	return g.write(ctx, path, kv)
}

// rawValues reads the metadata as it is encoded.
func rawValues(in io.ReaderAt, h ggufHeader) (map[string]any, error) {
	kv := make(map[string]any, len(h.spans))
	for _, s := range h.spans {
		v := make(rawValue, s.to-s.from)
		if _, err := in.ReadAt(v, s.from); err != nil {
			return nil, fmt.Errorf("reading key %s: %w", s.key, err)
		}
		kv[s.key] = v
	}
	return kv, nil
}

// qwen3KV turns the metadata of Qwen 2, which the converter knows, into those
// of Qwen 3, which it does not: the layers are the same but for the norms of q
// and k, whose tensors it passes through under their original names.
func qwen3KV(kv map[string]any, config []byte) (map[string]any, error) {
	var hf struct {
		HeadDim uint32 `json:"head_dim"`
	}
	if err := json.Unmarshal(config, &hf); err != nil {
		return nil, fmt.Errorf("reading config.json: %w", err)
	}
	if hf.HeadDim == 0 {
		hf.HeadDim = 128 // the default of Qwen3Config
	}
	out := make(map[string]any, len(kv)+2)
	for k, v := range kv {
		if rest, ok := strings.CutPrefix(k, ArchQwen2+"."); ok {
			k = ArchQwen3 + "." + rest
		}
		out[k] = v
	}
	out["general.architecture"] = ArchQwen3
	out[ArchQwen3+".attention.key_length"] = hf.HeadDim
	out[ArchQwen3+".attention.value_length"] = hf.HeadDim
	return out, nil
}

// transcoder changes the number format of the matrices of a GGUF file.
type transcoder struct {
	in  io.ReaderAt
	h   ggufHeader
	to  DType // "" keeps each
	out []tensor
}

// target is x in the format it will have. Vectors and routers stay as they
// are, and so do matrices whose rows are no whole number of blocks.
func (t *transcoder) target(x ggufTensorInfo) (tensor, error) {
	from := dtypeOfKind(x.kind)
	if from == "" {
		return tensor{}, fmt.Errorf("tensor %s has type %d, which cannot be rewritten", x.name, x.kind)
	}
	out := tensor{name: x.name, dtype: from}
	for _, n := range x.shape {
		out.shape = append(out.shape, int64(n))
	}
	vector := len(x.shape) < 2 || strings.Contains(x.name, "ffn_gate_inp")
	if t.to != "" && !vector && from.info().block == 1 && out.shape[0]%int64(t.to.info().block) == 0 {
		out.dtype = t.to
	}
	return out, nil
}

// fill implements ggufFile.fill.
func (t *transcoder) fill(dst []byte, i int, first int64) error {
	src, out := t.h.tensors[i], t.out[i]
	from, to := dtypeOfKind(src.kind).info(), out.dtype.info()
	values := int64(len(dst)/to.size) * int64(to.block)
	at := t.h.data + int64(src.offset) + first*int64(to.block)/int64(from.block)*int64(from.size)
	if from == to {
		_, err := t.in.ReadAt(dst, at)
		return err
	}
	raw := make([]byte, values*int64(from.size))
	if _, err := t.in.ReadAt(raw, at); err != nil {
		return fmt.Errorf("reading tensor %s: %w", src.name, err)
	}
	encode(dst, out.dtype, decodePlain(dtypeOfKind(src.kind), raw))
	return nil
}

// decodePlain reads one of the formats without blocks.
func decodePlain(d DType, b []byte) []float32 {
	le := binary.LittleEndian
	v := make([]float32, len(b)/d.info().size)
	for i := range v {
		switch d {
		case Float32:
			v[i] = math.Float32frombits(le.Uint32(b[4*i:]))
		case BFloat16:
			v[i] = math.Float32frombits(uint32(le.Uint16(b[2*i:])) << 16)
		default:
			v[i] = float16Value(le.Uint16(b[2*i:]))
		}
	}
	return v
}

// encode writes v in format d; len(v) is a whole number of blocks.
func encode(dst []byte, d DType, v []float32) {
	le, size := binary.LittleEndian, d.info().size
	switch d {
	case Q8_0, Q4_0:
		block := encodeQ8
		if d == Q4_0 {
			block = encodeQ4
		}
		for i := 0; i < len(v); i += 32 {
			block(dst[i/32*size:], (*[32]float32)(v[i:]))
		}
	case Float32:
		for i, x := range v {
			le.PutUint32(dst[4*i:], math.Float32bits(x))
		}
	case BFloat16:
		for i, x := range v {
			le.PutUint16(dst[2*i:], bfloat16Bits(x))
		}
	default:
		for i, x := range v {
			le.PutUint16(dst[2*i:], float16Bits(x))
		}
	}
}
