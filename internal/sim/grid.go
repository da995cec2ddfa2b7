package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// GridPoint is a scenario with its position in the grid.
type GridPoint struct {
	Scenario
	// Prefill is the duration of the prefill step of a static batch, or of the prompt of one request in
	// continuous batching.
	Prefill time.Duration
	// DecodeSteps is the number of following steps, each about Step long.
	DecodeSteps int
	Step        time.Duration
	Batch       int
	Sensor      string
	Batching    string
	Seed        uint64
}

// SensorKinds are the sensors of [Grid], each with what the meter of package sensors gets.
var SensorKinds = []struct {
	Name string
	Edit func(*Sensors)
}{
	{"ring, 20 ms window", func(*Sensors) {}},
	{"ring, 13 ms filter (H200)", func(s *Sensors) { s.Ring.Filter = 13 * time.Millisecond }},
	{"ring, 10 of 20 ms", func(s *Sensors) { s.Ring.Window = 10 * time.Millisecond }},
	{"instant, 25 of 100 ms", func(s *Sensors) { s.Ring = Ring{} }},
	{"instant, 13 ms filter", func(s *Sensors) { s.Ring, s.Instant.Filter = Ring{}, 13*time.Millisecond }},
	{"1 s average", func(s *Sensors) { s.Ring, s.Instant = Ring{}, Point{} }},
	{"ring, counter 20 ms", func(s *Sensors) {
		s.Counter.Refresh, s.Counter.Jitter = 20*time.Millisecond,
			time.Millisecond
	}},
	{"ring, counter 500 ms", func(s *Sensors) { s.Counter.Refresh = 500 * time.Millisecond }},
	{"counter 100 ms alone", func(s *Sensors) { s.Ring, s.Instant, s.Average = Ring{}, Point{}, Point{} }},
}

// Axes of the grid.
var (
	gridPrefill = []time.Duration{5, 10, 20, 50, 100, 200, 500} // ms
	gridDecode  = []int{10, 50, 200, 500}
	gridBatch   = []int{1, 4, 8, 16, 32}
)

// gridWindow is the minimum length of a measured window.
const gridWindow = 10 * time.Second

// Grid lists scenarios over the length of prefill and decoding, the sensor and the kind of batching. The seed
// determines everything else: batch, step time, powers, noise, drift, lags, gains, and arrivals. Another seed
// gives another sample of the same grid.
func Grid(seed uint64) []GridPoint {
	var list []GridPoint
	for _, batching := range []string{Static, Continuous} {
		for sensor := range SensorKinds {
			for _, prefill := range gridPrefill {
				for _, steps := range gridDecode {
					p := GridPoint{Prefill: prefill * time.Millisecond, DecodeSteps: steps, Batching: batching,
						Sensor: SensorKinds[sensor].Name, Seed: mix(seed<<32 + uint64(len(list)))}
					p.fill(SensorKinds[sensor].Edit)
					list = append(list, p)
				}
			}
		}
	}
	return list
}

// random draws the values that the seed determines.
type random struct{ *rand.Rand }

// between returns a uniform value.
func (r random) between(low, high float64) float64 { return low + (high-low)*r.Float64() }

func (r random) duration(low, high time.Duration) time.Duration {
	return time.Duration(r.between(float64(low), float64(high)))
}

// fill builds the scenario.
func (p *GridPoint) fill(edit func(*Sensors)) {
	r := random{rand.New(rand.NewPCG(p.Seed, 1))}
	p.Batch = gridBatch[r.IntN(len(gridBatch))]
	p.Step = r.duration(5*time.Millisecond, 25*time.Millisecond)
	tokens := max(8, int(p.Prefill.Seconds()*1000*r.between(2, 10)))
	p.Name = fmt.Sprintf("%s prefill %v decode %dx%v batch %d %s", p.Batching, p.Prefill, p.DecodeSteps,
		p.Step.Round(100*time.Microsecond), p.Batch, p.Sensor)
	p.OutputTokens = p.DecodeSteps + 1
	p.Bare, p.Resident, p.Warmup = 3*time.Second, 3*time.Second, 1
	p.GPUs = []Sensors{p.sensors(r, edit)}
	p.Engine = EngineOptions{
		Batching: p.Batching, BatchSize: p.Batch, Seed: p.Seed,
		StepGap: r.duration(0, 300*time.Microsecond), StampLag: r.duration(0, 500*time.Microsecond),
		StampJitter: r.duration(0, 200*time.Microsecond),
	}
	once := p.Prefill + time.Duration(p.DecodeSteps)*p.Step
	if p.Batching == Static {
		p.Engine.BatchGap = r.duration(0, 30*time.Millisecond)
		p.Engine.Model = p.model(r, tokens, p.Batch)
		batches := int(math.Ceil(gridWindow.Seconds() / (once + p.Engine.BatchGap).Seconds()))
		for range batches * p.Batch {
			p.Prompts = append(p.Prompts, tokens)
		}
		return
	}
	p.Engine.Model = p.model(r, tokens, 1)
	p.continuous(r, tokens)
}

