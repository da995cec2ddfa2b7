//go:build !cgo

package nvml

import (
	"github.com/llenergymeasure/llem/internal/sensor"
)

// loadNVML fails: the driver's library is reached through cgo.
func loadNVML(string) (nvmlLibrary, error) {
	return nil, sensor.NoSensor("nvml", "this llem was built without cgo", "build with CGO_ENABLED=1 (make build)")
}
