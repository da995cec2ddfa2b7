package model

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// Value types of GGUF.
const (
	ggufUint8 uint32 = iota
	ggufInt8
	ggufUint16
	ggufInt16
	ggufUint32
	ggufInt32
	ggufFloat32
	ggufBool
	ggufString
	ggufArray
	ggufUint64
	ggufInt64
	ggufFloat64
)

// Limits that no real model comes near; beyond them a file is damaged.
const (
	maxTensors = 1 << 20
	maxKeys    = 1 << 16
	maxArray   = 1 << 25
	maxDims    = 8
)

// ggufArrayInfo stands for an array; only short numeric arrays keep values.
type ggufArrayInfo struct {
	kind   uint32
	n      int64
	values []any
}

// ggufTensorInfo is a tensor as the header describes it.
type ggufTensorInfo struct {
	name   string
	shape  []uint64
	kind   uint32
	offset uint64
}

// ggufHeader is what a GGUF file says about itself.
type ggufHeader struct {
	kv      map[string]any
	tensors []ggufTensorInfo
	data    int64 // offset of the tensor data
	spans   []kvSpan
}

// kvSpan is where the value of a key lies in the file, its type included.
type kvSpan struct {
	key      string
	from, to int64
}

// readGGUFFile reads and checks the header of the file at path.
func readGGUFFile(path string) (ggufHeader, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return ggufHeader{}, fail(ClassNotFound, nil, "check the path", "there is no file %s", path)
		}
		return ggufHeader{}, fail(ClassPermission, err, "check that you may read it", "cannot open %s", path)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return ggufHeader{}, fmt.Errorf("reading %s: %w", path, err)
	}
	if st.IsDir() {
		return ggufHeader{}, fail(ClassNotFound, nil, "name the .gguf file inside it",
			"%s is a folder, not a GGUF file", path)
	}
	h, err := readGGUF(f, st.Size())
	if err != nil {
		return h, fail(ClassCorrupt, err, "download or generate it again", "%s is not a usable GGUF file", path)
	}
	return h, nil
}

// readGGUF reads the header of a GGUF file of the given size. Every length is
// checked against the size before it is believed: the engine's own decoder
// allocates what a damaged file asks for.
func readGGUF(r io.Reader, size int64) (h ggufHeader, err error) {
	if size == 0 {
		return h, errors.New("the file is empty")
	}
	d := &ggufDecoder{r: bufio.NewReaderSize(r, 1<<16), left: size}
	if magic := d.bytes(4); d.err != nil || string(magic) != "GGUF" {
		return h, errors.New("it does not start with GGUF")
	}
	if v := d.u32(); v < 2 || v > 3 {
		return h, fmt.Errorf("version %d of the format; only 2 and 3 are known", v)
	}
	tensors, keys := d.u64(), d.u64()
	if d.err == nil && (tensors > maxTensors || keys > maxKeys) {
		return h, fmt.Errorf("%d tensors and %d keys cannot be right", tensors, keys)
	}
	h.kv = make(map[string]any)
	for range keys {
		k := d.str()
		from := size - d.left
		h.kv[k] = d.value(d.u32())
		h.spans = append(h.spans, kvSpan{k, from, size - d.left})
		if d.err != nil {
			return h, fmt.Errorf("reading its metadata: %w", d.err)
		}
	}
	for range tensors {
		h.tensors = append(h.tensors, d.tensor())
		if d.err != nil {
			return h, fmt.Errorf("reading its list of tensors: %w", d.err)
		}
	}
	alignTo := int64(ggufAlign)
	if a, ok := h.uint("general.alignment"); ok && a > 0 && a <= 1<<20 {
		alignTo = int64(a)
	}
	h.data = (size - d.left + alignTo - 1) / alignTo * alignTo
	return h, h.checkBounds(size)
}

// checkBounds makes sure that all tensor data lie within the file.
func (h ggufHeader) checkBounds(size int64) error {
	for _, t := range h.tensors {
		n, err := t.bytes()
		if err != nil {
			return err
		}
		if room := size - h.data; room < 0 || t.offset > uint64(room) || n > uint64(room)-t.offset {
			return fmt.Errorf("the file is truncated: tensor %s ends beyond its %s", t.name, sizeText(size))
		}
	}
	return nil
}

// bytes is the size of the tensor's data.
func (t ggufTensorInfo) bytes() (uint64, error) {
	n := uint64(1)
	for _, d := range t.shape {
		if d == 0 || d > math.MaxInt32 || n > math.MaxInt64/d {
			return 0, fmt.Errorf("tensor %s has the impossible shape %v", t.name, t.shape)
		}
		n *= d
	}
	block, size, ok := ggmlBlock(t.kind)
	if !ok {
		return 0, fmt.Errorf("tensor %s has the unknown type %d", t.name, t.kind)
	}
	if n%block != 0 || n/block > math.MaxInt64/size {
		return 0, fmt.Errorf("tensor %s of shape %v is no whole number of blocks", t.name, t.shape)
	}
	return n / block * size, nil
}

// ggmlBlock gives weights and bytes per block of ggml's tensor types.
func ggmlBlock(kind uint32) (block, size uint64, ok bool) {
	if int(kind) < len(ggmlBlocks) {
		b := ggmlBlocks[kind]
		return b[0], b[1], b[0] != 0
	}
	return 0, 0, false
}

