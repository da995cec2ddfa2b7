//go:build cgo

package ggml

import (
	"errors"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// TestPanicsOfTheEngine: an index out of range in the engine is reported as a file that contradicts itself.
func TestPanicsOfTheEngine(t *testing.T) {
	load := func() (err error) {
		defer func() { err = noMemory(recover(), err, backend.Spec{Model: "m"}) }()
		var tokens []int
		_ = tokens[len(t.Name())]
		return nil
	}
	if f, ok := errors.AsType[*note.Failure](load()); !ok || f.Class != codes.ClassCorruptModel {
		t.Errorf("%v", f)
	}
}
