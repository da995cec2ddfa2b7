package convert

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
)

// plainNames maps names of tensors in Hugging Face files to names in GGUF files.
var plainNames = strings.NewReplacer(append(sharedNames(), "post_attention_layernorm", "ffn_norm")...)

// gemmaNames is the same for Gemma, which has four norms in a layer.
var gemmaNames = strings.NewReplacer(append(sharedNames(),
	"language_model.", "",
	"post_attention_layernorm", "post_attention_norm",
	"pre_feedforward_layernorm", "ffn_norm",
	"post_feedforward_layernorm", "post_ffw_norm")...)

func sharedNames() []string {
	return []string{
		"model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output",
		"model.layers", "blk", "input_layernorm", "attn_norm",
		"self_attn.q_proj", "attn_q", "self_attn.k_proj", "attn_k", "self_attn.v_proj", "attn_v",
		"self_attn.o_proj", "attn_output", "self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm",
		"mlp.gate_proj", "ffn_gate", "mlp.up_proj", "ffn_up", "mlp.down_proj", "ffn_down",
	}
}

// target is a tensor of the file to be written, and its source.
type target struct {
	gguf.Tensor
	from    stored
	heads   int64     // rows are reordered within this many heads; 0 keeps the order
	plusOne bool      // 1 is added to each weight
	values  []float32 // the weights themselves, if they come from no file
}

type targets []target

// plan lists the tensors of the file, layer by layer.
func plan(tensors []stored, c *config, f family, dtype gguf.DType) (targets, error) {
	var out targets
	seen := map[string]bool{}
	for _, s := range tensors {
		t := target{Tensor: gguf.Tensor{Name: f.names.Replace(s.name), DType: storedAs(s, dtype)}, from: s}
		if seen[t.Name] {
			return nil, fmt.Errorf("two tensors become %s", t.Name)
		}
		seen[t.Name] = true
		t.Shape = slices.Clone(s.shape)
		slices.Reverse(t.Shape)
		t.plusOne = f.normPlusOne && strings.HasSuffix(t.Name, "_norm.weight")
		if f.interleaved {
			t.heads = c.interleavedHeads(t.Name)
		}
		if t.heads > 0 && s.shape[0]%(2*t.heads) != 0 {
			return nil, fmt.Errorf("tensor %s of shape %v cannot be shared by %d heads", s.name, s.shape, t.heads)
		}
		out = append(out, t)
	}
	if factors := c.llama3Factors(); f.interleaved && factors != nil {
		out = append(out, target{Tensor: gguf.Tensor{Name: "rope_freqs.weight", Shape: []int64{int64(len(factors))},
			DType: gguf.Float32}, values: factors})
	}
	if err := checkComplete(seen, c.Layers); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b target) int {
		return cmp.Or(cmp.Compare(layerOf(a.Name), layerOf(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

// storedAs returns the format of a tensor in the file. Vectors are float32, as the engine computes with them; a
// matrix whose rows are not a whole number of blocks stays in a format without blocks.
func storedAs(s stored, dtype gguf.DType) gguf.DType {
	if len(s.shape) < 2 {
		return gguf.Float32
	}
	if dtype != "" && s.shape[len(s.shape)-1]%int64(dtype.Info().Block) == 0 {
		return dtype
	}
	if s.dtype == gguf.BFloat16 {
		return gguf.BFloat16
	}
	return gguf.Float16
}

// interleavedHeads returns the number of heads whose rows are reordered in a tensor, 0 for none.
func (c *config) interleavedHeads(name string) int64 {
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".weight"), ".bias")
	switch {
	case strings.HasSuffix(name, ".attn_q"):
		return int64(c.Heads)
	case strings.HasSuffix(name, ".attn_k"):
		return int64(cmp.Or(c.KVHeads, c.Heads))
	}
	return 0
}

// layerOf returns the number in a name like blk.3.attn_q.weight; other tensors come last.
func layerOf(name string) int {
	if rest, ok := strings.CutPrefix(name, "blk."); ok {
		number, _, _ := strings.Cut(rest, ".")
		if n, err := strconv.Atoi(number); err == nil {
			return n
		}
	}
	return math.MaxInt
}

// checkComplete checks the tensors that every layer has, so that a missing file is reported here and not when the
// engine reads the layer.
func checkComplete(have map[string]bool, layers uint32) error {
	missing := func(name string) error {
		return fault.New(codes.ClassCorruptModel, nil, "check that the folder is complete, or download it again",
			"the weights lack tensor %s", name)
	}
	for i := range layers {
		for _, part := range []string{"attn_q", "attn_k", "attn_v", "attn_output", "attn_norm", "ffn_gate", "ffn_up",
			"ffn_down", "ffn_norm"} {
			if name := fmt.Sprintf("blk.%d.%s.weight", i, part); !have[name] {
				return missing(name)
			}
		}
	}
	for _, name := range []string{"token_embd.weight", "output_norm.weight"} {
		if !have[name] {
			return missing(name)
		}
	}
	return nil
}

// chunk is the number of weights converted at once, a whole number of blocks.
const chunk = 1 << 14

// fill implements gguf.File.Fill.
func (ts targets) fill(dst []byte, i int, first int64) error {
	t := ts[i]
	to := t.DType.Info()
	at := first * int64(to.Block)
	values := int64(len(dst)/to.Size) * int64(to.Block)
	if t.values != nil {
		gguf.Encode(dst, t.DType, t.values[at:at+values])
		return nil
	}
	if t.from.dtype == t.DType && !t.plusOne {
		return t.read(dst, at)
	}
	raw := make([]byte, chunk*t.from.dtype.Info().Size)
	buf := make([]float32, chunk)
	for done := int64(0); done < values; done += chunk {
		v := buf[:min(chunk, values-done)]
		b := raw[:len(v)*t.from.dtype.Info().Size]
		if err := t.read(b, at+done); err != nil {
			return err
		}
		gguf.Decode(v, t.from.dtype, b)
		if t.plusOne {
			for i := range v {
				v[i]++
			}
		}
		gguf.Encode(dst[done/int64(to.Block)*int64(to.Size):], t.DType, v)
	}
	return nil
}

// read reads stored weights, from weight at in written order on.
func (t target) read(dst []byte, at int64) error {
	size := int64(t.from.dtype.Info().Size)
	if t.heads == 0 {
		return t.readAt(dst, t.from.at+at*size)
	}
	width := t.from.elements() / t.from.shape[0] // of a row
	for len(dst) > 0 {
		row, col := at/width, at%width
		n := min(width-col, int64(len(dst))/size)
		if err := t.readAt(dst[:n*size], t.from.at+(t.sourceRow(row)*width+col)*size); err != nil {
			return err
		}
		dst, at = dst[n*size:], at+n
	}
	return nil
}

// sourceRow returns the stored row that becomes a row of the file. Hugging Face files rotate row j of a head of d
// rows with row j+d/2; GGUF files of the Llama family have such rows side by side.
func (t target) sourceRow(row int64) int64 {
	d := t.from.shape[0] / t.heads
	head, j := row/d, row%d
	return head*d + j%2*(d/2) + j/2
}

func (t target) readAt(dst []byte, at int64) error {
	if _, err := t.from.file.ReadAt(dst, at); err != nil {
		return fault.New(codes.ClassCorruptModel, err, "check the disk, or download the model again",
			"cannot read tensor %s",
			t.from.name)
	}
	return nil
}
