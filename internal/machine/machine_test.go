package machine

import (
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/study"
)

// TestSamplingIsRefused where a backend takes the most likely token, whatever it is told.
// The others are given it; their tests look at the requests.
func TestSamplingIsRefused(t *testing.T) {
	sample := []string{"vllm", "sglang", "tensorrt", "llamacpp"}
	for name := range Backends(nil, "") {
		if slices.Contains(sample, name) {
			continue
		}
		_, err := study.Parse("s.yaml",
			[]byte("model: random:tiny-llama\nbackend: "+name+"\ndecoding: {temperature: 0.7}\n"))
		if err == nil || !strings.Contains(err.Error(), "takes the most likely token only") {
			t.Errorf("%s: %v: a temperature that is accepted must be given to the engine", name, err)
		}
	}
}

func TestBackendsKnowTheirNames(t *testing.T) {
	backends := Backends(nil, "")
	for _, name := range []string{"embedded", "pytorch"} {
		if b := backends[name]; b == nil || b.Name() != name {
			t.Errorf("backend %s is %+v", name, b)
		}
	}
}

// TestLoaders: one engine can keep a GPU busy for a self-test, with the interpreter that the
// user names.
func TestLoaders(t *testing.T) {
	l := Loaders("/no/python")
	if len(l) != 1 || l[0].Name() != "pytorch" {
		t.Fatalf("%d loaders: %+v, want pytorch", len(l), l)
	}
	if _, err := l[0].StartLoad(t.Context(), "cuda"); err == nil || !strings.Contains(err.Error(), "/no/python") {
		t.Errorf("%v: it takes another interpreter", err)
	}
}
