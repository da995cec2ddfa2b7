package sensor

import (
	"math"
	"testing"

	"github.com/llenergymeasure/llem/power"
)

// ringSamples returns ten seconds of a ring, 50 entries per poll, whose wall clock runs 20 ppm fast; jitter
// is the error of each mapping.
func ringSamples(jitter func(poll int64) int64) []power.Sample {
	var out []power.Sample
	for i := range int64(500) {
		mono, poll := i*20e6, i/50
		out = append(out, power.Sample{MonoNS: mono, UnixNS: mono + 1e18 + poll*20_000 + jitter(poll),
			Source: SourceSamples})
	}
	return out
}

func TestClockOf(t *testing.T) {
	c := ClockOf(ringSamples(func(int64) int64 { return 0 }))
	if c == nil || c.Mappings != 10 || math.Abs(c.DriftPPM-20) > 0.01 || c.JitterUS > 0.01 || c.MaxUS > 0.01 {
		t.Errorf("a drift alone: %+v", c)
	}
	c = ClockOf(ringSamples(func(poll int64) int64 { return poll % 2 * 10_000 }))
	if c == nil || math.Abs(c.JitterUS-5.5) > 0.5 || c.MaxUS < 4 || c.MaxUS > 7 {
		t.Errorf("mappings 10 µs apart in turn: %+v, want a deviation of about 5.5 µs", c)
	}
	polled := ringSamples(func(int64) int64 { return 0 })
	for i := range polled {
		polled[i].Source = SourceInstant
	}
	if c := ClockOf(polled); c != nil {
		t.Errorf("a polled source: %+v, want nothing", c)
	}
	if c := ClockOf(nil); c != nil {
		t.Errorf("no samples: %+v", c)
	}
}
