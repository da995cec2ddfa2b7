// Package gguf reads and writes GGUF, the file format of ggml engines: a list of keys with values, a list of
// tensors, and their data.
//
//	ReadFile ─▶ Header: keys, tensors, where the data are
//	File{Meta, Tensors, Fill}.Write ─▶ a file that is whole or absent
//
// [Encode] and [Decode] convert the number formats. All cores write a file in parts of at most 4 MiB, so that
// memory does not depend on its size. Every length in a header is checked before it is used.
package gguf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/llenergymeasure/llem/internal/disk"
)

// alignment is the alignment of tensor data in a GGUF file.
const alignment = 32

// Tensor is one entry of a GGUF file.
type Tensor struct {
	Name  string
	Shape []int64 // in ggml order: the input dimension, along which weights are contiguous, comes first
	DType DType
}

// Elements returns the number of weights.
func (t Tensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Bytes returns the size of the data.
func (t Tensor) Bytes() int64 {
	i := t.DType.Info()
	return t.Elements() / int64(i.Block) * int64(i.Size)
}

// CellBytes returns the size of the smallest part that is written at once: one weight, or one block of weights.
func (t Tensor) CellBytes() int { return t.DType.Info().Size }

// File is a GGUF file to be written.
type File struct {
	// Meta maps keys to values: string, bool, uint32, float32, or a list of string, bool, int32 or float32.
	Meta    map[string]any
	Tensors []Tensor
	// Fill writes the data of tensor i from cell first on. It is called concurrently, on parts of at most 4 MiB that
	// start at a multiple of four cells.
	Fill func(dst []byte, i int, first int64) error
	// Progress, which may be nil, receives the bytes written so far, from several goroutines but never concurrently.
	Progress func(done, total int64)

	start int64   // offset of the tensor data
	at    []int64 // offset of each tensor within it
	total int64   // size of the file
}

// Write writes the file at path, or nothing: first to a temporary file in the same folder, then renamed.
func (g *File) Write(ctx context.Context, path string) error {
	header, err := g.layout()
	if err != nil {
		return fmt.Errorf("laying out %s: %w", path, err)
	}
	err = disk.Replace(path, g.total, func(f *os.File) error {
		if _, err := f.WriteAt(header, 0); err != nil {
			return err
		}
		return g.writeData(ctx, f)
	})
	return disk.WriteError(path, g.total, err)
}

// layout places the tensors and returns the encoded header.
func (g *File) layout() ([]byte, error) {
	var e encoder
	e.raw("GGUF")
	e.u32(3)
	e.u64(uint64(len(g.Tensors)))
	e.u64(uint64(len(g.Meta)))
	for _, k := range slices.Sorted(maps.Keys(g.Meta)) {
		e.str(k)
		if err := e.value(g.Meta[k]); err != nil {
			return nil, fmt.Errorf("key %s: %w", k, err)
		}
	}
	var off int64
	for _, t := range g.Tensors {
		g.at = append(g.at, off)
		e.str(t.Name)
		e.u32(uint32(len(t.Shape)))
		for _, n := range t.Shape {
			e.u64(uint64(n))
		}
		e.u32(t.DType.Info().Kind)
		e.u64(uint64(off))
		off = align(off + t.Bytes())
	}
	for len(e.b)%alignment != 0 {
		e.b = append(e.b, 0)
	}
	g.start = int64(len(e.b))
	g.total = g.start + off
	return e.b, nil
}

func align(n int64) int64 { return (n + alignment - 1) / alignment * alignment }

// span is the part of a tensor that one worker writes at once.
type span struct {
	tensor int
	first  int64 // cell
	cells  int64
}

// writeData fills the tensors with all cores and stops early when ctx ends.
func (g *File) writeData(ctx context.Context, f *os.File) error {
	if err := f.Truncate(g.total); err != nil {
		return err
	}
	spans := g.spans()
	var next, done atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := make([]error, min(runtime.GOMAXPROCS(0), len(spans)))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for w := range errs {
		wg.Go(func() {
			buf := make([]byte, 0, spanBytes)
			for i := next.Add(1) - 1; i < int64(len(spans)); i = next.Add(1) - 1 {
				if errs[w] = ctx.Err(); errs[w] != nil {
					return
				}
				if errs[w] = g.writeSpan(f, spans[i], buf); errs[w] != nil {
					stop()
					return
				}
				done.Add(spans[i].cells * int64(g.Tensors[spans[i].tensor].CellBytes()))
				if g.Progress != nil {
					mu.Lock()
					g.Progress(g.start+done.Load(), g.total)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return firstReal(errs)
}

// writeSpan fills and writes one part, using buf.
func (g *File) writeSpan(f *os.File, s span, buf []byte) error {
	size := int64(g.Tensors[s.tensor].CellBytes())
	buf = buf[:s.cells*size]
	if err := g.Fill(buf, s.tensor, s.first); err != nil {
		return err
	}
	_, err := f.WriteAt(buf, g.start+g.at[s.tensor]+s.first*size)
	return err
}

// firstReal returns the error that made the others stop.
func firstReal(errs []error) error {
	var err error
	for _, e := range errs {
		if e != nil && (err == nil || errors.Is(err, context.Canceled)) {
			err = e
		}
	}
	return err
}

const spanBytes = 4 << 20

// spans splits the tensors into pieces of at most spanBytes, each starting at a multiple of four cells.
func (g *File) spans() []span {
	var out []span
	for i, t := range g.Tensors {
		cells := t.Bytes() / int64(t.CellBytes())
		step := int64(spanBytes/t.CellBytes()) / 4 * 4
		for first := int64(0); first < cells; first += step {
			out = append(out, span{i, first, min(step, cells-first)})
		}
	}
	return out
}

// encoder appends GGUF values, which are little-endian.
type encoder struct{ b []byte }

func (e *encoder) raw(s string) { e.b = append(e.b, s...) }
func (e *encoder) u32(v uint32) { e.b = binary.LittleEndian.AppendUint32(e.b, v) }
func (e *encoder) u64(v uint64) { e.b = binary.LittleEndian.AppendUint64(e.b, v) }
func (e *encoder) str(s string) { e.u64(uint64(len(s))); e.raw(s) }

func (e *encoder) value(v any) error {
	switch v := v.(type) {
	case uint32:
		e.u32(typeUint32)
		e.u32(v)
	case float32:
		e.u32(typeFloat32)
		e.u32(math.Float32bits(v))
	case bool:
		e.u32(typeBool)
		e.b = append(e.b, boolByte(v))
	case string:
		e.u32(typeString)
		e.str(v)
	case []string:
		e.list(typeString, len(v))
		for _, s := range v {
			e.str(s)
		}
	case []int32:
		e.list(typeInt32, len(v))
		for _, n := range v {
			e.u32(uint32(n))
		}
	case []float32:
		e.list(typeFloat32, len(v))
		for _, x := range v {
			e.u32(math.Float32bits(x))
		}
	case []bool:
		e.list(typeBool, len(v))
		for _, x := range v {
			e.b = append(e.b, boolByte(x))
		}
	default:
		return fmt.Errorf("GGUF has no type for %T", v)
	}
	return nil
}

func (e *encoder) list(kind uint32, n int) {
	e.u32(typeArray)
	e.u32(kind)
	e.u64(uint64(n))
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
