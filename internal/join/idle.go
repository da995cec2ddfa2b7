package join

import (
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// idleOf returns the mean power of a device over an idle interval, from the source of its energy: a counter
// and a power reading may disagree at idle.
func (j *join) idleOf(device string, counter bool, w attribute.Window) result.Idle {
	if w.End <= w.Start {
		return result.Idle{}
	}
	return idlePower(between(j.samples(device), w), around(j.readings(device), w), w, counter)
}

// Idle returns the mean power of a device over an idle interval, by its counter if it has one.
func Idle(trace power.Trace, device string, w attribute.Window) result.Idle {
	m := &Material{Samples: trace.Samples, Counters: trace.Counters}
	readings := m.readings(device)
	return idlePower(m.samples(device), readings, w, len(readings) > 0)
}

func idlePower(samples []power.Sample, readings []power.Reading, w attribute.Window, counter bool) result.Idle {
	mean, meanErr := attribute.MeanPower(samples, w)
	idle := result.Idle{W: mean.Watts, Half95: mean.Half95, DriftW: mean.Drift, DriftHalf95: mean.DriftHalf95}
	if len(samples) > 0 {
		idle.Source = samples[0].Source
	}
	if !counter {
		if meanErr != nil {
			return result.Idle{Source: idle.Source, Reason: meanErr.Error()}
		}
		return idle
	}
	curve, err := attribute.NewCurve(samples)
	if err != nil {
		curve = nil
	}
	if curve == nil || curve.Quality(w).Averaging > coarse {
		w = widened(w, readings)
	}
	seconds := w.Duration().Seconds()
	e, err := attribute.Counter(readings, curve, w)
	if err != nil {
		return result.Idle{Reason: err.Error()}
	}
	idle.Source = readings[0].Source
	// The series' scatter over time also applies to the counter.
	idle.W, idle.Half95 = e.Joules/seconds, math.Hypot(e.Half95/seconds, mean.Half95)
	return idle
}

// coarse is the window of a series above which it does not show the power at the limits of an idle interval.
const coarse = 250 * time.Millisecond

// marked is the distance in nanoseconds from an idle interval within which the changes of the counter at its limits
// lie.
const marked = int64(600e6)

// widened returns an idle interval with its limits at the changes of the counter around it, if both were seen: the
// machine is idle there too, and without a fine series nothing else is known of it.
func widened(w attribute.Window, readings []power.Reading) attribute.Window {
	out := attribute.Window{}
	for _, r := range readings {
		switch at := r.At(); {
		case !r.Snapped:
		case at <= w.Start && w.Start-at <= marked:
			out.Start = at
		case at >= w.End && at-w.End <= marked && out.End == 0:
			out.End = at
		}
	}
	if out.Start == 0 || out.End == 0 {
		return w
	}
	return out
}

// MaxDrift is the relative drift of an idle power above which a baseline is doubtful.
const MaxDrift = 0.03

// Drifts reports whether an idle power was still changing.
func Drifts(i result.Idle) bool {
	return i.W > 0 && math.Abs(i.DriftW) > MaxDrift*i.W && math.Abs(i.DriftW) > i.DriftHalf95
}

// drifting warns of an idle power that was still changing.
func (j *join) drifting(device, what string, i result.Idle) {
	if Drifts(i) {
		j.warn(codes.BaselineDrift,
			fmt.Sprintf("%s: the idle power %s changed by %+.3g W while it was measured (%.3g W): net energy is "+
				"uncertain by as much; "+
				"let the machine rest before the run, or raise baseline.seconds", device, what, i.DriftW, i.W))
	}
}
