package convert

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/llenergymeasure/llem/internal/gguf"
)

// conversion is one on its way.
type conversion struct {
	config []byte // config.json for the converter
	class  string // what the model really is
	Options
}

// finishConversion writes what the converter left at first to path, with the
// right architecture and number format.
func finishConversion(ctx context.Context, first, path string, c conversion) error {
	in, err := os.Open(first)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	h, err := gguf.Read(in, st.Size())
	if err != nil {
		return fmt.Errorf("reading what the converter wrote: %w", err)
	}
	kv, err := h.RawValues(in)
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
	if c.DType == "" && c.class != "Qwen3ForCausalLM" {
		return os.Rename(first, path)
	}
	if c.DType != "" {
		kv["general.file_type"] = c.DType.Info().FileType
	}
	t := transcoder{in: in, h: h, to: c.DType}
	g := gguf.File{Meta: kv, Progress: c.Progress}
	for _, x := range h.Tensors {
		out, err := t.target(x)
		if err != nil {
			return err
		}
		out.Name = rename(out.Name)
		t.out = append(t.out, out)
	}
	g.Tensors, g.Fill = t.out, t.fill
	return g.Write(ctx, path)
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
		if rest, ok := strings.CutPrefix(k, "qwen2"+"."); ok {
			k = "qwen3" + "." + rest
		}
		out[k] = v
	}
	out["general.architecture"] = "qwen3"
	out["qwen3"+".attention.key_length"] = hf.HeadDim
	out["qwen3"+".attention.value_length"] = hf.HeadDim
	return out, nil
}

// transcoder changes the number format of the matrices of a GGUF file.
type transcoder struct {
	in  io.ReaderAt
	h   gguf.Header
	to  gguf.DType // "" keeps each
	out []gguf.Tensor
}

// target is x in the format it will have. Vectors and routers stay as they
// are, and so do matrices whose rows are no whole number of blocks.
func (t *transcoder) target(x gguf.TensorInfo) (gguf.Tensor, error) {
	from := gguf.DTypeOfKind(x.Kind)
	if from == "" {
		return gguf.Tensor{}, fmt.Errorf("tensor %s has type %d, which cannot be rewritten", x.Name, x.Kind)
	}
	out := gguf.Tensor{Name: x.Name, DType: from}
	for _, n := range x.Shape {
		out.Shape = append(out.Shape, int64(n))
	}
	vector := len(x.Shape) < 2 || strings.Contains(x.Name, "ffn_gate_inp")
	if t.to != "" && !vector && from.Info().Block == 1 && out.Shape[0]%int64(t.to.Info().Block) == 0 {
		out.DType = t.to
	}
	return out, nil
}

// fill implements ggufFile.fill.
func (t *transcoder) fill(dst []byte, i int, first int64) error {
	src, out := t.h.Tensors[i], t.out[i]
	from, to := gguf.DTypeOfKind(src.Kind).Info(), out.DType.Info()
	values := int64(len(dst)/to.Size) * int64(to.Block)
	at := t.h.Data + int64(src.Offset) + first*int64(to.Block)/int64(from.Block)*int64(from.Size)
	if from == to {
		_, err := t.in.ReadAt(dst, at)
		return err
	}
	raw := make([]byte, values*int64(from.Size))
	if _, err := t.in.ReadAt(raw, at); err != nil {
		return fmt.Errorf("reading tensor %s: %w", src.Name, err)
	}
	gguf.Encode(dst, out.DType, gguf.Decode(gguf.DTypeOfKind(src.Kind), raw))
	return nil
}
