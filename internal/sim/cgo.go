//go:build cgo

package sim

// cgoBuilt says that this program can load a C library.
const cgoBuilt = true
