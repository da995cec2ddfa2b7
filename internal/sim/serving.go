package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Servers have batches of these sizes.
var servingBatch = []int{8, 16, 32, 64}

// Serving draws a server: an engine that batches continuously, with one of the [SensorKinds]. It has no requests; its
// prompts have tokens tokens on average, and its answers OutputTokens.
func Serving(seed uint64, sensor int) (p GridPoint, tokens int) {
	const ms = time.Millisecond
	r := random{rand.New(rand.NewPCG(seed, 2))}
	kind := SensorKinds[sensor%len(SensorKinds)]
	p = GridPoint{Batching: Continuous, Sensor: kind.Name, Seed: seed, Batch: servingBatch[r.IntN(len(servingBatch))],
		DecodeSteps: 20 + r.IntN(81), Prefill: r.duration(5*ms, 60*ms)}
	p.Step = r.duration(10*ms, 30*ms)
	tokens = max(8, int(p.Prefill.Seconds()*1000*r.between(2, 10)))
	p.Name = fmt.Sprintf("serving prefill %v decode %dx%v batch %d %s", p.Prefill.Round(ms/10), p.DecodeSteps,
		p.Step.Round(ms/10), p.Batch, p.Sensor)
	p.OutputTokens = p.DecodeSteps + 1
	p.Bare, p.Resident, p.CounterInterval = 3*time.Second, 3*time.Second, time.Second
	p.GPUs = []Sensors{p.sensors(r, kind.Edit)}
	p.Engine = EngineOptions{Batching: Continuous, BatchSize: p.Batch, Seed: seed, OutputVary: r.between(0, 0.5),
		StepGap: r.duration(0, 300*time.Microsecond), StampLag: r.duration(0, 500*time.Microsecond),
		StampJitter: r.duration(0, 200*time.Microsecond)}
	p.Engine.Model = p.model(r, tokens, 1)
	p.Engine.ChunkTokens = max(tokens/2, int(float64(tokens)*r.between(0.5, 2))) + p.Batch
	return p, tokens
}
