package adapter

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/note"
)

// matrix is a matrix of a model that gets an adapter.
type matrix struct {
	name    string
	in, out int
}

// weights calls add with the numbers of A (rank × in) and B (out × rank) of a matrix, row by row: normal, small
// beside the matrix's own, none of them zero.
func (m matrix) weights(rank int, draw *rand.Rand,
	add func(letter string, rows, columns int, values []float32) error) error {
	for _, part := range []struct {
		letter        string
		rows, columns int
		width         float64
	}{{"A", rank, m.in, float64(m.in)}, {"B", m.out, rank, 100 * float64(rank)}} {
		values := make([]float32, part.rows*part.columns)
		for i := range values {
			v := draw.NormFloat64()
			if v == 0 {
				v = 1
			}
			values[i] = float32(v / math.Sqrt(part.width))
		}
		if err := add(part.letter, part.rows, part.columns, values); err != nil {
			return err
		}
	}
	return nil
}

// fits refuses a rank higher than the rank of the matrix.
func (m matrix) fits(key string, rank int) error {
	if rank > min(m.in, m.out) {
		return refused(key, random+strconv.Itoa(rank), "use a lower rank", "%s has %d inputs and %d outputs", m.name,
			m.in, m.out)
	}
	return nil
}

// generator draws the weights of an adapter.
func generator(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x6c6f7261)) } //nolint:gosec // weights

// plain are the architectures whose attention has four separate projections with the usual names.
var plain = []string{shape.ArchLlama, shape.ArchQwen2, shape.ArchQwen3, shape.ArchQwen3MoE, shape.ArchGemma2,
	shape.ArchGemma3}

// projections of attention, by the names of transformers.
var projections = []string{"q_proj", "k_proj", "v_proj", "o_proj"}

// writeFolder writes an adapter of random weights as peft does, for the model in a folder.
func writeFolder(key, dir, model string, rank int, seed uint64) error {
	c, err := shape.FromHFFolder(model)
	if err != nil {
		return fmt.Errorf("%s: read the shape of the model: %w", key, err)
	}
	if !slices.Contains(plain, c.Arch) || c.Layout != nil || c.Tower != nil {
		return refused(key, random+strconv.Itoa(rank), "give the folder of an adapter of this model",
			"the layers of a %s model are not known to llem by the names that adapters use", c.Arch)
	}
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	var list []matrix
	for i := range c.Layers {
		at := fmt.Sprintf("model.layers.%d.self_attn.", i)
		list = append(list, matrix{at + "q_proj", c.Hidden, q}, matrix{at + "k_proj", c.Hidden, kv},
			matrix{at + "v_proj", c.Hidden, kv}, matrix{at + "o_proj", q, c.Hidden})
	}
	for _, m := range list {
		if err := m.fits(key, rank); err != nil {
			return err
		}
	}
	config, err := json.Marshal(map[string]any{"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank,
		"lora_alpha": rank, "lora_dropout": 0.0, "bias": "none", "target_modules": projections, "inference_mode": true,
		"base_model_name_or_path": nil, "fan_in_fan_out": false, "modules_to_save": nil, "use_dora": false,
		"use_rslora": false})
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, configFile), config, 0o600),
		writeSafetensors(filepath.Join(dir, weightsFile), list, rank, seed))
}

