package attribute

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/blur"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// seen returns the values of a ring for the true power of a world, as a kernel shows it, with a little noise.
func (w *world) seen(k params, noise float64, rng *rand.Rand) []power.Sample {
	b := blur.New(w.breaks, [][]float64{w.watts})
	var obs []observation
	for t := w.window.Start - 300*ms; t < w.window.End+300*ms; t += 20 * ms {
		obs = append(obs, observation{at: t})
	}
	var out []power.Sample
	for i, x := range rows(b, obs, prior{}, k) {
		out = append(out, power.Sample{MonoNS: obs[i].at, Source: sensor.SourceSamples, Window: 20 * time.Millisecond,
			Power: unit.Watts(x[0] * (1 + noise*rng.NormFloat64()))})
	}
	return out
}

// TestKernelIsTheOptimum: the search alone ends beside the optimum where a longer window does nearly the same as a
// slower filter, and one filter cannot do what two in series do.
func TestKernelIsTheOptimum(t *testing.T) {
	for name, k := range map[string]params{
		"a window":                  {3 * msNS, 20 * msNS, 0, 0},
		"a window and a slow rise":  {5 * msNS, 20 * msNS, 5 * msNS, 0},
		"a filter":                  {6 * msNS, 0, 13 * msNS, 0},
		"a filter and a slow rise":  {6 * msNS, 0, 13 * msNS, 7 * msNS},
		"a filter and a quick rise": {6 * msNS, 0, 13 * msNS, 2 * msNS},
	} {
		rng := rand.New(rand.NewPCG(8, 2))
		w := continuous(h200ish, 8, 512, 20, rng)
		s, err := Phases(Options{Samples: w.seen(k, 0.002, rng), Steps: w.steps, Requests: w.requests, Window: w.window,
			Tier: backend.TierExact, Refined: true})
		if err != nil {
			t.Fatal(err)
		}
		near(t, name+": delay", s.Kernel.Filter.Seconds()+s.Kernel.Window.Seconds()/2+s.Kernel.Lag.Seconds(),
			(k.delay()+k[windowParam]/2+k[lagParam])/1e9, 0.3e-3)
		near(t, name+": filter", s.Kernel.Filter.Seconds(), k.delay()/1e9, 1e-3)
		near(t, name+": prefill", s.Prefill.Joules, w.truth.prefill, 0.002*w.truth.prefill)
		near(t, name+": decode", s.Decode.Joules, w.truth.decode, 0.002*w.truth.decode)
	}
}

// TestFailedRequestsTakePart: the engine worked for requests that failed later, too. Without their prompts, the chunks
// of all later steps would belong to the wrong requests.
func TestFailedRequestsTakePart(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 1))
	w := continuous(h200ish, 8, 512, 8, rng)
	want, err := timeline(w.steps, w.requests, w.window)
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.requests {
		w.requests[i].OK = i%5 != 0
	}
	got, err := timeline(w.steps, w.requests, w.window)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("step %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	// One that failed before its first token is not known to have had a prompt in the steps: only the steps before the
	// next first token are affected.
	lost := w.requests[3].FirstTokenNS
	w.requests[3].FirstTokenNS, w.requests[3].TokenNS = 0, nil
	got, err = timeline(w.steps, w.requests, w.window)
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for i := range want {
		if want[i].start > lost+int64(2*time.Second) && got[i].pairs != want[i].pairs {
			wrong++
		}
	}
	if wrong > 0 {
		t.Errorf("%d steps have the wrong prompts long after a request that failed early", wrong)
	}
}

// TestPausesAreKnownToTheStamps: stamps that make every pause a little longer do not move the phases out of their
// intervals.
func TestPausesAreKnownToTheStamps(t *testing.T) {
	const gap, late = int64(100e3), int64(35e3)
	rng := rand.New(rand.NewPCG(8, 3))
	w := &world{}
	at := w.idle(-1000*ms, 1000*ms, h200ish)
	for i := range 3000 {
		s := backend.Step{Sequences: 1, DecodeTokens: 1}
		if i%50 == 0 {
			s = backend.Step{Sequences: 1, PrefillTokens: 200}
		}
		at = w.idle(w.add(at, 5*ms, h200ish, s, 0, 0, rng), gap, h200ish)
		w.steps[i].EndNS -= late
		if i%50 == 49 {
			at = w.idle(at, 400*ms, h200ish)
		}
	}
	w.window = Window{0, at}
	w.idle(at, 1000*ms, h200ish)
	s, err := Phases(Options{Samples: w.seen(params{5 * msNS, 20 * msNS, 0, 0}, 0.002, rng), Steps: w.steps,
		Window: w.window, Tier: backend.TierExact, Refined: true})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "decode", s.Decode.Joules, w.truth.decode, s.Decode.Half95)
	if s.Decode.Half95 > 0.01*s.Decode.Joules {
		t.Errorf("decode is %v ± %v", s.Decode.Joules, s.Decode.Half95)
	}
	near(t, "pauses", s.Other.Joules, w.truth.other-h200ish.idleW, s.Other.Half95)
}
