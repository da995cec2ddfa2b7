// Package loadstest makes the folder of a study with loads, for tests of what is shown of it: two configurations of a
// queue with a known power, at rates below and above their capacity.
package loadstest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/latencies"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/study"
)

// What the power of the engine is made of, and what it can do.
const (
	IdleW   = 110.0 // without a request
	windowS = 60
	outputs = 32
	inputs  = 256
)

// kind is one of the two configurations.
type kind struct {
	dtype    string
	requestJ float64 // the energy of a request
	capacity float64 // in requests per second
}

// Kinds of the study: the second needs less energy for a request and has more capacity.
var kinds = []kind{{"float32", 31, 9}, {"bfloat16", 18, 14}}

// Rates of the study.
var rates = []float64{1, 2, 4, 6, 8, 12, 16}

// Objective of the study.
var objective = study.SLO{TTFTMS: 500, TPOTMS: 50, Attainment: 0.95}

// Folder writes the folder of a study into parent and returns its path. Cycles is how often each load runs.
func Folder(parent string, cycles int) (path string, err error) {
	s := Study(cycles)
	d, err := store.Create(parent, s.Name, time.Unix(1795000000, 0))
	if err != nil {
		return "", err
	}
	if err := d.WriteStudy(s); err != nil {
		return "", errors.Join(err, d.Close())
	}
	for c := range cycles {
		for _, e := range s.Experiments {
			rec, raw := Run(e, c+1)
			run, err := d.Begin(rec.ID, rec.Cycle)
			if err == nil {
				err = run.Commit(rec, raw)
			}
			if err != nil {
				return "", errors.Join(err, d.Close())
			}
		}
	}
	res, err := store.Summarize(d.Path(), s, time.Unix(1795000000, 0))
	if err == nil {
		err = d.WriteSummary(res)
	}
	return d.Path(), errors.Join(err, d.Close())
}

// Study is the study with all loads.
func Study(cycles int) *study.Study {
	s := &study.Study{Name: "loads", Engines: engines.All(), Execution: study.Execution{Cycles: cycles,
		Order: terms.Balanced, Seed: 1, Restart: terms.RestartNeeded}}
	simulated := slices.IndexFunc(s.Engines, func(d engine.Descriptor) bool { return d.Simulated })
	for _, k := range kinds {
		for _, rate := range rates {
			e := study.DefaultExperiment(s.Engines[simulated])
			e.Model, e.DType = "random:llama-3.1-8b", k.dtype
			e.Workload = study.Workload{Dataset: "synthetic", Prompts: int(rate * windowS), InputTokens: inputs,
				OutputTokens: outputs, Load: study.Arrivals{Kind: "poisson", Rate: rate}, SLO: objective}
			e.Warmup.Runs, e.Baseline.Seconds = 0, 0
			s.Experiments = append(s.Experiments, e)
		}
	}
	return s
}

// Run makes the record of a run with its requests.
func Run(e study.Experiment, cycle int) (*result.Record, series.All) {
	k := kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.dtype == e.DType })]
	rate := e.Workload.Load.Rate
	random := rand.New(rand.NewPCG(uint64(100*rate)+uint64(len(k.dtype)), uint64(cycle)))
	requests := arrivals(random, rate, k.capacity)
	const start, end = int64(5e9), int64(65e9)
	values, _, _ := latencies.Of(requests)
	completed, tokens := 0, int64(0)
	for _, q := range requests {
		if q.EndNS < end {
			completed++
		}
		for _, at := range q.TokenNS {
			if at < end {
				tokens++
			}
		}
	}
	done := float64(completed) / windowS
	watts := IdleW + k.requestJ*done + random.NormFloat64()
	began := time.Unix(1795000000, 0).UTC()
	quantity := func(v float64) *result.Quantity {
		return &result.Quantity{Value: v, CI95: [2]float64{v * 0.995, v * 1.005}, Gain95: v * 0.02,
			Method: "counter", Source: "sim.energy"}
	}
	n := int64(len(requests))
	rec := &result.Record{SchemaVersion: result.SchemaVersion, ID: e.ID(), Cycle: cycle, Status: result.OK, Config: e,
		Synthetic: true,
		Backend:   result.Backend{Name: e.Backend, Version: "1.0", DType: e.DType, Device: "simulated GPU"},
		Window: &result.Window{Start: began, End: began.Add(windowS * time.Second), StartMonoNS: start, EndMonoNS: end,
			DurationS: windowS, Repeats: 1},
		Tokens: &result.Tokens{Prompt: n * inputs, PromptComputed: n * inputs, Given: n * inputs, Output: tokens,
			Asked: tokens, RequestsOK: int64(completed)},
		Throughput: &result.Throughput{OutputTokensPerS: float64(tokens) / windowS,
			TotalTokensPerS: float64(tokens)/windowS + done*inputs, RequestsPerS: done},
		Energy: result.Energy{Provenance: result.Simulated, Scope: "gpu", Sources: []string{"sim.energy"},
			TotalJ: quantity(watts * windowS), MeanW: quantity(watts), ResidentW: quantity(IdleW),
			PerOutputTokenJ: quantity(watts * windowS / float64(tokens)),
			PerRequestJ:     quantity(watts / done)},
		Warnings: note.List{}, Timing: result.Timing{TookS: windowS + 10, WindowS: windowS},
	}
	rec.Load = load(e, requests, rate, done, k)
	rec.Latency = &result.Latency{TPOT: result.DistributionOf(values["tpot_ms"]),
		ResponseTTFT: result.DistributionOf(values["response_ttft_ms"]),
		ResponseE2E:  result.DistributionOf(values["response_e2e_ms"])}
	if rec.Load.Saturated {
		rec.Latency = &result.Latency{Reason: "the backlog grew: latencies describe the length of the run"}
	}
	rec = loads.JudgeRequests(requests, rec, e.Workload.SLO)
	return rec, series.All{Requests: rows(requests)}
}

