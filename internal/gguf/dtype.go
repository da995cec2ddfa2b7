package gguf

import (
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

// DType is a number format that weights can be written in.
type DType string

// The formats that random weights can be written in. Q8_0 and Q4_0 are ggml's
// blocks of 32 weights that share one 16-bit scale.
const (
	Float32  DType = "float32"
	Float16  DType = "float16"
	BFloat16 DType = "bfloat16"
	Q8_0     DType = "q8_0"
	Q4_0     DType = "q4_0"
)

// DTypeInfo describes a format in ggml's terms.
type DTypeInfo struct {
	Kind     uint32 // ggml tensor type
	FileType uint32 // general.file_type
	Block    int    // weights per block
	Size     int    // bytes per block
}

// Info describes the format in ggml's terms.
func (d DType) Info() DTypeInfo {
	switch d {
	case Float32:
		return DTypeInfo{0, 0, 1, 4}
	case BFloat16:
		return DTypeInfo{30, 32, 1, 2}
	case Q8_0:
		return DTypeInfo{8, 7, 32, 34}
	case Q4_0:
		return DTypeInfo{2, 2, 32, 18}
	}
	return DTypeInfo{1, 1, 1, 2}
}

// ParseDType reads a dtype name, with the usual short forms (fp16, bf16, f32).
func ParseDType(s string) (DType, error) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "float32", "fp32", "f32", "float":
		return Float32, nil
	case "float16", "fp16", "f16", "half":
		return Float16, nil
	case "bfloat16", "bf16":
		return BFloat16, nil
	case "q8_0", "q8":
		return Q8_0, nil
	case "q4_0", "q4":
		return Q4_0, nil
	}
	return "", fault.New(codes.ClassUnsupportedDType, nil, "use float32, float16, bfloat16, q8_0 or q4_0",
		"dtype %q cannot be written", s)
}

// DTypeOfKind returns the format for a ggml tensor type, "" if this package cannot write it.
func DTypeOfKind(kind uint32) DType {
	for _, d := range []DType{Float32, Float16, BFloat16, Q8_0, Q4_0} {
		if d.Info().Kind == kind {
			return d
		}
	}
	return ""
}
