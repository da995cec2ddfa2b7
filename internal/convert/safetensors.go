package convert

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
)

// weights are the tensors of a folder, in files that stay open.
type weights struct {
	files   []*os.File
	tensors []stored
}

// stored is a tensor of a safetensors file.
type stored struct {
	name  string
	dtype gguf.DType
	shape []int64 // as in Python: rows first
	file  *os.File
	at    int64 // offset in the file
}

// elements returns the number of weights.
func (s stored) elements() int64 {
	n := int64(1)
	for _, d := range s.shape {
		n *= d
	}
	return n
}

// indexFile maps tensors to the files of a checkpoint.
const indexFile = "model.safetensors.index.json"

// maxHeader is the maximum size of a safetensors header, as in the reference implementation.
const maxHeader = 100_000_000

func (w *weights) close() {
	for _, f := range w.files {
		_ = f.Close()
	}
}

// openWeights reads the headers of the safetensors files of a folder.
func openWeights(dir string) (_ *weights, err error) {
	w := &weights{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	names, err := weightFiles(dir)
	if err != nil {
		return nil, err
	}
	seen := map[string]string{}
	for _, name := range names {
		f, err := disk.Open(filepath.Join(dir, name), disk.Unbounded)
		if _, odd := errors.AsType[*disk.OddFileError](err); odd {
			return nil, disk.ReadError(name, err)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fault.New(codes.ClassCorruptModel, nil, "download the model again",
				"%s is not complete: %s names the file %q, which is not there", dir, indexFile, name)
		}
		if err != nil {
			return nil, fault.New(codes.ClassCorruptModel, err, "download the model again", "%s is not complete", dir)
		}
		w.files = append(w.files, f)
		tensors, err := readSafetensors(f)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		for _, t := range tensors {
			if other, ok := seen[t.name]; ok {
				return nil, fmt.Errorf("tensor %s is in %s and in %s", t.name, other, name)
			}
			seen[t.name] = name
		}
		w.tensors = append(w.tensors, tensors...)
	}
	return w, nil
}

// weightFiles names the files with the weights: model.safetensors, or the files of the index, or all that exist.
func weightFiles(dir string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(dir, "model.safetensors")); err == nil {
		return []string{"model.safetensors"}, nil
	}
	var index struct {
		Map map[string]string `json:"weight_map"`
	}
	if _, err := readJSON(dir, indexFile, &index); err != nil {
		return nil, err
	}
	var names []string
	for _, name := range index.Map {
		if !filepath.IsLocal(name) {
			return nil, fmt.Errorf("%s names the file %s", indexFile, name)
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		paths, _ := filepath.Glob(filepath.Join(dir, "*.safetensors"))
		for _, p := range paths {
			names = append(names, filepath.Base(p))
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		return slices.Compact(names), nil
	}
	if torch, _ := filepath.Glob(filepath.Join(dir, "pytorch_model*.bin")); len(torch) > 0 {
		return nil, fault.New(codes.ClassUnsupportedModel, nil,
			"use a version of it with safetensors, a GGUF file, or a Python backend",
			"%s holds its weights as PyTorch files, which cannot be converted", dir)
	}
	return nil, fault.New(codes.ClassModelNotFound, nil, "download the weights too, or use random:<shape>",
		"%s has a config.json but no weights", dir)
}

// readSafetensors reads the header of a file, in the order of the names: its length in 8 bytes, then JSON. Every
// position is checked against the file's size.
func readSafetensors(f *os.File) ([]stored, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	out, err := safetensorsHeader(f, st.Size())
	for i := range out {
		out[i].file = f
	}
	return out, err
}

func safetensorsHeader(r io.ReaderAt, size int64) ([]stored, error) {
	head := make([]byte, 8)
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("it is not a safetensors file: %w", err)
	}
	n := binary.LittleEndian.Uint64(head)
	if n > maxHeader || int64(n) > size-8 {
		start := make([]byte, min(size, 512))
		if _, err := r.ReadAt(start, 0); err == nil {
			if look, ok := disk.LookOf(start); ok {
				return nil, fault.New(codes.ClassCorruptModel, nil, look.Next, "%v", look)
			}
		}
		return nil, fmt.Errorf("it is not a safetensors file, or truncated: its header has %d bytes", n)
	}
	head = make([]byte, n)
	if _, err := r.ReadAt(head, 8); err != nil {
		return nil, err
	}
	var entries map[string]struct {
		DType   string   `json:"dtype"`
		Shape   []int64  `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	if err := json.Unmarshal(head, &entries); err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	delete(entries, "__metadata__")
	data := 8 + int64(n)
	var out []stored
	for _, name := range sorted(entries) {
		e := entries[name]
		t := stored{name: name, shape: e.Shape, at: data + e.Offsets[0]}
		var ok bool
		if t.dtype, ok = plainDType(e.DType); !ok || len(e.Shape) == 0 {
			return nil, fault.New(codes.ClassUnsupportedDType, nil,
				"use the unquantized model, a GGUF file, or a Python backend",
				"tensor %s is stored as %s of shape %v, which cannot be converted", name, e.DType, e.Shape)
		}
		bytes, ok := plainBytes(e.Shape, t.dtype)
		from, to := e.Offsets[0], e.Offsets[1]
		if !ok || from < 0 || to < from || to-from != bytes {
			return nil, fmt.Errorf("tensor %s of shape %v cannot be bytes %d to %d", name, e.Shape, from, to)
		}
		if to > size-data {
			return nil, fmt.Errorf("the file is truncated: tensor %s ends beyond it", name)
		}
		out = append(out, t)
	}
	return out, whole(out, data, size)
}

// whole refuses tensors that overlap, and bytes of a file that belong to no tensor: the format has neither, and
// one changed digit of an offset would give a tensor the weights of its neighbour.
func whole(tensors []stored, data, size int64) error {
	byPlace := slices.SortedFunc(slices.Values(tensors), func(a, b stored) int { return cmp.Compare(a.at, b.at) })
	at, before := data, "the header"
	for _, t := range byPlace {
		if t.at != at {
			return fmt.Errorf("tensor %s begins at byte %d of the data, %s ends at %d", t.name, t.at-data, before,
				at-data)
		}
		at += t.elements() * int64(t.dtype.Info().Size)
		before = "tensor " + t.name
	}
	if at != size {
		return fmt.Errorf("its tensors end at byte %d of the data, which has %d", at-data, size-data)
	}
	return nil
}

// plainDType returns the format for a name in safetensors files.
func plainDType(name string) (gguf.DType, bool) {
	switch name {
	case "F32":
		return gguf.Float32, true
	case "F16":
		return gguf.Float16, true
	case "BF16":
		return gguf.BFloat16, true
	}
	return "", false
}

// plainBytes returns the size of a tensor; false if the shape is invalid.
func plainBytes(shape []int64, d gguf.DType) (int64, bool) {
	const most = 1 << 48
	n := int64(d.Info().Size)
	for _, x := range shape {
		if x <= 0 || x > most/n {
			return 0, false
		}
		n *= x
	}
	return n, true
}
