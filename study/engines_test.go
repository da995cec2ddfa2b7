package study

import (
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

// Engines of the tests.
const (
	Embedded = "embedded"
	PyTorch  = "pytorch"
	VLLM     = "vllm"
	SGLang   = "sglang"
	TensorRT = "tensorrt"
	LlamaCpp = "llamacpp"
	Fake     = "fake"
)

// grammarOfAll returns the grammar over all engines of this program.
func grammarOfAll() *table { return allKeys }

var allKeys = newTable(engines.All())

// descriptor returns the descriptor of an engine.
func descriptor(name string) engine.Descriptor {
	d, ok := engines.All().Find(name)
	if !ok {
		panic(name)
	}
	return *d
}

// defaultExperiment returns the default experiment of an engine.
func defaultExperiment(backend string) Experiment { return DefaultExperiment(descriptor(backend)) }

// pointWith returns the values of a study that sets only the given keys.
func pointWith(set map[string]any) keys.Values {
	v := allKeys.Defaults()
	for key, value := range set {
		f, ok := allKeys.Lookup(key)
		if !ok {
			panic(key)
		}
		switch value := value.(type) {
		case int:
			f.Put(v, grammar.Value{Whole: int64(value), Number: float64(value)})
		case string:
			f.Put(v, grammar.Value{Text: value})
		}
	}
	return v
}
