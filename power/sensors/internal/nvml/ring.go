package nvml

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// ringSeries reads the driver's ring of power samples. The driver stamps each entry in µs of the wall clock.
// Every poll measures the offset of the wall clock to CLOCK_MONOTONIC, so slow corrections do not matter and
// a step is detected.
type ringSeries struct {
	device string
	src    nvmlSensors
	clocks power.Clocks
	// spacing is the median distance of the entries when the ring was opened. It is used as the samples'
	// averaging window, which the driver does not document. On an H200, the integral of the entries agrees
	// with the counter to 0.1 % at steady load and idle. Under a load that switches every 30 ms, in step with
	// the spacing, it is off by -3 to +5 % over 15 to 20 s: the entries may average over less than their
	// distance.
	spacing time.Duration
	openNS  int64
	// last is the newest stamp that was read.
	last uint64
	// coveredNS is the end of the time covered by samples and reported gaps.
	coveredNS int64
	// offset is the wall clock minus the monotonic clock at the previous poll.
	offset int64
}

const (
	// clockStep is the change of offset between two polls that counts as a step.
	// Slewing moves the wall clock by at most 0.5 ms per second.
	clockStep = 5 * time.Millisecond
	// ringHole is the distance of two entries, in spacings, above which one is missing between them. On an
	// H200 (nominal spacing 20 ms), entries come up to 35 ms apart, and the next one is then early. If the
	// driver skipped one, the distance is 44 ms. That is rare at steady load, but happens 1 to 2 times a
	// second under a load that switches every 30 to 50 ms.
	ringHole = 2
	// ringDepth bounds how far back a ring reaches (2.4 s on an H200).
	ringDepth = 5 * time.Second
)

func (r *ringSeries) Interval() time.Duration { return ringInterval }

func (r *ringSeries) Poll(t *power.Trace) error {
	samples, err := r.src.Samples(r.last)
	now := r.clocks.Anchor()
	switch code := nvmlCode(err); {
	case code == nvmlNotFound, code == nvmlNoData:
		samples = nil
	case err != nil:
		return err
	}
	sortSamples(samples)

	offset := now.UnixNS - now.MonoNS
	step := time.Duration(offset - r.offset)
	r.offset = offset
	if step.Abs() > clockStep {
		r.restart(samples, now.UnixNS, step)
		r.gap(t, now.MonoNS, "the wall clock stepped")
		return fmt.Errorf("the wall clock stepped by %v: samples around the step are dropped",
			step.Round(time.Millisecond))
	}

	future := 0
	for _, s := range samples {
		if s.StampUS == 0 || s.StampUS <= r.last {
			continue
		}
		at := now.FromUnix(int64(s.StampUS) * 1000)
		if at > now.MonoNS {
			future++
			continue
		}
		if at <= r.openNS {
			continue
		}
		r.last = s.StampUS
		if at-r.coveredNS > ringHole*int64(r.spacing) {
			r.gap(t, at-int64(r.spacing), "the driver's ring holds no samples for this time")
		}
		r.coveredNS = max(r.coveredNS, at)
		t.Samples = append(t.Samples, power.Sample{
			MonoNS: at, UnixNS: int64(s.StampUS) * 1000, Device: r.device, Source: sensor.SourceSamples,
			Power: unit.Watts(s.Milliwatts / 1000), Window: r.spacing,
		})
	}
	if now.MonoNS-r.coveredNS > int64(ringDepth) {
		r.gap(t, now.MonoNS, "the driver's ring has stopped")
	}
	if future > 0 {
		return fmt.Errorf("samples with stamps in the future were ignored")
	}
	return nil
}

// restart discards the old wall clock. Entries with its stamps would be mapped to wrong times. After a small
// step back they look new, so the series waits until the clock has passed them. After a large step back they
// are in the future, and leave the ring before the clock reaches them.
func (r *ringSeries) restart(samples []nvmlSample, unixNS int64, step time.Duration) {
	newest := r.last
	if n := len(samples); n > 0 {
		newest = max(newest, samples[n-1].StampUS)
	}
	r.last = uint64(unixNS / 1000)
	if step < 0 && -step < ringDepth {
		r.last = max(r.last, newest)
	}
}

// gap reports that the series has no data from coveredNS to end.
func (r *ringSeries) gap(t *power.Trace, end int64, reason string) {
	if end <= r.coveredNS {
		return
	}
	t.Gaps = append(t.Gaps, power.Gap{Device: r.device, Source: sensor.SourceSamples, StartNS: r.coveredNS, EndNS: end,
		Reason: reason})
	r.coveredNS = end
}

func sortSamples(s []nvmlSample) {
	slices.SortFunc(s, func(a, b nvmlSample) int { return cmp.Compare(a.StampUS, b.StampUS) })
}

// medianSpacing returns the median distance of sorted samples, ignoring unused entries.
func medianSpacing(s []nvmlSample) time.Duration {
	var steps []uint64
	for i := 1; i < len(s); i++ {
		if s[i-1].StampUS != 0 && s[i].StampUS > s[i-1].StampUS {
			steps = append(steps, s[i].StampUS-s[i-1].StampUS)
		}
	}
	if len(steps) == 0 {
		return 0
	}
	slices.Sort(steps)
	return time.Duration(steps[len(steps)/2]) * time.Microsecond
}
