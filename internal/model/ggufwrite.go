package model

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// ggufAlign is the alignment of tensor data in a GGUF file.
const ggufAlign = 32

// WriteGGUF writes a model of the given shape with random weights to path:
// first to a temporary file in the same folder, then renamed, so that path
// either holds a whole model or is untouched. The same shape, dtype and seed
// give the same bytes. progress, which may be nil, is called with the bytes
// written so far, from several goroutines but never twice at once.
func WriteGGUF(ctx context.Context, path string, shape Config, dtype DType, seed uint64,
	progress func(done, total int64)) error {
	if err := checkWritable(shape); err != nil {
		return err
	}
	dtype, err := ParseDType(string(dtype))
	if err != nil {
		return err
	}
	draw := drawer{seed}
	g := &ggufFile{tensors: shape.tensors(dtype), progress: progress}
	g.fill = func(dst []byte, i int, first int64) error {
		draw.fill(dst, g.tensors[i], first)
		return nil
	}
	return g.write(ctx, path, shape.ggufKV(dtype, ggufName(path)))
}

func ggufName(path string) string {
	base := filepath.Base(path)
	return base[:len(base)-len(filepath.Ext(base))]
}

// checkWritable says whether the embedded engine could run the shape at all.
func checkWritable(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	switch {
	case c.Arch == ArchPhi3, c.Arch == ArchLlama && c.Experts > 0:
		return fail(ClassUnsupportedModel, nil,
			"use a llama, qwen2, qwen3, gemma2 or gemma3 shape, or a Python backend",
			"the embedded engine cannot run this %s model", c.Arch)
	case c.Vocab < firstFiller:
		return badConfig("vocabulary of %d, but 256 bytes and 3 control tokens need %d", c.Vocab, firstFiller)
	}
	return nil
}

// ggufFile is a GGUF file being written.
type ggufFile struct {
	tensors  []tensor
	progress func(done, total int64)
	// fill writes the data of tensor i from cell first on; many run at once.
	fill func(dst []byte, i int, first int64) error

	start int64   // offset of the tensor data
	at    []int64 // offset of each tensor within it
	total int64   // size of the file
}

// write writes the file at path, or nothing.
func (g *ggufFile) write(ctx context.Context, path string, kv map[string]any) error {
	header, err := g.layout(kv)
	if err != nil {
		return fmt.Errorf("laying out %s: %w", path, err)
	}
	err = replaceFile(path, g.total, func(f *os.File) error {
		if _, err := f.WriteAt(header, 0); err != nil {
			return err
		}
		return g.writeData(ctx, f)
	})
	return writeError(path, g.total, err)
}

// layout places the tensors and returns the encoded header.
func (g *ggufFile) layout(kv map[string]any) ([]byte, error) {
	var e ggufEncoder
	e.raw("GGUF")
	e.u32(3)
	e.u64(uint64(len(g.tensors)))
	e.u64(uint64(len(kv)))
	for _, k := range slices.Sorted(maps.Keys(kv)) {
		e.str(k)
		if err := e.value(kv[k]); err != nil {
			return nil, fmt.Errorf("key %s: %w", k, err)
		}
	}
	var off int64
	for _, t := range g.tensors {
		g.at = append(g.at, off)
		e.str(t.name)
		e.u32(uint32(len(t.shape)))
		for _, n := range t.shape {
			e.u64(uint64(n))
		}
		e.u32(t.dtype.info().kind)
		e.u64(uint64(off))
		off = align(off + t.bytes())
	}
	for len(e.b)%ggufAlign != 0 {
		e.b = append(e.b, 0)
	}
	g.start = int64(len(e.b))
	g.total = g.start + off
	return e.b, nil
}

func align(n int64) int64 { return (n + ggufAlign - 1) / ggufAlign * ggufAlign }

// span is a part of a tensor that one worker writes at once.
type span struct {
	tensor int
	first  int64 // cell
	cells  int64
}

// writeData fills the tensors with all cores and stops early when ctx ends.
func (g *ggufFile) writeData(ctx context.Context, f *os.File) error {
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
				done.Add(spans[i].cells * int64(g.tensors[spans[i].tensor].cellBytes()))
				if g.progress != nil {
					mu.Lock()
					g.progress(g.start+done.Load(), g.total)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return firstReal(errs)
}

// writeSpan fills and writes one part, in the space of buf.
func (g *ggufFile) writeSpan(f *os.File, s span, buf []byte) error {
	size := int64(g.tensors[s.tensor].cellBytes())
	buf = buf[:s.cells*size]
	if err := g.fill(buf, s.tensor, s.first); err != nil {
		return err
	}
	_, err := f.WriteAt(buf, g.start+g.at[s.tensor]+s.first*size)
	return err
}

// firstReal prefers the error that made the others stop.
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

// spans cuts the tensors into pieces of at most spanBytes, each starting at a
// multiple of four cells.
func (g *ggufFile) spans() []span {
	var out []span
	for i, t := range g.tensors {
		cells := t.bytes() / int64(t.cellBytes())
		step := int64(spanBytes/t.cellBytes()) / 4 * 4
		for first := int64(0); first < cells; first += step {
			out = append(out, span{i, first, min(step, cells-first)})
		}
	}
	return out
}

// replaceFile writes path through a temporary file beside it, which it syncs
// and renames on success and removes otherwise. size is what will be written.
func replaceFile(path string, size int64, write func(*os.File) error) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := checkSpace(dir, size); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// ggufEncoder appends GGUF values, which are little-endian.
type ggufEncoder struct{ b []byte }

func (e *ggufEncoder) raw(s string) { e.b = append(e.b, s...) }
func (e *ggufEncoder) u32(v uint32) { e.b = binary.LittleEndian.AppendUint32(e.b, v) }
func (e *ggufEncoder) u64(v uint64) { e.b = binary.LittleEndian.AppendUint64(e.b, v) }
func (e *ggufEncoder) str(s string) { e.u64(uint64(len(s))); e.raw(s) }

// rawValue is a value that is encoded already, its type included.
type rawValue []byte

func (e *ggufEncoder) value(v any) error {
	switch v := v.(type) {
	case rawValue:
		e.raw(string(v))
	case uint32:
		e.u32(ggufUint32)
		e.u32(v)
	case float32:
		e.u32(ggufFloat32)
		e.u32(math.Float32bits(v))
	case bool:
		e.u32(ggufBool)
		e.b = append(e.b, boolByte(v))
	case string:
		e.u32(ggufString)
		e.str(v)
	case []string:
		e.array(ggufString, len(v))
		for _, s := range v {
			e.str(s)
		}
	case []int32:
		e.array(ggufInt32, len(v))
		for _, n := range v {
			e.u32(uint32(n))
		}
	case []float32:
		e.array(ggufFloat32, len(v))
		for _, x := range v {
			e.u32(math.Float32bits(x))
		}
	case []bool:
		e.array(ggufBool, len(v))
		for _, x := range v {
			e.b = append(e.b, boolByte(x))
		}
	default:
		return fmt.Errorf("GGUF has no type for %T", v)
	}
	return nil
}

func (e *ggufEncoder) array(kind uint32, n int) {
	e.u32(ggufArray)
	e.u32(kind)
	e.u64(uint64(n))
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
