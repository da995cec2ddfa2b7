package gguf

import (
	"math"
	"testing"

	"github.com/ollama/ollama/fs/ggml"
)

func TestFloat16(t *testing.T) {
	for h := range 1 << 16 {
		v := float16Value(uint16(h))
		if h>>10&31 == 31 {
			continue
		}
		if got := float16Bits(v); got != uint16(h) {
			t.Fatalf("%#04x → %g → %#04x", h, v, got)
		}
	}
	for _, c := range []struct {
		f    float32
		want uint16
	}{{65520, 0x7c00}, {65519, 0x7bff}, {1 + 1.0/2048, 0x3c00}, {1 + 3.0/2048, 0x3c02},
		{float32(math.Inf(-1)), 0xfc00}, {1e-9, 0}} {
		if got := float16Bits(c.f); got != c.want {
			t.Errorf("%g → %#04x, want %#04x", c.f, got, c.want)
		}
	}
	if got := bfloat16Bits(1 + 1.0/256); got != 0x3f80 {
		t.Errorf("bfloat16 ties to even: %#04x", got)
	}
}

func TestBlockSizesMatchEngine(t *testing.T) {
	for kind := range uint32(len(ggmlTypes)) {
		block, size, ok := ggmlBlock(kind)
		tt := ggml.TensorType(kind)
		if !ok || tt.TypeSize() == 0 {
			continue
		}
		if tt.BlockSize() != block || tt.TypeSize() != size {
			t.Errorf("type %d: %d/%d, the engine has %d/%d", kind, block, size, tt.BlockSize(), tt.TypeSize())
		}
	}
}
