package powerfake

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// FakeOptions describe a fake sensor. The zero value is one GPU at a constant 300 W, with a sample every 20
// ms and a counter that changes every 100 ms, similar to an H200.
type FakeOptions struct {
	// GPUs is the number of devices, called gpu0, gpu1, …; zero means one.
	GPUs int
	// Power is the true power of each GPU after the meter was opened; nil means 300 W. See [Load] and
	// [Square].
	Power func(elapsed time.Duration) unit.Watts

	Spacing time.Duration // between samples; zero means 20 ms
	Window  time.Duration // the averaging time of a sample; zero means Spacing
	Refresh time.Duration // update period of the counter; zero means 100 ms
	Latency time.Duration // duration of each Poll and Counters call
	// Noise is the standard deviation of a sample relative to its value.
	Noise float64
	// Seed of the noise.
	Seed uint64

	// Dropouts are intervals without samples.
	Dropouts []Dropout
	// FailAfter makes every later call fail, as if the device were lost; zero means never.
	FailAfter time.Duration
	// ResetAfter resets the counter to zero once; zero means never.
	ResetAfter time.Duration

	// Now returns CLOCK_MONOTONIC in nanoseconds; nil means the real clock.
	Now func() int64
}

// Dropout is an interval of elapsed time.
type Dropout struct {
	// From and To count from the opening of the meter.
	From, To time.Duration
}

// Fake is a meter without sensors, for demonstrations and tests. Its numbers are a pure function of elapsed
// time, so that results can be checked.
type Fake struct {
	opts    FakeOptions
	rng     *rand.Rand
	startNS int64
	unixNS  int64 // wall clock at startNS
	next    int64 // number of the next sample

	energyTo time.Duration // end of the time for which energy is summed
	energy   float64       // in joules
	reset    float64       // energy at the reset
}

// fakeStep is the step of the integration of power.
const fakeStep = time.Millisecond

var errFakeLost = errors.New("the fake device has disappeared, as configured")

// NewFake starts a fake sensor now.
func NewFake(opts FakeOptions) *Fake {
	opts.GPUs = max(opts.GPUs, 1)
	if opts.Power == nil {
		opts.Power = func(time.Duration) unit.Watts { return 300 }
	}
	if opts.Spacing <= 0 {
		opts.Spacing = 20 * time.Millisecond
	}
	if opts.Window <= 0 {
		opts.Window = opts.Spacing
	}
	if opts.Refresh <= 0 {
		opts.Refresh = 100 * time.Millisecond
	}
	if opts.Now == nil {
		opts.Now = clock.Mono
	}
	return &Fake{
		opts: opts, rng: rand.New(rand.NewPCG(opts.Seed, 0)),
		startNS: opts.Now(), unixNS: time.Now().UnixNano(), next: 1,
	}
}

// Name returns "fake".
func (f *Fake) Name() string { return "fake" }

// Devices lists the fake GPUs.
func (f *Fake) Devices() []power.Device {
	list := make([]power.Device, f.opts.GPUs)
	for i := range list {
		list[i] = power.Device{ID: fmt.Sprintf("gpu%d", i), Kind: power.GPU, Name: "fake GPU",
			UUID: fmt.Sprintf("GPU-fake-%d", i), Modelled: true}
	}
	return list
}

// Interval is the spacing of the samples, but at least 100 ms.
func (f *Fake) Interval() time.Duration { return max(f.opts.Spacing, 100*time.Millisecond) }

// Elapsed returns the time since the sensor was started, the argument of Power.
func (f *Fake) Elapsed() time.Duration { return time.Duration(f.opts.Now() - f.startNS) }

// begin returns the time at which a call is answered, or an error if the device is lost.
func (f *Fake) begin(ctx context.Context) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	elapsed := f.Elapsed()
	if f.opts.FailAfter > 0 && elapsed >= f.opts.FailAfter {
		return 0, errFakeLost
	}
	if f.opts.Latency > 0 {
		return elapsed, clock.Sleep(ctx, f.opts.Latency)
	}
	return elapsed, nil
}

