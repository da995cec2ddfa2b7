//go:build !cgo

package ggml

import "github.com/llenergymeasure/llem/engine/embedded"

// WorkerMain reports that this binary has no engine.
func WorkerMain() error {
	_, err := embedded.Info()
	return err
}
