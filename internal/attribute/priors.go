package attribute

import (
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// msNS is a millisecond in nanoseconds.
const msNS = 1e6

// belief is a prior in milliseconds.
type belief struct {
	lag, lagSD, window, windowSD, filter, filterSD, rise, riseSD float64
	relative                                                     bool
}

// beliefs are the priors of sources without a self-test: the kinds of kernels that a source may have.
var beliefs = map[string][]belief{
	// The driver's ring: on an H200, a low-pass filter of 13 ms after a lag of 5 ms (bench/results);
	// elsewhere it may be an average over its spacing.
	sensor.SourceSamples: {
		{lag: 5, lagSD: 7, window: 2, windowSD: 4, filter: 13, filterSD: 6},
		{lag: 5, lagSD: 9, window: 0, windowSD: 8, filter: 3, filterSD: 4, relative: true},
	},
	// Polled, so that the stamp is the time of the update: on an H200, the same filter as the ring's, updated
	// every 100 ms; an average over 25 to 100 ms on other cards (measured over many of them in arXiv
	// 2312.02741).
	sensor.SourceInstant: {
		{lag: 6, lagSD: 7, window: 2, windowSD: 4, filter: 13, filterSD: 6},
		{lag: 6, lagSD: 9, window: 28, windowSD: 20, filter: 3, filterSD: 4},
	},
	// One second on Ampere and newer.
	sensor.SourceAverage: {{lag: 20, lagSD: 30, window: 1000, windowSD: 60, filter: 3, filterSD: 4}},
}

// exact is the prior for differences of an energy counter, whose windows are the time between two readings.
// The power itself still needs time to follow the load.
var exact = []belief{{lagSD: 1.5, windowSD: 1.5, filter: 3, filterSD: 4, relative: true}}

// slowRise is the filter, in milliseconds, above which it is the sensor's own and the power may follow the load through
// another one in series; a shorter one is how the power follows.
const slowRise = 8

// priorsOf returns the priors for one series, from the self-test if there is one.
func priorsOf(source string, profile *power.SourceProfile, refined bool) []prior {
	if profile != nil && profile.LagMS != nil && profile.WindowMS != nil {
		// The self-test measured this card, but not the offset of the engine's stamps from its work, hence at
		// least a millisecond of uncertainty.
		b := belief{lag: *profile.LagMS, lagSD: doubt(profile.LagSDMS), window: *profile.WindowMS,
			windowSD: doubt(profile.WindowSDMS), filter: 3, filterSD: 4}
		if profile.FilterMS != nil {
			b.filter, b.filterSD = *profile.FilterMS, doubt(profile.FilterSDMS)
		}
		return []prior{b.prior()}
	}
	believed, ok := beliefs[source]
	if !ok {
		believed = exact
	}
	var out []prior
	for _, b := range believed {
		if refined && b.filter > slowRise {
			b.rise, b.riseSD = 2, 4
		}
		out = append(out, b.prior())
	}
	return out
}

func (b belief) prior() prior {
	return prior{mean: params{b.lag * msNS, b.window * msNS, b.filter * msNS, b.rise * msNS},
		sd: params{b.lagSD * msNS, b.windowSD * msNS, b.filterSD * msNS, b.riseSD * msNS}, relative: b.relative}
}

// doubt returns the standard deviation that remains after a self-test, in milliseconds.
func doubt(sd *float64) float64 {
	if sd == nil {
		return 3
	}
	return max(1, 2**sd)
}
