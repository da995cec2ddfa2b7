//go:build !cgo

package ggml

import "github.com/llenergymeasure/llem/engine/embedded/internal/core"

// WorkerMain reports that this binary has no engine.
func WorkerMain() error {
	_, err := core.Info()
	return err
}
