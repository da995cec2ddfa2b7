package atload

import (
	"errors"
	"math"
	"time"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/stats"
)

const (
	// settled is the time that a sample may lag behind the power, beside what it averages over.
	settled = 60 * time.Millisecond
	// tail is the time that power may take to fall when the work ends.
	tail = 8 * time.Millisecond
	// leastSeen is the share of the idle time that the series must show.
	leastSeen = 0.1
	// unlike is how far the power may be from its mean where it was not seen.
	unlike = 0.02
)

// IdleEnergy returns the energy of a device in the times of a window without a request in flight. Samples lag behind
// the power, and one at the limit is of both sides: each time counts with the mean of the samples that are of it alone,
// and with the mean over all of them if it is too short for that. busy is the mean power of the window in watts.
func IdleEnergy(c *attribute.Curve, idle []attribute.Window, w attribute.Window, busy float64) (attribute.Estimate,
	error) {
	q := c.Quality(w)
	resolution := max(q.Spacing, q.Averaging)
	var levels []float64
	var seen, all, joules, unseen float64
	for _, i := range idle {
		seconds := i.Duration().Seconds()
		all += seconds
		inner := attribute.Window{Start: i.Start + int64(resolution+settled), End: i.End - int64(q.Spacing)}
		level := math.NaN()
		if inner.Duration() >= resolution {
			level = c.MeanPower(inner.Start, inner.End)
		}
		if math.IsNaN(level) {
			unseen += seconds
			continue
		}
		levels, seen = append(levels, level), seen+inner.Duration().Seconds()
		joules += level * seconds
	}
	if seen < leastSeen*all {
		return attribute.Estimate{}, errors.New("the times without a request in flight are too short for this sensor")
	}
	mean := joules / (all - unseen)
	fall := float64(len(idle)) * tail.Seconds() / 2 * math.Abs(busy-mean)
	scatter := unlike * mean
	if s, ok := stats.Summarize(levels); ok && s.N > 2 {
		scatter = 1.96 * s.SD / math.Sqrt(float64(s.N))
	}
	joules += mean*unseen + fall
	return attribute.Estimate{Joules: joules, Half95: math.Hypot(scatter*all, fall+unlike*mean*unseen)}, nil
}
