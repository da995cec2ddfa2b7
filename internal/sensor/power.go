// Package sensor has what the meters of this program and its self-test share: names of
// sources, what is known of a GPU, ways of asking a driver.
package sensor

import (
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
)

// Scopes of a [power.Device].
const (
	// ScopeGPU is the GPU alone.
	ScopeGPU = "gpu"
	// ScopeModule is the GPU with the processor and memory around it.
	ScopeModule = "module"
)

// NoSensor returns why a source cannot be read, and what would help.
func NoSensor(source, message, next string) power.Unavailable {
	return power.Unavailable{Source: source,
		Note: note.Note{Code: codes.SensorMissing, Message: message, Next: next}}
}

// SourceRefresh is how often the value behind a polled source changed, measured
// while it was polled.
type SourceRefresh struct {
	// Device is the ID of the device.
	Device string
	// Source names the call.
	Source string
	// Period is the median time between two changes; zero while too few were seen.
	Period time.Duration
	// Changes is how many changes were seen.
	Changes int
}
