// Package gguftest reads the weights of GGUF files for tests, with its own code.
package gguftest

import (
	"encoding/binary"
	"math"
	"os"
	"testing"

	"github.com/llenergymeasure/llem/internal/gguf"
)

// Values returns the weights of one tensor of the file at path.
func Values(t testing.TB, path, name string) []float32 {
	t.Helper()
	h, err := gguf.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range h.Tensors {
		if x.Name == name {
			n := x.Size
			at := uint64(h.Data) + x.Offset
			return Decode(gguf.DTypeOfKind(x.Kind), b[at:at+n])
		}
	}
	t.Fatalf("no tensor %s", name)
	return nil
}

// Decode is the reference implementation of the formats, written from ggml's dequantize_row functions.
func Decode(d gguf.DType, b []byte) []float32 {
	var out []float32
	le := binary.LittleEndian
	for n := d.Info().Size; len(b) > 0; b = b[n:] {
		switch d {
		case gguf.Float32:
			out = append(out, math.Float32frombits(le.Uint32(b)))
		case gguf.Float16:
			out = append(out, float16(le.Uint16(b)))
		case gguf.BFloat16:
			out = append(out, math.Float32frombits(uint32(le.Uint16(b))<<16))
		case gguf.Q8_0:
			s := float16(le.Uint16(b))
			for _, q := range b[2:34] {
				out = append(out, s*float32(int8(q)))
			}
		case gguf.Q4_0:
			s := float16(le.Uint16(b))
			for _, q := range b[2:18] {
				out = append(out, s*float32(int(q&15)-8))
			}
			for _, q := range b[2:18] {
				out = append(out, s*float32(int(q>>4)-8))
			}
		}
	}
	return out
}

// float16 returns the value of binary16 bits.
func float16(h uint16) float32 {
	sign, exp, man := 1-2*float64(h>>15), int(h>>10&31), float64(h&0x3ff)
	switch exp {
	case 0:
		return float32(sign * math.Ldexp(man, -24))
	case 31:
		if man != 0 {
			return float32(math.NaN())
		}
		return float32(sign * math.Inf(1))
	}
	return float32(sign * math.Ldexp(man+1024, exp-25))
}