// tensor is an entry of the header of a safetensors file
// (https://huggingface.co/docs/safetensors): a length of 8 bytes, JSON, and the numbers.
type tensor struct {
	DType   string   `json:"dtype"`
	Shape   [2]int   `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// writeSafetensors writes the weights of an adapter, 32 bits each.
func writeSafetensors(path string, list []matrix, rank int, seed uint64) (err error) {
	header, at := map[string]tensor{}, int64(0)
	entry := func(m matrix, letter string, rows, columns int) {
		end := at + 4*int64(rows)*int64(columns)
		header["base_model.model."+m.name+".lora_"+letter+".weight"] = tensor{"F32", [2]int{rows, columns},
			[2]int64{at, end}}
		at = end
	}
	for _, m := range list {
		entry(m, "A", rank, m.in)
		entry(m, "B", m.out, rank)
	}
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	text = append(text, strings.Repeat(" ", (8-len(text)%8)%8)...)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w, draw := bufio.NewWriter(file), generator(seed)
	if err := binary.Write(w, binary.LittleEndian, uint64(len(text))); err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	for _, m := range list {
		err := m.weights(rank, draw, func(_ string, _, _ int, values []float32) error {
			return binary.Write(w, binary.LittleEndian, values)
		})
		if err != nil {
			return err
		}
	}
	return w.Flush()
}

// ggufProjections are the projections of attention of a layer in a GGUF file.
var ggufProjections = []string{"attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight"}

// attention lists the projections of a GGUF file's layers.
func attention(h gguf.Header) []matrix {
	var list []matrix
	for _, t := range h.Tensors {
		layer, part, ok := strings.Cut(strings.TrimPrefix(t.Name, "blk."), ".")
		if _, err := strconv.Atoi(layer); ok && err == nil && slices.Contains(ggufProjections, part) &&
			len(t.Shape) == 2 {
			list = append(list, matrix{t.Name, int(t.Shape[0]), int(t.Shape[1])})
		}
	}
	return list
}

// writeGGUF writes an adapter of random weights as a GGUF file, for the model in another.
func writeGGUF(ctx context.Context, key, path, model string, rank int, seed uint64) error {
	h, err := shape.ReadGGUF(model)
	if err != nil {
		return err
	}
	list := attention(h)
	layers, _ := h.Uint(h.Text("general.architecture") + ".block_count")
	if len(list) == 0 || len(list) != layers*len(ggufProjections) {
		return refused(key, random+strconv.Itoa(rank), "give the GGUF file of an adapter of this model",
			"%d of the %d layers' projections of attention are matrices of their own in %s", len(list),
			layers*len(ggufProjections), filepath.Base(model))
	}
	file := gguf.File{Meta: map[string]any{"general.type": "adapter", "adapter.type": "lora",
		"general.architecture": h.Text("general.architecture"), "adapter.lora.alpha": float32(rank)}}
	var values [][]float32
	draw := generator(seed)
	for _, m := range list {
		if err := m.fits(key, rank); err != nil {
			return err
		}
		err := m.weights(rank, draw, func(letter string, rows, columns int, v []float32) error {
			file.Tensors = append(file.Tensors, gguf.Tensor{Name: m.name + ".lora_" + strings.ToLower(letter),
				Shape: []int64{int64(columns), int64(rows)}, DType: gguf.Float32})
			values = append(values, v)
			return nil
		})
		if err != nil {
			return err
		}
	}
	file.Fill = func(dst []byte, i int, first int64) error {
		gguf.Encode(dst, gguf.Float32, values[i][first:first+int64(len(dst)/4)])
		return nil
	}
	return file.Write(ctx, path)
}

// readGGUF checks an adapter in a GGUF file against the model in another, and returns its rank.
func readGGUF(key, path, model string) (int, error) {
	h, err := gguf.ReadFile(path)
	if err != nil {
		return 0, &note.Failure{Class: codes.ClassModelNotFound, Err: err, Message: key + " " + path,
			Next: "give the GGUF file of an adapter, or random:RANK"}
	}
	of, err := gguf.ReadFile(model)
	if err != nil {
		return 0, err
	}
	const next = "use an adapter of this model, converted with llama.cpp's convert_lora_to_gguf.py"
	arch := of.Text("general.architecture")
	switch {
	case h.Text("general.type") != "adapter" || h.Text("adapter.type") != "lora":
		return 0, refused(key, path, next, "the file is not a LoRA adapter: its general.type is %q",
			h.Text("general.type"))
	case h.Text("general.architecture") != arch:
		return 0, refused(key, path, next, "it is an adapter of a %s model, and the model is of architecture %s",
			h.Text("general.architecture"), arch)
	}
	rank := 0
	for _, t := range h.Tensors {
		if strings.HasSuffix(t.Name, ".lora_b") && len(t.Shape) > 0 {
			rank = max(rank, int(t.Shape[0]))
		}
	}
	return rank, nil
}
