//go:build !cgo

package nvml

import (
	"github.com/llenergymeasure/llem/internal/sensor"
)

// loadNVML fails, because the driver's library needs cgo.
func loadNVML(string) (nvmlLibrary, error) {
	return nil, sensor.NoSensor("nvml", "this build of llem has no cgo", "build with CGO_ENABLED=1 (make build)")
}