// ggmlBlocks is indexed by tensor type (ggml.h, enum ggml_type). Entries of
// zeros were retired.
var ggmlBlocks = [...][2]uint64{
	{1, 4}, {1, 2}, {32, 18}, {32, 20}, {32, 17}, {}, {32, 22}, {32, 24}, {32, 34}, {32, 36}, // f32 … q8_1
	{256, 84}, {256, 110}, {256, 144}, {256, 176}, {256, 210}, {256, 292}, // q2_k … q8_k
	{256, 66}, {256, 74}, {256, 98}, {256, 50}, {32, 18}, {256, 110}, {256, 82}, {256, 136}, // iq2_xxs … iq4_xs
	{1, 1}, {1, 2}, {1, 4}, {1, 8}, {1, 8}, {256, 56}, {1, 2}, // i8 … f64, iq1_m, bf16
	{}, {}, {}, {256, 54}, {256, 66}, {}, {}, {}, {32, 17}, // tq1_0, tq2_0, mxfp4
}

// ggufDecoder reads little-endian values and remembers the first error.
type ggufDecoder struct {
	r    *bufio.Reader
	left int64
	err  error
	buf  [8]byte
}

var errTruncated = errors.New("the file is truncated")

func (d *ggufDecoder) take(n int64) bool {
	if d.err == nil && (n < 0 || n > d.left) {
		d.err = errTruncated
	}
	if d.err != nil {
		return false
	}
	d.left -= n
	return true
}

func (d *ggufDecoder) bytes(n int) []byte {
	b := d.buf[:]
	if n > len(b) && d.err == nil && int64(n) <= d.left {
		b = make([]byte, n)
	}
	if !d.take(int64(n)) {
		clear(d.buf[:])
		return d.buf[:min(n, len(d.buf))]
	}
	if _, err := io.ReadFull(d.r, b[:n]); err != nil {
		d.err = errTruncated
	}
	return b[:n]
}

func (d *ggufDecoder) u32() uint32 { return binary.LittleEndian.Uint32(d.bytes(4)) }
func (d *ggufDecoder) u64() uint64 { return binary.LittleEndian.Uint64(d.bytes(8)) }

func (d *ggufDecoder) str() string {
	n := d.u64()
	if n > 1<<24 {
		d.err = errors.Join(d.err, fmt.Errorf("a string of %d bytes cannot be right", n))
		return ""
	}
	return string(d.bytes(int(n)))
}

func (d *ggufDecoder) skip(n uint64) {
	if n > math.MaxInt32 {
		d.err = errors.Join(d.err, errTruncated)
	}
	if !d.take(int64(n)) {
		return
	}
	if _, err := d.r.Discard(int(n)); err != nil {
		d.err = errTruncated
	}
}

// value reads one value of the given type.
func (d *ggufDecoder) value(kind uint32) any {
	switch kind {
	case ggufUint8:
		return uint64(d.bytes(1)[0])
	case ggufInt8:
		return int64(int8(d.bytes(1)[0]))
	case ggufUint16:
		return uint64(binary.LittleEndian.Uint16(d.bytes(2)))
	case ggufInt16:
		return int64(int16(binary.LittleEndian.Uint16(d.bytes(2))))
	case ggufUint32:
		return uint64(d.u32())
	case ggufInt32:
		return int64(int32(d.u32()))
	case ggufFloat32:
		return float64(math.Float32frombits(d.u32()))
	case ggufBool:
		return d.bytes(1)[0] != 0
	case ggufString:
		return d.str()
	case ggufArray:
		return d.array()
	case ggufUint64:
		return d.u64()
	case ggufInt64:
		return int64(d.u64())
	case ggufFloat64:
		return math.Float64frombits(d.u64())
	}
	d.err = errors.Join(d.err, fmt.Errorf("a value has the unknown type %d", kind))
	return nil
}

// array reads an array, keeping the values of short numeric ones.
func (d *ggufDecoder) array() ggufArrayInfo {
	a := ggufArrayInfo{kind: d.u32()}
	n := d.u64()
	if d.err == nil && (n > maxArray || int64(n) > d.left) {
		d.err = fmt.Errorf("an array of %d values: %w", n, errTruncated)
	}
	if d.err != nil {
		return a
	}
	a.n = int64(n)
	if a.kind == ggufArray {
		d.err = errors.New("an array of arrays is not part of the format")
	}
	keep := n <= 4096 && a.kind != ggufString
	for range n {
		if d.err != nil {
			return a
		}
		switch {
		case a.kind == ggufString:
			d.skip(d.u64())
		case keep:
			a.values = append(a.values, d.value(a.kind))
		default:
			d.value(a.kind)
		}
	}
	return a
}

func (d *ggufDecoder) tensor() ggufTensorInfo {
	t := ggufTensorInfo{name: d.str()}
	n := d.u32()
	if n > maxDims {
		d.err = errors.Join(d.err, fmt.Errorf("tensor %q has %d dimensions", t.name, n))
		return t
	}
	for range n {
		t.shape = append(t.shape, d.u64())
	}
	t.kind, t.offset = d.u32(), d.u64()
	return t
}
