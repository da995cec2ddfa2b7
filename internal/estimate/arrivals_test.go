package estimate

import (
	"math"
	"testing"

	"github.com/llenergymeasure/llem/internal/shape"
)

// TestArrivals: power rises with the rate from the idle card to the busy one, requests in flight with it, and beyond
// what the engine completes the backlog takes longer than the arrivals. A vLLM server on an H200 had 14 requests in
// flight at 506 W at 16 requests/s, 52 at 597 W at 32, and completed 55 of 64 requests/s (docs/load.md).
func TestArrivals(t *testing.T) {
	named, err := shape.Lookup("llama-3.1-8b")
	if err != nil {
		t.Fatal(err)
	}
	device, err := Lookup("h200")
	if err != nil {
		t.Fatal(err)
	}
	s := Setup{Model: named.Config, Backend: "vllm", Device: device,
		Work: Work{Prompts: 64, Batch: 256, Input: 512, Output: 128}}
	at := func(a Arrivals) Served {
		a.Seconds = 25
		s.Arrivals = []Arrivals{a}
		p, err := Estimate(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Served) != 1 || p.Repeats != 1 || p.Window.Seconds < 25 || p.SecondsRange.Low != p.Window.Seconds {
			t.Fatalf("%+v: %+v", a, p)
		}
		return p.Served[0]
	}
	last := at(Arrivals{})
	if got := float64(last.Watts()); math.Abs(got-float64(s.Resident())) > 1e-6 || last.InFlight != 0 {
		t.Errorf("a pause takes %.0f W with %.0f in flight", got, last.InFlight)
	}
	for _, rate := range []float64{0.1, 1, 4, 16, 32, 48} {
		q := at(Arrivals{Rate: rate})
		if q.Watts() < last.Watts() || q.InFlight < last.InFlight || q.Behind || q.Seconds != 25 {
			t.Errorf("%g requests/s: %+v after %+v", rate, q, last)
		}
		last = q
	}
	over := at(Arrivals{Rate: 200})
	if !over.Behind || over.Rate > 100 || over.Rate < 48 || over.Seconds <= 25 || over.InFlight != 256 {
		t.Errorf("200 requests/s: %+v", over)
	}
	closed := at(Arrivals{InFlight: 64})
	if one := at(Arrivals{InFlight: 1}); closed.Rate <= one.Rate || one.InFlight != 1 || closed.InFlight != 64 {
		t.Errorf("closed loops of 1 and 64: %+v, %+v", one, closed)
	}
}
