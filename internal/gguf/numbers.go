package gguf

import (
	"encoding/binary"
	"math"
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

// roundUp returns 1 if the shift bits cut off man round h up.
func roundUp(man uint32, shift uint, h uint32) uint32 {
	half, rest := uint32(1)<<(shift-1), man&(1<<shift-1)
	if rest > half || (rest == half && h&1 == 1) {
		return 1
	}
	return 0
}

// float16Value returns the value of binary16 bits.
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

// Decode sets v to the weights in b, which is in one of the formats without blocks.
func Decode(v []float32, d DType, b []byte) {
	le := binary.LittleEndian
	for i := range v {
		switch d {
		case Float32:
			v[i] = math.Float32frombits(le.Uint32(b[4*i:]))
		case BFloat16:
			v[i] = math.Float32frombits(uint32(le.Uint16(b[2*i:])) << 16)
		default:
			v[i] = float16Value(le.Uint16(b[2*i:]))
		}
	}
}

// Encode writes v in format d; len(v) is a whole number of blocks.
func Encode(dst []byte, d DType, v []float32) {
	le, size := binary.LittleEndian, d.Info().Size
	switch d {
	case Q8_0, Q4_0:
		block := encodeQ8
		if d == Q4_0 {
			block = encodeQ4
		}
		for i := 0; i < len(v); i += 32 {
			block(dst[i/32*size:], (*[32]float32)(v[i:]))
		}
	case Float32:
		for i, x := range v {
			le.PutUint32(dst[4*i:], math.Float32bits(x))
		}
	case BFloat16:
		for i, x := range v {
			le.PutUint16(dst[2*i:], bfloat16Bits(x))
		}
	default:
		for i, x := range v {
			le.PutUint16(dst[2*i:], float16Bits(x))
		}
	}
}
