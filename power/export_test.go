package power

import (
	"time"
)

// Internals for the tests in package power_test.

// MergeGaps is mergeGaps.
func MergeGaps(g []Gap, start int64) []Gap { return mergeGaps(g, start) }

// CounterInterval returns the time between counter readings of a given cost.
func CounterInterval(set, cost time.Duration) time.Duration {
	return (&worker{sampler: &Sampler{CounterInterval: set}}).counterInterval(cost)
}

// BetweenReads returns the pause between the reads of a Mark.
func BetweenReads(first []Reading) time.Duration { return betweenReads(first) }
