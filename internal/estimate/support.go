package estimate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Choice is the format that an engine is asked to compute in.
type Choice struct {
	Backend      string
	DType        string // as in a study: auto, or a type
	Quantization string // as the engine spells it
	Cache        string // type of the key/value cache, as the engine spells it
	Attention    string // of PyTorch
	// Widens and Strict are as in the engine's profile.
	Widens, Strict bool
}

// Objection is why a device cannot do what it is asked to, or does it differently.
type Objection struct {
	// Refused reports that the engine will not start.
	Refused bool
	note.Note
}

// Compute capabilities at which NVIDIA's generations begin, times ten.
const (
	volta     = 70
	turing    = 75
	ampere80  = 80
	ada       = 89
	blackwell = 100
)

// leastCapability is the compute capability that quantisation methods need, from vLLM's table of supported
// hardware (docs.vllm.ai, features/quantization). Methods not listed run everywhere, or are unknown.
var leastCapability = map[string]int{
	"awq": turing, "gptq": volta, "awq_marlin": ampere80, "gptq_marlin": ampere80, "w8a8_int8": turing, "int8": turing,
	"bitsandbytes": volta, "fp8": turing, "w8a8_fp8": turing, "modelopt": ada, "nvfp4": ampere80,
	"modelopt_fp4": ampere80,
}

// capability returns 90 for "9.0"; 0 if the device has no such number.
func (d Device) capability() int {
	major, minor, ok := strings.Cut(d.Capability, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if !ok || err1 != nil || err2 != nil {
		return 0
	}
	return 10*a + b
}

// Objections lists the problems of a choice on the device. Devices without a compute capability are not judged.
func (d Device) Objections(c Choice) []Objection {
	have := d.capability()
	if have == 0 || d.Host {
		return nil
	}
	var out []Objection
	warn := func(code note.Code, next, format string, args ...any) {
		out = append(out, Objection{code == codes.DeviceUnsupported, note.Note{Code: code, Next: next,
			Message: fmt.Sprintf("%s (compute capability %s) ", d.Name, d.Capability) + fmt.Sprintf(format, args...)}})
	}
	needs := func(n int) string { return fmt.Sprintf("%d.%d", n/10, n%10) }

	// If the checkpoint decides, auto may not be bfloat16.
	bf16 := c.DType == string(BF16) || c.DType == "auto" && c.Widens
	switch {
	case !bf16 || have >= ampere80:
	case c.Widens:
		warn(codes.DeviceIndirect, "use dtype: float16",
			"has no units for bfloat16 (from %s): PyTorch widens it, which is slow",
			needs(ampere80))
	default:
		warn(codes.DeviceUnsupported, "use dtype: float16", "does not compute in bfloat16; %s needs %s for it",
			c.Backend,
			needs(ampere80))
	}
	if c.Attention == "flash_attention_2" && have < ampere80 {
		warn(codes.DeviceUnsupported, "use attn_implementation: sdpa",
			"does not run flash_attention_2, which needs %s", needs(ampere80))
	}

	method := strings.ToLower(c.Quantization)
	format, err := ParseFormat(method)
	switch least := leastCapability[method]; {
	case method == "":
	case have < least:
		warn(codes.DeviceUnsupported, "choose another quantisation or device",
			"does not run the quantisation %s of %s, which needs %s", method, c.Backend, needs(least))
	case err == nil && format == FP8 && have < ada && c.Strict:
		warn(codes.DeviceUnsupported, "choose another quantisation or device",
			"has no units for fp8; %s needs %s for it",
			c.Backend, needs(ada))
	case err == nil && format == FP8 && have < ada:
		warn(codes.DeviceIndirect, "",
			"has no units for fp8 (from %s): %s keeps the weights in 8 bits and computes in 16",
			needs(ada), c.Backend)
	case strings.HasSuffix(method, "fp4") && have < blackwell:
		warn(codes.DeviceIndirect, "",
			"has no units for 4-bit floats (from %s): %s keeps the weights in 4 bits and computes in 16",
			needs(blackwell), c.Backend)
	}

	switch {
	case c.Cache == "nvfp4" && have < blackwell:
		warn(codes.DeviceUnsupported, "use kv_cache_dtype: fp8 or auto",
			"does not support an nvfp4 KV cache, which needs %s",
			needs(blackwell))
	case strings.HasPrefix(c.Cache, "fp8") && have < ada && c.Strict:
		warn(codes.DeviceUnsupported, "use kv_cache_dtype: auto",
			"does not support an fp8 KV cache; %s needs %s for it", c.Backend,
			needs(ada))
	case strings.HasPrefix(c.Cache, "fp8") && have < ada:
		warn(codes.DeviceIndirect, "use kv_cache_dtype: auto if the engine refuses it",
			"has no units for fp8 (from %s): only some implementations of attention read an fp8 KV cache there",
			needs(ada))
	}
	return out
}
