package sensor

import "github.com/llenergymeasure/llem/unit"

// Call is one way of asking a device for its power or energy. A self-test uses
// calls to learn what each of them costs and how often its answer changes; a
// measurement goes through [Meter].
type Call struct {
	// Name is the driver's name of the call.
	Name string
	// Source is the name that samples and readings of this call carry.
	Source string
	// Energy says that the value is a counter's.
	Energy bool
	// Read returns joules since an arbitrary origin for an energy counter, else
	// watts, with the driver's own stamp in µs of the wall clock; the stamp is zero
	// where the driver gives none.
	Read func() (value float64, stampUS uint64, err error)
}

// RingSample is one entry of the driver's ring of power samples.
type RingSample struct {
	StampUS uint64 // µs of the wall clock
	// Power of the entry.
	Power unit.Watts
}
