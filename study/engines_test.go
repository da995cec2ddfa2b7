package study

import (
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
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

// grammarOfAll is the grammar over all engines of this program.
func grammarOfAll() *keys { return allKeys }

var allKeys = newKeys(engines.All())

// descriptor of an engine.
func descriptor(name string) engine.Descriptor {
	d, ok := engines.All().Find(name)
	if !ok {
		panic(name)
	}
	return *d
}

// defaultExperiment is that of an engine.
func defaultExperiment(backend string) Experiment { return DefaultExperiment(descriptor(backend)) }

// setKey changes a value of an experiment's section.
func setKey(e *Experiment, key string, value any) {
	d := descriptor(e.Backend)
	s, err := d.Read(e.Section)
	if err != nil {
		panic(err)
	}
	for _, f := range s.Fields() {
		if f.Key == key {
			v := f.Get()
			switch value := value.(type) {
			case int:
				v.Whole, v.Number = int64(value), float64(value)
			case string:
				v.Text = value
			}
			f.Set(v)
			e.Section = engine.Encode(s)
			return
		}
	}
	panic(key)
}
