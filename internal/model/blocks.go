package model

import (
	"math"
	"sync"

	"github.com/llenergymeasure/llem/internal/gguf"
)

// weightStd is the standard deviation of random weights, the usual
// initializer_range.
const weightStd = 0.02

// quantiles are 65536 equally likely values of N(0, weightStd²).
var quantiles = sync.OnceValue(func() []float32 {
	q := make([]float32, 1<<16)
	for i := range q {
		p := (float64(i) + 0.5) / (1 << 16)
		q[i] = float32(weightStd * math.Sqrt2 * math.Erfinv(2*p-1))
	}
	return q
})

// tableOf returns 65536 cells in the target format, so that drawing weights is a look-up with 16 random bits. A
// cell is one weight, or one block of 32 weights for the block formats (these cells are themselves drawn, with a
// fixed seed).
func tableOf(d gguf.DType) []byte {
	switch d {
	case gguf.Float32:
		return tableF32()
	case gguf.BFloat16:
		return tableBF16()
	case gguf.Q8_0:
		return tableQ8()
	case gguf.Q4_0:
		return tableQ4()
	}
	return tableF16()
}

var (
	tableF32  = sync.OnceValue(func() []byte { return tableOfValues(gguf.Float32) })
	tableF16  = sync.OnceValue(func() []byte { return tableOfValues(gguf.Float16) })
	tableBF16 = sync.OnceValue(func() []byte { return tableOfValues(gguf.BFloat16) })
	tableQ8   = sync.OnceValue(func() []byte { return tableOfBlocks(gguf.Q8_0) })
	tableQ4   = sync.OnceValue(func() []byte { return tableOfBlocks(gguf.Q4_0) })
)

func tableOfValues(d gguf.DType) []byte {
	t := make([]byte, d.Info().Size<<16)
	gguf.Encode(t, d, quantiles())
	return t
}

func tableOfBlocks(d gguf.DType) []byte {
	size := d.Info().Size
	t, q := make([]byte, size<<16), quantiles()
	var block [32]float32
	for i := range 1 << 16 {
		for j := 0; j < 32; j += 4 {
			r := mix(uint64(i*8 + j/4))
			for k := range 4 {
				block[j+k] = q[uint16(r>>(16*k))]
			}
		}
		gguf.Encode(t[i*size:(i+1)*size], d, block[:])
	}
	return t
}

// mix is the output function of SplitMix64 (Steele, Lea, Flood 2014) at
// position i. It is a pure function of the position, so the parts of a tensor
// can be drawn in any order.
func mix(i uint64) uint64 {
	z := (i + 1) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
