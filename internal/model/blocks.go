package model

import (
	"encoding/binary"
	"math"
	"sync"
)

// float16Bits rounds f to IEEE 754 binary16, ties to even.
func float16Bits(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	exp, man := int(b>>23)&0xff, b&0x7fffff
	switch {
	case exp == 0xff && man != 0:
		return sign | 0x7e00
	case exp >= 143: // 2^16 and above, and infinity
		return sign | 0x7c00
	case exp >= 113: // normal
		h := uint32(exp-112)<<10 | man>>13
		return sign | uint16(h+roundUp(man, 13, h))
	case exp >= 102: // subnormal
		man |= 0x800000
		shift := uint(126 - exp)
		h := man >> shift
		return sign | uint16(h+roundUp(man, shift, h))
	}
	return sign
}

// roundUp is 1 when the shift bits cut off man round h up.
func roundUp(man uint32, shift uint, h uint32) uint32 {
	half, rest := uint32(1)<<(shift-1), man&(1<<shift-1)
	if rest > half || (rest == half && h&1 == 1) {
		return 1
	}
	return 0
}

// float16Value is the value of binary16 bits.
func float16Value(h uint16) float32 {
	sign, exp, man := uint32(h&0x8000)<<16, uint32(h>>10)&0x1f, uint32(h&0x3ff)
	switch exp {
	case 0: // zero and subnormal: man · 2⁻²⁴
		return math.Float32frombits(math.Float32bits(float32(man)*0x1p-24) | sign)
	case 31: // infinity and NaN
		return math.Float32frombits(sign | 0xff<<23 | man<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | man<<13)
}

// bfloat16Bits rounds f to bfloat16, ties to even.
func bfloat16Bits(f float32) uint16 {
	b := math.Float32bits(f)
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// encodeQ8 writes 32 values as a ggml q8_0 block: a binary16 scale d, then 32
// signed bytes q, value = d·q.
func encodeQ8(dst []byte, v *[32]float32) {
	var top float32
	for _, x := range v {
		top = max(top, abs32(x))
	}
	d := top / 127
	binary.LittleEndian.PutUint16(dst, float16Bits(d))
	var inv float32
	if d != 0 {
		inv = 1 / d
	}
	for i, x := range v {
		// Adding 1.5·2²³ leaves the nearest integer in the low bits.
		q := float32(x*inv) + 0x1.8p23
		dst[2+i] = byte(math.Float32bits(q))
	}
}

// encodeQ4 writes 32 values as a ggml q4_0 block: a binary16 scale d, then 16
// bytes whose low halves are values 0 to 15 and whose high halves are values
// 16 to 31, value = d·(q-8). As in ggml, d has the sign that maps the value of
// largest magnitude to q = 0.
func encodeQ4(dst []byte, v *[32]float32) {
	var top float32
	for _, x := range v {
		if abs32(x) > abs32(top) {
			top = x
		}
	}
	d := top / -8
	binary.LittleEndian.PutUint16(dst, float16Bits(d))
	code := func(x float32) byte {
		if d == 0 {
			return 8
		}
		return byte(min(15, max(0, int(x/d+8.5))))
	}
	for i := range 16 {
		dst[2+i] = code(v[i]) | code(v[i+16])<<4
	}
}

func abs32(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

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

// tableOf returns 65536 cells in the target format, so that drawing weights is
// a look-up with 16 random bits. A cell is one weight, or one block of 32
// weights for the block formats (those cells are themselves drawn, with a
// fixed seed).
func tableOf(d DType) []byte {
	switch d {
	case Float32:
		return tableF32()
	case BFloat16:
		return tableBF16()
	case Q8_0:
		return tableQ8()
	case Q4_0:
		return tableQ4()
	}
	return tableF16()
}

var (
	tableF32 = sync.OnceValue(func() []byte {
		t := make([]byte, 0, 4<<16)
		for _, v := range quantiles() {
			t = binary.LittleEndian.AppendUint32(t, math.Float32bits(v))
		}
		return t
	})
	tableF16  = sync.OnceValue(func() []byte { return table16(float16Bits) })
	tableBF16 = sync.OnceValue(func() []byte { return table16(bfloat16Bits) })
	tableQ8   = sync.OnceValue(func() []byte { return tableBlocks(34, encodeQ8) })
	tableQ4   = sync.OnceValue(func() []byte { return tableBlocks(18, encodeQ4) })
)

func table16(bits func(float32) uint16) []byte {
	t := make([]byte, 0, 2<<16)
	for _, v := range quantiles() {
		t = binary.LittleEndian.AppendUint16(t, bits(v))
	}
	return t
}

func tableBlocks(size int, encode func([]byte, *[32]float32)) []byte {
	t, q := make([]byte, size<<16), quantiles()
	var block [32]float32
	for i := range 1 << 16 {
		for j := 0; j < 32; j += 4 {
			r := mix(uint64(i*8 + j/4))
			for k := range 4 {
				block[j+k] = q[uint16(r>>(16*k))]
			}
		}
		encode(t[i*size:(i+1)*size], &block)
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
