package pytorch

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/grammar"
)

// TestUsualValueIsTheZeroValue: it is the value of an empty section, and setting it leaves the section unchanged,
// so that the IDs of experiments from before the key stay.
func TestUsualValueIsTheZeroValue(t *testing.T) {
	want := map[string]string{"batching": "static", "cache_implementation": "dynamic", "compile": "off",
		"quantization": "none", "matmul_precision": "highest", "device_map": "single", "tensor_parallel_size": "1",
		"lora": "none"}
	s := defaults()
	before := engine.Encode(s)
	for _, f := range s.Fields() {
		f := grammar.Slot(f)
		text, ok := want[f.Key]
		if !ok {
			continue
		}
		delete(want, f.Key)
		if got := f.Kind().Format(f.Get()); got != text {
			t.Errorf("%s is %q where nothing was put, want %q", f.Key, got, text)
		}
		v, err := f.Kind().Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if f.Set(v); engine.Encode(s) != before {
			t.Errorf("%s: %s is kept: %s", f.Key, text, engine.Encode(s))
		}
		other := grammar.Value{Whole: 7, Number: 7}
		if f.Key == "lora" {
			other = grammar.Value{Text: "random:8"}
		} else if enum := f.Kind().Enum; enum != nil {
			other = grammar.Value{Text: enum[1]}
		}
		if f.Set(other); f.Get() != other || engine.Encode(s) == before {
			t.Errorf("%s: put %v, got %v", f.Key, other, f.Get())
		}
		f.Set(v)
	}
	if len(want) > 0 {
		t.Errorf("no keys %v", want)
	}
}

// TestLoRA: settings that conflict with an adapter are refused before a run.
func TestLoRA(t *testing.T) {
	for section, want := range map[string]string{
		`{"lora":"random:8"}`:                          "",
		`{"lora":"/adapter"}`:                          "",
		`{"lora":"random:8","device_map":"auto"}`:      "pytorch.lora random:8 does not run",
		`{"lora":"random:8","tensor_parallel_size":2}`: "pytorch.tensor_parallel_size 2 does not run with pytorch.lora",
		`{"lora":"adapter"}`:                           "absolute path",
		`{"lora":"random:0"}`:                          "absolute path",
	} {
		s := defaults()
		got := ""
		if err := engine.Decode([]byte(section), s); err != nil {
			got = err.Error()
		} else if c := s.conflict(engine.Job{DType: "bfloat16", WarmupRuns: 1}); c != nil {
			got = c.Message()
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", section, got, want)
		}
	}
}
