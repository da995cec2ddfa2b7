//go:build !cgo

package nvml

import "github.com/llenergymeasure/llem/power"

// loadNVML fails: the driver's library is reached through cgo.
func loadNVML(string) (nvmlLibrary, error) {
	return nil, power.Unavailable{
		Source: "nvml",
		Reason: "this llem was built without cgo",
		Fix:    "build with CGO_ENABLED=1 (make build)",
	}
}