// load are the numbers of the load, without the numbers of the objective.
func load(e study.Experiment, requests []backend.Request, rate, done float64, k kind) *result.Load {
	const start, end = int64(5e9), int64(65e9)
	var lag, service []float64
	var busy float64
	last := end
	for _, q := range requests {
		lag = append(lag, float64(q.SubmittedNS-q.ArrivedNS)/1e6)
		service = append(service, float64(q.FirstTokenNS-q.SubmittedNS)/1e6)
		busy += float64(min(q.EndNS, end)-q.ArrivedNS) / 1e9
		last = max(last, q.EndNS)
	}
	slope := max(0, rate-k.capacity)
	quantity := func(v float64) *result.Quantity {
		return &result.Quantity{Value: v, CI95: [2]float64{v * 0.99, v * 1.01}, Gain95: v * 0.02, Method: "counter"}
	}
	offered, little, n := float64(len(requests))/windowS, 0.8, float64(len(requests))
	l := &result.Load{Kind: e.Workload.Load.Kind, StartMonoNS: start - 2e9, EndMonoNS: last,
		HorizonMonoNS: end, RampS: 2, DrainS: float64(last-end) / 1e9, WindowMethod: "arrivals after the ramp",
		OfferedRPS: offered, SentRPS: offered, CompletedRPS: done, GapCV: new(1.02), Scheduled: int64(len(requests)),
		SendLagMS: result.DistributionOf(lag), ServiceTTFTMS: result.DistributionOf(service), EffectiveN: &n,
		InFlight: busy / windowS, MaxInFlight: int(3 * busy / windowS),
		BacklogSlope: &result.Estimate{Value: slope, CI95: [2]float64{slope - 0.1, slope + 0.1}},
		Saturated:    slope > 0, LittlePct: &little,
		Halves: &result.Halves{PowerPct: new(0.4), RatePct: new(-1.1), Stationary: true},
		RampJ:  quantity(2 * IdleW), DrainJ: quantity(float64(last-end) / 1e9 * IdleW)}
	if slope == 0 {
		l.IdleS = windowS * max(0, 0.5-rate/10)
	}
	l.IdleJ = quantity(l.IdleS * IdleW)
	return l
}

// arrivals are the requests of a window: each waits for the engine, which serves at most so many per second.
func arrivals(random *rand.Rand, rate, capacity float64) (out []backend.Request) {
	free := 5.0
	for at := 5 + random.ExpFloat64()/rate; at < 65; at += random.ExpFloat64() / rate {
		begin := max(at, free)
		free = begin + 1/capacity
		first := begin + 0.04 + 0.02*random.ExpFloat64()
		token := 0.012 + 0.018*min(1, rate/capacity) + 0.002*random.ExpFloat64()
		ns := func(s float64) int64 { return int64(s * 1e9) }
		q := backend.Request{ID: len(out), ArrivedNS: ns(at), SubmittedNS: ns(at) + 40_000, PrefillStartNS: ns(begin),
			FirstTokenNS: ns(first), PromptTokens: inputs, PromptComputed: inputs, OutputTokens: outputs,
			FinishReason: "length", OK: true}
		for i := range outputs {
			q.TokenNS = append(q.TokenNS, ns(first+float64(i)*token))
		}
		q.EndNS = q.TokenNS[outputs-1]
		out = append(out, q)
	}
	return out
}

// rows are requests as they are stored.
func rows(requests []backend.Request) []series.Request {
	out := make([]series.Request, len(requests))
	for i, q := range requests {
		out[i] = series.Request{ID: int64(q.ID), ArrivedNS: &requests[i].ArrivedNS, SubmittedNS: q.SubmittedNS,
			PrefillStartNS: q.PrefillStartNS, FirstTokenNS: q.FirstTokenNS, EndNS: q.EndNS, TokenNS: q.TokenNS,
			PromptTokens: int64(q.PromptTokens), PromptComputed: int64(q.PromptComputed),
			OutputTokens: int64(q.OutputTokens), FinishReason: q.FinishReason, OK: q.OK}
	}
	return out
}
