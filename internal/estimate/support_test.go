package estimate

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/engine/engines"
)

// TestObjections: what a card cannot do is reported with the capability it has and needs.
func TestObjections(t *testing.T) {
	for _, q := range []struct {
		device  string
		choice  Choice
		refused bool
		want    string // empty: none
	}{
		{"v100", Choice{Backend: "vllm", DType: "bfloat16"}, true,
			"7.0) does not compute in bfloat16; vllm needs 8.0 for it"},
		{"t4", Choice{Backend: "pytorch", DType: "auto"}, false, "no units for bfloat16"},
		{"v100", Choice{Backend: "vllm", DType: "auto"}, false, ""},
		{"a100", Choice{Backend: "vllm", DType: "bfloat16"}, false, ""},
		{"v100", Choice{Backend: "pytorch", DType: "float16", Attention: "flash_attention_2"}, true,
			"flash_attention_2, which needs 8.0"},
		{"a100", Choice{Backend: "vllm", DType: "auto", Quantization: "fp8"}, false,
			"no units for fp8 (from 8.9): vllm keeps"},
		{"a100", Choice{Backend: "tensorrt", DType: "auto", Cache: "fp8"}, true,
			"fp8 KV cache; tensorrt needs 8.9 for it"},
		{"v100", Choice{Backend: "sglang", DType: "auto", Quantization: "fp8"}, true, "needs 7.5"},
		{"v100", Choice{Backend: "vllm", DType: "auto", Quantization: "awq"}, true, "needs 7.5"},
		{"h100", Choice{Backend: "vllm", DType: "bfloat16", Quantization: "fp8", Cache: "fp8"}, false, ""},
		{"h100", Choice{Backend: "tensorrt", DType: "auto", Cache: "nvfp4"}, true, "needs 10.0"},
		{"b200", Choice{Backend: "tensorrt", DType: "auto", Cache: "nvfp4"}, false, ""},
		{"mi300x", Choice{Backend: "vllm", DType: "bfloat16", Quantization: "fp8"}, false, ""},
	} {
		d, err := Lookup(q.device)
		if err != nil {
			t.Fatal(err)
		}
		if p := engines.Find(nil, q.choice.Backend).Profile; p != nil {
			q.choice.Widens, q.choice.Strict = p.Widens, p.Strict
		}
		got := d.Objections(q.choice)
		switch {
		case q.want == "" && len(got) > 0, q.want != "" && len(got) != 1:
			t.Errorf("%s %+v: %+v, want %q", q.device, q.choice, got, q.want)
		case q.want != "" && (got[0].Refused != q.refused || !strings.Contains(got[0].Message, q.want)):
			t.Errorf("%s %+v: %+v, want %q, refused %t", q.device, q.choice, got[0], q.want, q.refused)
		}
	}
}
