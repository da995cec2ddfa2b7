package pytorch

import (
	"testing"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/grammar"
)

// TestUsualValueIsTheZeroValue: it is got where nothing was put, and putting it leaves
// the section as it was, so that the IDs of experiments from before the key stay.
func TestUsualValueIsTheZeroValue(t *testing.T) {
	want := map[string]string{"batching": "static", "cache_implementation": "dynamic", "compile": "off",
		"quantization": "none", "matmul_precision": "highest", "device_map": "single", "tensor_parallel_size": "1"}
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
		if enum := f.Kind().Enum; enum != nil {
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