// Poll appends the samples since the last call.
func (f *Fake) Poll(ctx context.Context, t *power.Trace) error {
	elapsed, err := f.begin(ctx)
	if err != nil {
		return err
	}
	for ; ; f.next++ {
		at := time.Duration(f.next) * f.opts.Spacing
		if at > elapsed {
			break
		}
		stamp := f.startNS + int64(at)
		if dropped, begins := f.dropped(at); dropped {
			for i := range f.opts.GPUs {
				if begins {
					t.Gaps = append(t.Gaps, power.Gap{Device: fmt.Sprintf("gpu%d", i), Source: sensor.SourceFake,
						StartNS: stamp - int64(f.opts.Spacing), EndNS: f.dropoutEnd(at),
						Reason: "the fake drops samples, as configured"})
				}
			}
			continue
		}
		mean := f.mean(at)
		for i := range f.opts.GPUs {
			watts := mean
			if f.opts.Noise > 0 {
				watts *= unit.Watts(1 + f.opts.Noise*f.rng.NormFloat64())
			}
			t.Samples = append(t.Samples, power.Sample{MonoNS: stamp, UnixNS: f.unixNS + int64(at),
				Device: fmt.Sprintf("gpu%d", i), Source: sensor.SourceFake, Power: max(watts,
					0), Window: f.opts.Window})
		}
	}
	return nil
}

// dropped reports whether the sample at this time is dropped, and whether it is the first of its dropout.
func (f *Fake) dropped(at time.Duration) (dropped, begins bool) {
	for _, d := range f.opts.Dropouts {
		if at >= d.From && at < d.To {
			return true, at-f.opts.Spacing < d.From
		}
	}
	return false, false
}

// dropoutEnd returns the stamp of the last sample that the dropout around at drops.
func (f *Fake) dropoutEnd(at time.Duration) int64 {
	for dropped := true; dropped; {
		at += f.opts.Spacing
		dropped, _ = f.dropped(at)
	}
	return f.startNS + int64(at-f.opts.Spacing)
}

// mean returns the average power over the window that ends at the given time.
func (f *Fake) mean(end time.Duration) unit.Watts {
	n := min(max(int(f.opts.Window/fakeStep), 1), 64)
	var sum unit.Watts
	for i := range n {
		middle := end - f.opts.Window + time.Duration((float64(i)+0.5)/float64(n)*float64(f.opts.Window))
		sum += f.opts.Power(max(middle, 0))
	}
	return sum / unit.Watts(n)
}

// Counters reads the energy counters, which do not change between refreshes.
func (f *Fake) Counters(ctx context.Context) ([]power.Reading, error) {
	before := f.opts.Now()
	elapsed, err := f.begin(ctx)
	if err != nil {
		return nil, err
	}
	after := f.opts.Now()
	f.addUp(elapsed.Truncate(f.opts.Refresh))
	readings := make([]power.Reading, f.opts.GPUs)
	for i := range readings {
		readings[i] = power.Reading{Device: fmt.Sprintf("gpu%d", i), Source: sensor.SourceFake, BeforeNS: before,
			AfterNS: after,
			Energy:  unit.FromJoules(f.energy - f.reset), Refresh: f.opts.Refresh}
	}
	return readings, nil
}

// addUp advances the counter.
func (f *Fake) addUp(to time.Duration) {
	for f.energyTo < to {
		step := min(fakeStep, to-f.energyTo)
		if r := f.opts.ResetAfter; r > f.energyTo && r <= f.energyTo+step {
			f.reset = f.energy
		}
		f.energy += float64(f.opts.Power(f.energyTo+step/2)) * step.Seconds()
		f.energyTo += step
	}
}

// Close does nothing.
func (f *Fake) Close() error { return nil }

// Load is a sequence of constant powers.
type Load []LoadStep

// LoadStep is one step of a [Load].
type LoadStep struct {
	// For is the duration of the step.
	For time.Duration
	// Power during the step, in watts.
	Power unit.Watts
}

// At returns the power after elapsed time. The last step lasts for ever.
func (l Load) At(elapsed time.Duration) unit.Watts {
	var watts unit.Watts
	for _, s := range l {
		watts = s.Power
		if elapsed < s.For {
			break
		}
		elapsed -= s.For
	}
	return watts
}

// Square alternates between high and low power. duty is the fraction of the period with high power, at its
// beginning.
func Square(period time.Duration, duty float64, low, high unit.Watts) func(time.Duration) unit.Watts {
	return func(elapsed time.Duration) unit.Watts {
		if math.Mod(elapsed.Seconds(), period.Seconds()) < duty*period.Seconds() {
			return high
		}
		return low
	}
}
