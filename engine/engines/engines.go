// Package engines lists the engines of this program.
package engines

import (
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/ctranslate2"
	"github.com/llenergymeasure/llem/engine/embedded"
	"github.com/llenergymeasure/llem/engine/fake"
	"github.com/llenergymeasure/llem/engine/llamacpp"
	"github.com/llenergymeasure/llem/engine/pytorch"
	"github.com/llenergymeasure/llem/engine/sglang"
	"github.com/llenergymeasure/llem/engine/tensorrt"
	"github.com/llenergymeasure/llem/engine/vllm"
)

// Find returns an engine of a list by name; a nil list is [All]. For an unknown engine only the name is set.
func Find(list engine.Descriptors, name string) engine.Descriptor {
	if list == nil {
		list = All()
	}
	if d, ok := list.Find(name); ok {
		return *d
	}
	return engine.Descriptor{Name: name}
}

// All returns the engines, in the order of documentation. The first is the default.
func All() engine.Descriptors {
	return engine.Descriptors{
		embedded.Descriptor(),
		pytorch.Descriptor(),
		vllm.Descriptor(),
		sglang.Descriptor(),
		tensorrt.Descriptor(),
		llamacpp.Descriptor(),
		ctranslate2.Descriptor(),
		fake.Descriptor(),
	}
}
