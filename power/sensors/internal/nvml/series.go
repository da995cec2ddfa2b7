package nvml

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/sensors/internal/poll"
	"github.com/llenergymeasure/llem/unit"
)

const (
	ringInterval = lookInterval // between readings of the ring, which spans more than two seconds
	// ringBeside is the interval of rings if other GPUs are polled.
	ringBeside = 100 * time.Millisecond
	// pointInterval is the time between readings of one value. A call takes 1 to 3 µs, a small price for
	// knowing updates to 5 ms.
	pointInterval = 5 * time.Millisecond
	ringRetry     = 150 * time.Millisecond
	ringMinimum   = 3               // entries from which a spacing is derived
	ringStale     = 5 * time.Second // age from which a ring counts as stopped
)

// powerSeries is one way to read a GPU's power over time.
type powerSeries interface {
	// Poll appends new samples.
	Poll(t *power.Trace) error
	Interval() time.Duration
}

// openSeries tries the sources of a device, best first. The error explains why each of them failed.
func openSeries(ctx context.Context, device string, src nvmlSensors, id nvmlIdentity, c power.Clocks) (powerSeries,
	error) {
	ring, ringErr := openRing(ctx, device, src, c)
	if ringErr == nil {
		return ring, nil
	}
	_, instantErr := src.Instant()
	if instantErr == nil {
		return poll.New(device, sensor.SourceInstant, 0, pointInterval, c, func() (unit.Watts, error) {
			v, err := src.Instant()
			return unit.Watts(v.Milliwatts / 1000), err
		}), nil
	}
	_, averageErr := src.Average()
	if averageErr != nil {
		return nil, errors.Join(ringErr, instantErr, averageErr)
	}
	var window time.Duration
	if id.averagesPower() {
		window = time.Second
	}
	return poll.New(device, sensor.SourceAverage, window, pointInterval, c, func() (unit.Watts, error) {
		mw, err := src.Average()
		return unit.Watts(float64(mw) / 1000), err
	}), nil
}

// openRing checks that the driver has a ring for this device that is active and stamped with the wall clock,
// and measures the spacing of its entries.
func openRing(ctx context.Context, device string, src nvmlSensors, c power.Clocks) (*ringSeries, error) {
	openNS := c.Mono()
	for try := range 2 {
		samples, err := src.Samples(0)
		now := c.Anchor()
		switch code := nvmlCode(err); {
		case err == nil, code == nvmlNotFound, code == nvmlNoData:
		default:
			return nil, err
		}
		sortSamples(samples)
		if spacing := medianSpacing(samples); len(samples) >= ringMinimum && spacing > 0 {
			newest := time.Duration(now.UnixNS - int64(samples[len(samples)-1].StampUS)*1000)
			if newest.Abs() > ringStale {
				return nil, fmt.Errorf("the newest sample in the driver's ring is %v old", newest.Round(time.Second))
			}
			return &ringSeries{
				device: device, src: src, clocks: c, spacing: spacing,
				openNS: openNS, coveredNS: openNS, offset: now.UnixNS - now.MonoNS,
			}, nil
		}
		if try == 0 {
			if err := clock.Sleep(ctx, ringRetry); err != nil {
				return nil, err
			}
		}
	}
	return nil, errors.New("the driver keeps no power samples")
}
