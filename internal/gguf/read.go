package gguf

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
)

// Value types of GGUF.
const (
	typeUint8 uint32 = iota
	typeInt8
	typeUint16
	typeInt16
	typeUint32
	typeInt32
	typeFloat32
	typeBool
	typeString
	typeArray
	typeUint64
	typeInt64
	typeFloat64
)

// Limits far above any real model; a file that exceeds them is damaged.
const (
	maxTensors = 1 << 20
	maxKeys    = 1 << 16
	maxArray   = 1 << 25
	maxDims    = 8
)

// array represents an array; only short numeric arrays keep their values.
type array struct {
	kind   uint32
	n      int64
	values []any
}

// TensorInfo is a tensor as the header describes it.
type TensorInfo struct {
	Name   string
	Shape  []uint64 // in ggml order
	Kind   uint32   // ggml's number of the format
	Offset uint64   // within the tensor data, in bytes
	// Size of the data in bytes. For an unknown format it is the distance to the next tensor, or to the end of the
	// file.
	Size uint64
}

// Elements returns the number of weights.
func (t TensorInfo) Elements() uint64 {
	n := uint64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Header is the header of a GGUF file.
type Header struct {
	Tensors []TensorInfo
	Data    int64 // offset of the tensor data in the file

	kv    map[string]any
	spans []kvSpan
}

// kvSpan is the position of a key's value in the file, including its type.
type kvSpan struct {
	key      string
	from, to int64
}

// ReadFile reads and checks the header of the file at path.
func ReadFile(path string) (Header, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return Header{}, fault.New(codes.ClassModelNotFound, nil, "name the .gguf file inside it",
			"%s is a folder, not a GGUF file", path)
	}
	f, err := disk.Open(path, disk.Unbounded)
	if err != nil {
		return Header{}, disk.ReadError(path, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Header{}, fmt.Errorf("reading %s: %w", path, err)
	}
	h, err := Read(f, st.Size())
	if err != nil {
		next := "download or generate it again"
		if odd, ok := errors.AsType[*disk.Look](err); ok {
			next = odd.Next
		}
		return h, fault.New(codes.ClassCorruptModel, err, next, "%s is not a usable GGUF file", path)
	}
	return h, nil
}

// Read reads the header of a GGUF file of the given size. Every length is checked against the size first: the
// engine's own decoder allocates whatever a damaged file asks for.
func Read(r io.Reader, size int64) (h Header, err error) {
	if size == 0 {
		return h, errors.New("the file is empty")
	}
	d := &decoder{r: bufio.NewReaderSize(r, 1<<16), left: size}
	if start, _ := d.r.Peek(512); len(start) < 4 || string(start[:4]) != "GGUF" {
		if odd, ok := disk.LookOf(start); ok {
			return h, odd
		}
		return h, errors.New("it does not start with GGUF")
	}
	d.bytes(4)
	if v := d.u32(); d.err == nil && v&0xffff == 0 && v != 0 {
		return h, errors.New("it is a big-endian file, for another kind of processor")
	} else if v < 2 || v > 3 {
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
		h.Tensors = append(h.Tensors, d.tensor())
		if d.err != nil {
			return h, fmt.Errorf("reading its list of tensors: %w", d.err)
		}
	}
	alignTo := int64(alignment)
	if a, ok := h.Uint("general.alignment"); ok && a > 0 && a <= 1<<20 {
		alignTo = int64(a)
	}
	h.Data = (size - d.left + alignTo - 1) / alignTo * alignTo
	return h, h.place(size)
}

// place computes the sizes of the tensors, and checks that their data are within the file and do not overlap.
// Formats that are newer than this package are left to the engine.
func (h Header) place(size int64) error {
	if len(h.Tensors) == 0 {
		return nil
	}
	room := size - h.Data
	names, order := make(map[string]bool, len(h.Tensors)), make([]int, len(h.Tensors))
	for i := range h.Tensors {
		t := &h.Tensors[i]
		if names[t.Name] {
			return fmt.Errorf("two tensors have the name %q", t.Name)
		}
		names[t.Name], order[i] = true, i
		var err error
		if t.Size, err = t.bytes(); err != nil {
			return err
		}
		if room < 0 || t.Offset > uint64(room) || t.Size > uint64(room)-t.Offset {
			return fmt.Errorf("the file is truncated: tensor %s ends beyond its %s", t.Name, disk.SizeText(size))
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(h.Tensors[a].Offset, h.Tensors[b].Offset) })
	for i, at := range order {
		t, end := &h.Tensors[at], uint64(room)
		if i+1 < len(order) {
			next := h.Tensors[order[i+1]]
			if end = next.Offset; t.Size > end-t.Offset || t.Offset == end {
				return fmt.Errorf("the data of the tensors %s and %s overlap", t.Name, next.Name)
			}
		}
		if _, _, known := ggmlBlock(t.Kind); !known {
			t.Size = end - t.Offset
		}
	}
	return nil
}

// bytes returns the size of the tensor's data, 0 for an unknown format.
func (t TensorInfo) bytes() (uint64, error) {
	n := uint64(1)
	for _, d := range t.Shape {
		if d == 0 || d > math.MaxInt32 || n > math.MaxInt64/d {
			return 0, fmt.Errorf("tensor %s has the impossible shape %v", t.Name, t.Shape)
		}
		n *= d
	}
	block, size, ok := ggmlBlock(t.Kind)
	if !ok {
		return 0, nil
	}
	if n%block != 0 || n/block > math.MaxInt64/size {
		return 0, fmt.Errorf("tensor %s of shape %v is not a whole number of blocks", t.Name, t.Shape)
	}
	return n / block * size, nil
}

// ggmlBlock returns weights and bytes per block of ggml's tensor types.
func ggmlBlock(kind uint32) (block, size uint64, ok bool) {
	if int(kind) < len(ggmlTypes) {
		t := ggmlTypes[kind]
		return t.block, t.size, t.block != 0
	}
	return 0, 0, false
}

// ggmlType is a format of ggml: its name, and weights and bytes of a block.
type ggmlType struct {
	name        string
	block, size uint64
}

// ggmlTypes is indexed by tensor type (ggml.h, enum ggml_type). Entries of zeros were retired.
var ggmlTypes = [...]ggmlType{
	{"f32", 1, 4}, {"f16", 1, 2}, {"q4_0", 32, 18}, {"q4_1", 32, 20}, {"q4_2", 32, 17}, {},
	{"q5_0", 32, 22}, {"q5_1", 32, 24}, {"q8_0", 32, 34}, {"q8_1", 32, 36},
	{"q2_k", 256, 84}, {"q3_k", 256, 110}, {"q4_k", 256, 144}, {"q5_k", 256, 176}, {"q6_k", 256, 210},
	{"q8_k", 256, 292}, {"iq2_xxs", 256, 66}, {"iq2_xs", 256, 74}, {"iq3_xxs", 256, 98}, {"iq1_s", 256, 50},
	{"iq4_nl", 32, 18}, {"iq3_s", 256, 110}, {"iq2_s", 256, 82}, {"iq4_xs", 256, 136},
	{"i8", 1, 1}, {"i16", 1, 2}, {"i32", 1, 4}, {"i64", 1, 8}, {"f64", 1, 8}, {"iq1_m", 256, 56}, {"bf16", 1, 2},
	{}, {}, {}, {"tq1_0", 256, 54}, {"tq2_0", 256, 66}, {}, {}, {}, {"mxfp4", 32, 17}, {"nvfp4", 64, 36},
}

// KindName returns ggml's name of a tensor type; "type 99" for an unknown one.
func KindName(kind uint32) string {
	if int(kind) < len(ggmlTypes) && ggmlTypes[kind].name != "" {
		return ggmlTypes[kind].name
	}
	return fmt.Sprintf("type %d", kind)
}

// decoder reads little-endian values and remembers the first error.
type decoder struct {
	r    *bufio.Reader
	left int64
	err  error
	buf  [8]byte
}

var errTruncated = errors.New("the file is truncated")

func (d *decoder) take(n int64) bool {
	if d.err == nil && (n < 0 || n > d.left) {
		d.err = errTruncated
	}
	if d.err != nil {
		return false
	}
	d.left -= n
	return true
}

func (d *decoder) bytes(n int) []byte {
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

func (d *decoder) u32() uint32 { return binary.LittleEndian.Uint32(d.bytes(4)) }
func (d *decoder) u64() uint64 { return binary.LittleEndian.Uint64(d.bytes(8)) }

func (d *decoder) str() string {
	n := d.u64()
	if n > 1<<24 {
		d.err = errors.Join(d.err, fmt.Errorf("a string of %d bytes cannot be right", n))
		return ""
	}
	return string(d.bytes(int(n)))
}

func (d *decoder) skip(n uint64) {
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
func (d *decoder) value(kind uint32) any {
	switch kind {
	case typeUint8:
		return uint64(d.bytes(1)[0])
	case typeInt8:
		return int64(int8(d.bytes(1)[0]))
	case typeUint16:
		return uint64(binary.LittleEndian.Uint16(d.bytes(2)))
	case typeInt16:
		return int64(int16(binary.LittleEndian.Uint16(d.bytes(2))))
	case typeUint32:
		return uint64(d.u32())
	case typeInt32:
		return int64(int32(d.u32()))
	case typeFloat32:
		return float64(math.Float32frombits(d.u32()))
	case typeBool:
		return d.bytes(1)[0] != 0
	case typeString:
		return d.str()
	case typeArray:
		return d.array()
	case typeUint64:
		return d.u64()
	case typeInt64:
		return int64(d.u64())
	case typeFloat64:
		return math.Float64frombits(d.u64())
	}
	d.err = errors.Join(d.err, fmt.Errorf("a value has the unknown type %d", kind))
	return nil
}

// array reads an array and keeps the values of a short numeric one.
func (d *decoder) array() array {
	a := array{kind: d.u32()}
	n := d.u64()
	if d.err == nil && (n > maxArray || int64(n) > d.left) {
		d.err = fmt.Errorf("an array of %d values: %w", n, errTruncated)
	}
	if d.err != nil {
		return a
	}
	a.n = int64(n)
	if a.kind == typeArray {
		d.err = errors.New("an array of arrays is not part of the format")
	}
	keep := n <= 4096 && a.kind != typeString
	for range n {
		if d.err != nil {
			return a
		}
		switch {
		case a.kind == typeString:
			d.skip(d.u64())
		case keep:
			a.values = append(a.values, d.value(a.kind))
		default:
			d.value(a.kind)
		}
	}
	return a
}

func (d *decoder) tensor() TensorInfo {
	t := TensorInfo{Name: d.str()}
	n := d.u32()
	if n > maxDims {
		d.err = errors.Join(d.err, fmt.Errorf("tensor %q has %d dimensions", t.Name, n))
		return t
	}
	for range n {
		t.Shape = append(t.Shape, d.u64())
	}
	t.Kind, t.Offset = d.u32(), d.u64()
	return t
}

// Uint returns a key as a non-negative whole number.
func (h Header) Uint(key string) (int, bool) {
	switch v := h.kv[key].(type) {
	case uint64:
		if v <= 1<<40 {
			return int(v), true
		}
	case int64:
		if v >= 0 && v <= 1<<40 {
			return int(v), true
		}
	}
	return 0, false
}

// Float returns a key as a number, 0 if it is absent.
func (h Header) Float(key string) float64 {
	v, _ := h.kv[key].(float64)
	return v
}

// Text returns a key as a string, "" if it is absent.
func (h Header) Text(key string) string {
	v, _ := h.kv[key].(string)
	return v
}

// Has reports whether the file has a key.
func (h Header) Has(key string) bool { return h.kv[key] != nil }

// PerLayer returns a key that may be one number or one per layer; if layers differ, the architecture is not
// uniform and it returns false.
func (h Header) PerLayer(key string) (int, bool) {
	a, ok := h.kv[key].(array)
	if !ok {
		return h.Uint(key)
	}
	if len(a.values) == 0 {
		return 0, false
	}
	for _, v := range a.values {
		if v != a.values[0] {
			return 0, false
		}
	}
	return Header{kv: map[string]any{key: a.values[0]}}.Uint(key)
}

// Vocab returns the number of embedding rows; the list of tokens may be shorter.
func (h Header) Vocab() int {
	for _, t := range h.Tensors {
		if t.Name == "token_embd.weight" && len(t.Shape) == 2 {
			return int(t.Shape[1])
		}
	}
	if n, ok := h.Uint(h.Text("general.architecture") + ".vocab_size"); ok {
		return n
	}
	a, _ := h.kv["tokenizer.ggml.tokens"].(array)
	return int(a.n)
}

// DType returns the format of most weights, "" if this package cannot write it.
func (h Header) DType() DType { return DTypeOfKind(h.Kind()) }

// Kind returns ggml's number of the format that holds most bytes of the weights.
func (h Header) Kind() uint32 {
	sum := map[uint32]uint64{}
	var best uint32
	for _, t := range h.Tensors {
		if sum[t.Kind] += t.Size; sum[t.Kind] > sum[best] {
			best = t.Kind
		}
	}
	return best
}

// Bytes returns the size of all tensors.
func (h Header) Bytes() int64 {
	n := uint64(0)
	for _, t := range h.Tensors {
		n += t.Size
	}
	return int64(n)
}

// Split returns which part of how many the file is; 0 of 1 for a whole model.
func (h Header) Split() (part, parts int) {
	part, _ = h.Uint("split.no")
	parts, _ = h.Uint("split.count")
	return part, max(1, parts)
}
