// Package sensor has what meters and the self-test share: names of sources, facts about a GPU, ways to read a
// driver.
package sensor

import (
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
)

// Gain95 is the gain uncertainty of an uncalibrated board or package sensor (95 %): steady-state errors of about ±5 %
// of the reading compared with external meters, see docs/metrics.md.
const Gain95 = 0.05

// Scopes of a [power.Device].
const (
	// ScopeGPU is the GPU alone.
	ScopeGPU = "gpu"
	// ScopeModule is the GPU with the processor and memory around it.
	ScopeModule = "module"
)

// NoSensor returns the reason why a source cannot be read, and the next step.
func NoSensor(source, message, next string) power.Unavailable {
	return power.Unavailable{Source: source,
		Note: note.Note{Code: codes.SensorMissing, Message: message, Next: next}}
}

// SourceRefresh is how often a polled value changed, measured while polling.
type SourceRefresh struct {
	// Device is the ID of the device.
	Device string
	// Source names the call.
	Source string
	// Period is the median time between two changes; zero if there were too few.
	Period time.Duration
	// Changes is the number of changes.
	Changes int
}
