package study

import (
	"cmp"

	"github.com/llenergymeasure/llem/load"
)

// Process returns the arrivals of an open loop, which [load.Times] turns into a list. A trace has none: its requests
// are recorded. The error is a [load.Mistake].
func (e Experiment) Process() (load.Process, error) {
	a := e.Workload.Load
	p := load.Process{Kind: a.Kind, Rate: a.Rate, ToRate: a.ToRate, CV: a.CV, Seed: cmp.Or(a.Seed, e.Seed),
		DurationS: a.DurationS, Normalise: a.Normalise}
	if a.Rates != "" {
		pieces, err := load.ParseRates(a.Rates)
		if err != nil {
			return load.Process{}, err
		}
		p.Rates = pieces
	}
	if a.DurationS == 0 && a.Kind != load.Rates {
		p.Requests = e.Workload.Prompts
	}
	return p, nil
}
