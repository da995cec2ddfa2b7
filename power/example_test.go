package power_test

import (
	"context"
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/internal/powerfake"
	"github.com/llenergymeasure/llem/power"
)

// Measure the energy of a fake GPU between two changes of its energy counter.
func ExampleSampler() {
	ctx := context.Background()
	meter := powerfake.NewFake(powerfake.FakeOptions{}) // sensors.Open finds real ones
	sampler := power.NewSampler(meter)
	sampler.Start(ctx)
	first := sampler.Mark(ctx, time.Second)
	time.Sleep(150 * time.Millisecond) // the work
	second := sampler.Mark(ctx, time.Second)
	trace := sampler.Stop(ctx)

	used := second[0].Energy - first[0].Energy
	fmt.Println(first[0].Device, "snapped:", first[0].Snapped && second[0].Snapped)
	fmt.Println("used energy:", used > 0, "samples:", len(trace.Samples) > 0, "gaps:", len(trace.Gaps))
	if err := meter.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// gpu0 snapped: true
	// used energy: true samples: true gaps: 0
}

func ExampleLoad() {
	prefillThenDecode := powerfake.Load{{For: 200 * time.Millisecond, Power: 650}, {Power: 400}}
	fmt.Println(prefillThenDecode.At(100*time.Millisecond), prefillThenDecode.At(time.Second))
	// Output: 650 W 400 W
}
