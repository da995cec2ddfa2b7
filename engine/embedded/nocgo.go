//go:build !cgo

package embedded

import (
	"github.com/llenergymeasure/llem/backend"

	"github.com/llenergymeasure/llem/note"
)

func engineInfo() (backend.Info, error) {
	return backend.Info{}, noEngine()
}

// WorkerMain reports that this binary has no engine.
func WorkerMain() error { return noEngine() }

func noEngine() error {
	return note.Failf(note.ClassNotInstalled,
		"build with CGO_ENABLED=1 and a C++ compiler: `make build`; or use --backend pytorch",
		"this llem was built without cgo and has no embedded engine")
}
