// Package unit holds the typed quantities of llem and how they are printed.
//
// Energy is an integer number of microjoules, the resolution of the finest
// counter that llem reads, so that sums and differences are exact; it becomes a
// floating-point number of joules once, at the edge (JSON, Parquet, terminal).
// Power is a floating-point number of watts.
package unit

import (
	"math"
	"time"

	"github.com/llenergymeasure/llem/internal/digits"
)

// Energy is an amount of energy in microjoules.
type Energy int64

// Joule is the unit of energy.
const Joule Energy = 1e6

// FromJoules rounds j joules to the nearest microjoule.
func FromJoules(j float64) Energy { return Energy(math.Round(j * float64(Joule))) }

// Joules returns e in joules.
func (e Energy) Joules() float64 { return float64(e) / float64(Joule) }

// String prints e with an SI prefix, such as "1.23 kJ".
func (e Energy) String() string { return digits.SI(e.Joules(), "J") }

// Watts is power in watts.
type Watts float64

// For returns the energy of constant power w over d.
func (w Watts) For(d time.Duration) Energy { return FromJoules(float64(w) * d.Seconds()) }

// String prints w with an SI prefix, such as "312 W".
func (w Watts) String() string { return digits.SI(float64(w), "W") }
