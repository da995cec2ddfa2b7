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
