package model

import (
	"encoding/binary"
	"hash/fnv"
	"math"

	"github.com/llenergymeasure/llem/internal/shape"
)

// drawer fills tensors with random weights. The same seed and tensor name give the same bytes, however the work is
// split.
type drawer struct{ seed uint64 }

// stream returns where the tensor's numbers begin in the space of [mix].
func (d drawer) stream(name string) uint64 {
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, d.seed)
	_, _ = h.Write([]byte(name))
	return mix(h.Sum64())
}

// fill writes the cells from cell `first` on into dst; first is a multiple of 4, because one 64-bit number gives
// four cells.
func (d drawer) fill(dst []byte, t shape.Tensor, first int64) {
	if t.Ones {
		one := math.Float32bits(1)
		for i := 0; i < len(dst); i += 4 {
			binary.LittleEndian.PutUint32(dst[i:], one)
		}
		return
	}
	at := d.stream(t.Name) + uint64(first/4)
	switch size, table := t.CellBytes(), tableOf(t.DType); size {
	case 2:
		fill2(dst, table, at)
	default:
		fillN(dst, table, size, at)
	}
}

// fill2 is fillN for two-byte cells: one 8-byte store per random number.
func fill2(dst, table []byte, at uint64) {
	cell := func(r uint64) uint64 {
		i := int(r&0xffff) * 2
		return uint64(table[i]) | uint64(table[i+1])<<8
	}
	for ; len(dst) >= 8; dst = dst[8:] {
		r := mix(at)
		at++
		binary.LittleEndian.PutUint64(dst, cell(r)|cell(r>>16)<<16|cell(r>>32)<<32|cell(r>>48)<<48)
	}
	fillN(dst, table, 2, at)
}

func fillN(dst, table []byte, size int, at uint64) {
	for len(dst) > 0 {
		r := mix(at)
		at++
		for k := 0; k < 4 && len(dst) > 0; k++ {
			i := int(r>>(16*k)&0xffff) * size
			dst = dst[copy(dst[:size], table[i:i+size]):]
		}
	}
}
