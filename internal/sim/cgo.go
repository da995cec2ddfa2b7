//go:build cgo

package sim

// cgoBuilt reports whether this program can load a C library.
const cgoBuilt = true
