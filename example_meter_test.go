package llem_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

// plug is a custom sensor: a metered socket with a constant load of 42 W. It has a power series and an energy
// counter, which changes ten times a second.
type plug struct {
	clocks power.Clocks
	opened int64 // when the counter was 0, in nanoseconds of CLOCK_MONOTONIC
	next   int64 // when the next sample is due
}

const (
	plugPower   = unit.Watts(42)
	plugSpacing = 50 * time.Millisecond
	plugRefresh = 100 * time.Millisecond
)

func newPlug(c power.Clocks) *plug {
	now := c.Mono()
	return &plug{clocks: c, opened: now, next: now + int64(plugSpacing)}
}

func (p *plug) Name() string { return "plug" }

// Devices of kind Remote are shown beside the others and never added to them.
func (p *plug) Devices() []power.Device {
	return []power.Device{{ID: "plug", Kind: power.Remote, Name: "metered socket"}}
}

func (p *plug) Interval() time.Duration { return plugSpacing }

func (p *plug) Poll(ctx context.Context, t *power.Trace) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for now := p.clocks.Anchor(); p.next <= now.MonoNS; p.next += int64(plugSpacing) {
		t.Samples = append(t.Samples, power.Sample{MonoNS: p.next, UnixNS: now.Unix(p.next), Device: "plug",
			Source: "plug", Power: plugPower, Window: plugSpacing})
	}
	return nil
}

func (p *plug) Counters(ctx context.Context) ([]power.Reading, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	before := p.clocks.Mono()
	elapsed := time.Duration(before - p.opened).Truncate(plugRefresh)
	return []power.Reading{{Device: "plug", Source: "plug.energy", BeforeNS: before, AfterNS: p.clocks.Mono(),
		Energy: plugPower.For(elapsed), Refresh: plugRefresh}}, nil
}

func (p *plug) Close() error { return nil }

// A custom sensor is read together with the machine's sensors and appears in the results.
func ExampleOptions_meters() {
	dir, err := os.MkdirTemp("", "llem-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := study.New(study.Set("model", "random:tiny-llama"), study.Set("backend", "fake"),
		study.Set("execution.cycles", 1), study.Set("baseline.seconds", 0.5), study.Set("baseline.resident_seconds",
			0.5),
		study.Set("energy.min_window", 2))
	if err != nil {
		log.Fatal(err)
	}
	r, err := llem.Run(context.Background(), s,
		llem.Options{Results: dir, Meters: []power.Meter{newPlug(power.SystemClocks())}})
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range r.Runs[0].Energy.Devices {
		seconds := r.Runs[0].Window.DurationS
		low, high := d.EnergyJ.CI95[0]/seconds, d.EnergyJ.CI95[1]/seconds // allows for late readings on a busy machine
		fmt.Printf("%s: counted %t, at 42 W %t\n", d.Device, d.Counted, low < 42.1 && high > 41.9)
	}
	// Output:
	// gpu0: counted true, at 42 W false
	// plug: counted false, at 42 W true
}