// continuous sets the requests: enough of them, of different lengths.
func (p *GridPoint) continuous(r random, tokens int) {
	// One request takes its prompt and its share of the steps.
	each := p.Prefill + time.Duration(p.DecodeSteps)*p.Step/time.Duration(p.Batch)
	// Steps that overlap share reading the weights, and so take less time.
	count := max(2*p.Batch, int(math.Ceil(1.5*gridWindow.Seconds()/each.Seconds())))
	for range count {
		p.Prompts = append(p.Prompts, max(1, int(float64(tokens)*r.between(0.6, 1.4))))
	}
	p.Engine.OutputVary = r.between(0, 0.4)
	const chunk = 40 * time.Millisecond
	pieces := (p.Prefill + chunk - 1) / chunk
	p.Engine.ChunkTokens = tokens/int(pieces) + p.Batch
	switch r.IntN(3) {
	case 1:
		p.Engine.Arrivals.Clients = p.Batch
	case 2:
		p.Engine.Arrivals.Rate = r.between(0.6, 1.2) / each.Seconds()
	}
}

// sensors draws a GPU.
func (p *GridPoint) sensors(r random, edit func(*Sensors)) Sensors {
	const ms = time.Millisecond
	s := DefaultSensors()
	edit(&s)
	s.Seed = p.Seed
	s.Ring.Phase, s.Counter.Phase = r.duration(0, 20*ms), r.duration(0, 100*ms)
	s.Ring.Lag, s.Ring.Noise, s.Ring.Gain = r.duration(0, 15*ms), r.between(0.01, 0.04), r.between(-0.005, 0.005)
	s.Ring.Jitter = r.duration(0, ms)
	s.Instant.Phase, s.Instant.Jitter, s.Instant.Noise = r.duration(0, 100*ms), r.duration(0, 2*ms), s.Ring.Noise
	s.Instant.Lag, s.Instant.Gain = r.duration(0, 10*ms), s.Ring.Gain
	s.Average.Phase, s.Average.Noise, s.Average.Gain = r.duration(0, 100*ms), r.between(0, 0.01), s.Ring.Gain
	s.Counter.Gain, s.Counter.ReadTime = r.between(-0.005, 0.005), r.duration(0, 4*ms)
	if s.Ring.Spacing == 0 {
		s.Ring = Ring{}
	}
	if s.Instant.Refresh == 0 {
		s.Instant = Point{}
	}
	if s.Average.Refresh == 0 {
		s.Average = Point{}
	}
	return s
}

// model draws powers and solves for the terms that give the requested times: the prefill of some sequences at
// once, and the decoding of a whole batch in the middle of its output.
func (p *GridPoint) model(r random, tokens, together int) Model {
	const ms = time.Millisecond
	prefillW, decodeW := r.between(350, 690), r.between(220, 600)
	m := Model{
		BareW: r.between(60, 90), IdleW: r.between(90, 140), Load: 500 * ms,
		Noise: r.between(0.01, 0.04), NoiseBlock: r.duration(2*ms, 10*ms), NoiseRho: r.between(0.5, 0.95),
		Drift: r.between(-0.02, 0.02),
	}
	if r.IntN(2) == 0 {
		m.Ripple, m.RipplePeriod = r.between(0.02, 0.1), r.duration(ms, 4*ms)
	}
	if r.IntN(2) == 0 {
		m.Rise = r.duration(2*ms, 8*ms)
	}
	prefill, step := p.Prefill.Seconds(), p.Step.Seconds()
	m.StaticW = m.IdleW + r.between(20, 60)
	m.Time.Weights = r.between(0.4, 0.8) * min(prefill, step)
	m.WeightsJ = r.between(0.2, 0.6) * m.Time.Weights * (min(prefillW, decodeW) - m.StaticW)

	prompt := float64(tokens * together)
	pairs := float64(together) * float64(tokens) * float64(tokens) / 2
	attention := r.between(0, 0.25)
	spread := func(total, share, of, others float64) (first, second float64) {
		return (1 - share) * total / of, share * total / others
	}
	m.Time.Prefill, m.Time.Attention = spread(prefill-m.Time.Weights, attention, prompt, pairs)
	m.PrefillJ, m.AttentionJ = spread(prefill*(prefillW-m.StaticW)-m.WeightsJ, attention, prompt, pairs)

	context := float64(p.Batch) * (float64(tokens) + float64(p.DecodeSteps)/2)
	cache := r.between(0.1, 0.6)
	m.Time.Decode, m.Time.Cache = spread(step-m.Time.Weights, cache, float64(p.Batch), context)
	m.DecodeJ, m.CacheJ = spread(step*(decodeW-m.StaticW)-m.WeightsJ, cache, float64(p.Batch), context)
	return m
}
