package estimate_test

import (
	"fmt"

	"github.com/llenergymeasure/llem/internal/estimate"
	"github.com/llenergymeasure/llem/internal/shape"
)

func Example() {
	shape, err := shape.Lookup("llama-3.1-8b")
	if err != nil {
		panic(err)
	}
	device, err := estimate.Lookup("NVIDIA H200")
	if err != nil {
		panic(err)
	}
	s := estimate.Setup{
		Model: shape.Config, Backend: "pytorch", Device: device,
		Work: estimate.Work{Prompts: 40, Batch: 8, Input: 512, Output: 128},
	}
	p, err := estimate.Estimate(s, nil)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s: %.3g s, %v, decode bound by %s\n", p.Basis, p.Window.Seconds, p.Window.Energy, p.Decode.Bound)
	fmt.Println(s.Fits(0).Reason)
	s.Work.Prompts, s.Work.Batch = 4000, 4000
	fit := s.Fits(0)
	fmt.Printf("%s:\n%s\n", fit.Reason, fit.Next)
	// Output:
	// roofline: 13.2 s, 3.32 kJ, decode bound by launches
	// needs 16.5 GiB (weights 15.0 GiB, KV cache 512 MiB, activations 466 MiB, overhead 632 MiB) of 140 GiB on H200 SXM
	// needs 493 GiB (weights 15.0 GiB, KV cache 250 GiB, activations 228 GiB, overhead 671 MiB) of 140 GiB on H200 SXM:
	// reduce the batch to 1045
}
