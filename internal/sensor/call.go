package sensor

import "github.com/llenergymeasure/llem/unit"

// Call is one way to read a device's power or energy. A self-test uses calls to measure what each costs and
// how often its value changes; a measurement uses [power.Meter].
type Call struct {
	// Name is the driver's name of the call.
	Name string
	// Source is the source in samples and readings of this call.
	Source string
	// Energy reports whether the value is an energy counter.
	Energy bool
	// Read returns joules since an arbitrary origin for an energy counter, otherwise watts, with the driver's
	// own stamp in µs of the wall clock, or zero if there is none.
	Read func() (value float64, stampUS uint64, err error)
}

// RingSample is one entry of the driver's ring of power samples.
type RingSample struct {
	StampUS uint64 // µs of the wall clock
	// Power of the entry.
	Power unit.Watts
}
