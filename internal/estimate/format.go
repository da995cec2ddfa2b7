package estimate

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/gguf"
)

// Format is how weights are stored. The first five are also in package model.
type Format string

// Formats. FP8 and Int8 have one scale per output row (32 bits; for int8 also if a library separates outliers).
// Int4 stands for GPTQ and AWQ: groups of 128 weights share a 16-bit scale and a 16-bit offset. Q8_0 and Q4_0 are
// ggml's blocks of 32 with a 16-bit scale.
const (
	FP32 = Format(gguf.Float32)
	FP16 = Format(gguf.Float16)
	BF16 = Format(gguf.BFloat16)
	FP8  = Format("fp8")
	Int8 = Format("int8")
	Int4 = Format("int4")
	Q8_0 = Format(gguf.Q8_0)
	Q4_0 = Format(gguf.Q4_0)
)

// Formats lists all formats.
func Formats() []Format { return []Format{FP32, FP16, BF16, FP8, Int8, Int4, Q8_0, Q4_0} }

// groupSize is the number of weights that share a scale in Int4.
const groupSize = 128

// ParseFormat reads a dtype or a quantisation as studies and engines spell it.
func ParseFormat(s string) (Format, error) {
	if d, err := gguf.ParseDType(s); err == nil {
		return Format(d), nil
	}
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "tf32":
		return FP32, nil
	case "fp8", "float8", "fp8_e4m3", "fp8_e5m2", "w8a8_fp8", "fbgemm_fp8", "ptpc_fp8", "modelopt":
		return FP8, nil
	case "int8", "i8", "bnb_8bit", "w8a8", "w8a8_int8", "experts_int8", "smoothquant":
		return Int8, nil
	case "int4", "i4", "4bit", "gptq", "awq", "bnb_4bit", "nf4", "gptq_marlin", "awq_marlin", "w4a16", "bitsandbytes",
		"nvfp4", "mxfp4", "modelopt_fp4":
		return Int4, nil
	}
	return "", fmt.Errorf("unknown format %q: use one of %s", s, strings.Join(names(Formats()), ", "))
}

func names(formats []Format) []string {
	var out []string
	for _, f := range formats {
		out = append(out, string(f))
	}
	return out
}

// bits returns the size of one weight of a quantised or plain matrix, including scales of groups and blocks,
// excluding scales of rows.
func (f Format) bits() float64 {
	switch f {
	case FP32:
		return 32
	case FP8, Int8:
		return 8
	case Int4:
		return 4 + 32.0/groupSize
	case Q8_0:
		return 34 * 8.0 / 32
	case Q4_0:
		return 18 * 8.0 / 32
	}
	return 16
}

// quantised reports whether matrices are stored in a narrower format than they are computed in.
func (f Format) quantised() bool { return f.bits() < 16 }

// compute returns the format of activations and of the key/value cache.
func (f Format) compute() Format {
	switch f {
	case FP32, FP16, BF16:
		return f
	}
	return FP16
}

// ggml reports whether the format exists in GGUF files only.
func (f Format) ggml() bool { return f == Q8_0 || f == Q4_0 }
