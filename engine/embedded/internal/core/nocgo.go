//go:build !cgo

package core

import (
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Info reports that this binary has no engine.
func Info() (backend.Info, error) {
	return backend.Info{}, note.Failf(codes.ClassNotInstalled,
		"build with CGO_ENABLED=1 and a C++ compiler: `make build`; or use --backend pytorch",
		"this llem was built without cgo and has no embedded engine")
}
