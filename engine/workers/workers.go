// Package workers lists the engines that run as this program started again, with the code of their processes. Only
// the root package imports it: the list in package engines, which all others use, excludes that code, which may be
// C++.
package workers

import (
	"github.com/llenergymeasure/llem/engine/embedded"
	"github.com/llenergymeasure/llem/engine/embedded/ggml"
	"github.com/llenergymeasure/llem/engine/fake"
)

// Find returns the function that runs an engine's process until its parent sends stop; nil if the engine does not
// run in this program. getenv returns environment variables.
func Find(engine string, getenv func(string) string) func() error {
	return map[string]func() error{
		embedded.Descriptor().Name: ggml.WorkerMain,
		fake.Descriptor().Name:     func() error { return fake.WorkerMain(getenv) },
	}[engine]
}
