//go:build !cgo

package nvml

import "github.com/llenergymeasure/llem/power"

// loadNVML fails: the driver's library is reached through cgo.
func loadNVML(string) (nvmlLibrary, error) {
	return nil, power.NoSensor("nvml", "this llem was built without cgo", "build with CGO_ENABLED=1 (make build)")
}
