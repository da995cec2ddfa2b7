package nvml

import (
	"github.com/llenergymeasure/llem/internal/sensor"
)

// miss records why a field of the snapshot is empty.
func miss(f *sensor.GPUFacts, field string, err error) {
	if f.Missing == nil {
		f.Missing = make(map[string]string)
	}
	f.Missing[field] = err.Error()
}

// nvmlArchitecture returns the name of an architecture number (nvml.h).
func nvmlArchitecture(n uint32) string {
	switch n {
	case 2:
		return "Kepler"
	case 3:
		return "Maxwell"
	case 4:
		return "Pascal"
	case 5:
		return "Volta"
	case 6:
		return "Turing"
	case nvmlAmpere:
		return "Ampere"
	case 8:
		return "Ada"
	case 9:
		return "Hopper"
	case 10:
		return "Blackwell"
	case 13:
		return "Rubin"
	}
	return ""
}
