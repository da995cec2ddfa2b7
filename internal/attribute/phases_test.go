package attribute

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// world is a simulated run: steps with their true energy, and sensors that see it.
type world struct {
	steps    []backend.Step
	requests []backend.Request
	window   Window
	breaks   []int64
	watts    []float64
	sum      []float64 // joules up to each break
	truth    split
	low      split // the energy of prefill or decode alone
}

// physics are the costs of a step.
type physics struct {
	idleW, staticW           float64
	step, prompt, pair       float64 // joules
	output, context          float64
	driftPerMinute, rippleSD float64
}

var h200ish = physics{idleW: 125, staticW: 180, step: 5.5, prompt: 0.028, pair: 2e-6, output: 0.02, context: 1.2e-5}

func (w *world) add(t int64, dt int64, p physics, s backend.Step, pairs, context float64, rng *rand.Rand) int64 {
	s.StartNS, s.EndNS = t, t+dt
	own := split{
		prefill: p.prompt*float64(s.PrefillTokens) + p.pair*pairs,
		decode:  p.output*float64(s.DecodeTokens) + p.context*context,
	}
	both := p.staticW*digits.Seconds(dt) + p.step
	if kindOf(s) == mixed { // the time that tokens add belongs to them
		own.prefill += p.staticW * perPrompt * float64(s.PrefillTokens)
		own.decode += p.staticW * perOutput * float64(s.DecodeTokens)
		both -= p.staticW * (perPrompt*float64(s.PrefillTokens) + perOutput*float64(s.DecodeTokens))
	}
	scale := 1 + p.driftPerMinute*digits.Seconds(t)/60
	if p.rippleSD > 0 {
		scale *= 1 + p.rippleSD*rng.NormFloat64()
	}
	own.prefill *= scale
	own.decode *= scale
	both *= scale
	w.piece(t, dt, (own.prefill+own.decode+both)/digits.Seconds(dt))
	switch kindOf(s) {
	case prefill:
		w.truth.prefill += own.prefill + both
		w.low.prefill += own.prefill + both
	case decode:
		w.truth.decode += own.decode + both
		w.low.decode += own.decode + both
	case mixed:
		w.truth.prefill += own.prefill + both/2
		w.truth.decode += own.decode + both/2
		w.low.prefill += own.prefill
		w.low.decode += own.decode
	}
	w.steps = append(w.steps, s)
	return t + dt
}

func (w *world) idle(t, dt int64, p physics) int64 {
	w.piece(t, dt, p.idleW)
	if t >= 0 {
		w.truth.other += p.idleW * digits.Seconds(dt)
	}
	return t + dt
}

func (w *world) piece(t, dt int64, watts float64) {
	if len(w.breaks) == 0 {
		w.breaks, w.sum = []int64{t}, []float64{0}
	}
	w.breaks = append(w.breaks, t+dt)
	w.watts = append(w.watts, watts)
	w.sum = append(w.sum, w.sum[len(w.sum)-1]+watts*digits.Seconds(dt))
}

func (w *world) joules(t int64) float64 {
	i, _ := slices.BinarySearch(w.breaks, t)
	if i == 0 {
		return 0
	}
	i = min(i, len(w.watts))
	return w.sum[i-1] + w.watts[i-1]*digits.Seconds(min(t, w.breaks[i])-w.breaks[i-1])
}

// filtered returns the output of a low-pass filter at t.
func (w *world) filtered(t int64, tau float64) float64 {
	const past = 8
	sum := 0.0
	const n = 400
	// Midpoint rule over the exponential's quantiles.
	for k := range n {
		back := -math.Log((float64(k)+0.5)/n) * tau
		u := t - int64(min(back, past*tau))
		i, _ := slices.BinarySearch(w.breaks, u)
		sum += w.watts[max(0, min(i-1, len(w.watts)-1))] / n
	}
	return sum
}

// view describes the sensor.
type view struct {
	source                       string
	spacing, window, lag, stated time.Duration
	noise                        float64 // relative
	polled                       time.Duration
	tau                          time.Duration // a low-pass filter instead of a window
}

func (w *world) see(s view, rng *rand.Rand) []power.Sample {
	var out []power.Sample
	for t := w.window.Start - 500*ms + int64(rng.Float64()*float64(s.spacing)); t < w.window.End+
		300*ms; t += int64(s.spacing) {
		to := t - int64(s.lag)
		from := to - int64(s.window)
		if from < w.breaks[0] || to > w.breaks[len(w.breaks)-1] {
			continue
		}
		v := (w.joules(to) - w.joules(from)) / digits.Seconds(to-from)
		if s.tau > 0 {
			v = w.filtered(to, float64(s.tau))
		}
		v *= 1 + s.noise*rng.NormFloat64()
		x := power.Sample{MonoNS: t, Device: "gpu0", Source: s.source, Power: unit.Watts(v), Window: s.stated}
		if s.polled > 0 {
			x.SinceNS = t - int64(rng.Float64()*float64(s.polled))
			x.MonoNS = x.SinceNS + int64(s.polled)
		}
		out = append(out, x)
	}
	return out
}

// perPrompt and perOutput are the seconds that a token adds to a mixed step.
const perPrompt, perOutput = 14e-6, 20e-6

// static returns repeated batches: one prefill, then decodes, then a pause.
func static(p physics, batch, prompt, output int, prefillTime, decodeTime time.Duration, seconds_ float64,
	rng *rand.Rand) *world {
	w := &world{}
	w.idle(-1000*ms, 1000*ms, p)
	t := int64(0)
	for t < int64(seconds_*1e9) {
		start := t
		dt := int64(float64(prefillTime) * (1 + 0.01*rng.NormFloat64()))
		t = w.add(t, dt, p, backend.Step{PrefillTokens: batch * prompt, Sequences: batch,
			ContextTokens: int64(batch * prompt)}, float64(batch*prompt*prompt)/2, 0, rng)
		stamps := []int64{t}
		for k := 1; k < output; k++ {
			dt := int64(float64(decodeTime) * (1 + 0.02*rng.NormFloat64()))
			context := batch * (prompt + k)
			t = w.add(t, dt, p, backend.Step{DecodeTokens: batch, Sequences: batch, ContextTokens: int64(context)}, 0,
				float64(context), rng)
			stamps = append(stamps, t)
		}
		for range batch {
			w.requests = append(w.requests,
				backend.Request{ID: len(w.requests), OK: true, SubmittedNS: start, PrefillStartNS: start,
					FirstTokenNS: stamps[0],
					EndNS:        t, TokenNS: stamps, PromptTokens: prompt, PromptComputed: prompt,
					OutputTokens: output})
		}
		t = w.idle(t, int64(4e6+4e6*rng.Float64()), p)
	}
	w.window = Window{0, t}
	w.idle(t, 1000*ms, p)
	w.truth.other -= p.idleW // after the window
	return w
}

// continuous returns continuous batching with chunked prefill: every step decodes one token of each running
// sequence and processes a chunk of a waiting prompt.
func continuous(p physics, slots, chunk int, length float64, rng *rand.Rand) *world {
	type sequence struct {
		request        int
		prompt, output int
		done           int // prompt tokens processed
		made           int
	}
	w := &world{}
	w.idle(-1000*ms, 1000*ms, p)
	var running []*sequence
	t := int64(0)
	for ended := false; ; {
		if float64(t) > length*1e9 {
			ended = true
		}
		for len(running) < slots && !ended && rng.Float64() < 0.3 {
			q := &sequence{request: len(w.requests), prompt: 100 + rng.IntN(1200), output: 20 + rng.IntN(200)}
			w.requests = append(w.requests,
				backend.Request{ID: q.request, OK: true, SubmittedNS: t, PrefillStartNS: t, PromptTokens: q.prompt,
					PromptComputed: q.prompt, OutputTokens: q.output})
			running = append(running, q)
		}
		if len(running) == 0 {
			if ended {
				break
			}
			t = w.idle(t, 3*ms, p)
			continue
		}
		step := backend.Step{Sequences: len(running)}
		var pairs, context float64
		var finished []*sequence
		left := chunk
		for _, q := range running {
			switch {
			case q.done < q.prompt:
				if c := min(left, q.prompt-q.done); c > 0 {
					step.PrefillTokens += c
					pairs += float64(c)*float64(q.done) + float64(c*c)/2
					q.done, left = q.done+c, left-c
					if q.done == q.prompt {
						finished = append(finished, q) // its first token
					}
				}
			default:
				step.DecodeTokens++
				context += float64(q.prompt + q.made)
				finished = append(finished, q)
			}
			step.ContextTokens += int64(q.done + q.made)
		}
		dt := int64(7e6 + 1e9*(perPrompt*float64(step.PrefillTokens)+perOutput*float64(step.DecodeTokens)))
		t = w.add(t, dt, p, step, pairs, context, rng)
		var still []*sequence
		for _, q := range finished {
			r := &w.requests[q.request]
			r.TokenNS = append(r.TokenNS, t)
			if q.made++; q.made == 1 {
				r.FirstTokenNS = t
			}
			r.EndNS = t
		}
		for _, q := range running {
			if q.made < q.output {
				still = append(still, q)
			}
		}
		running = still
	}
	w.window = Window{0, t}
	w.idle(t, 1000*ms, p)
	w.truth.other -= p.idleW
	return w
}

var (
	ring20 = view{source: sensor.SourceSamples, spacing: 20 * time.Millisecond, window: 20 * time.Millisecond,
		stated: 20 * time.Millisecond, noise: 0.02}
	ring20w10 = view{source: sensor.SourceSamples, spacing: 20 * time.Millisecond, window: 10 * time.Millisecond,
		stated: 20 * time.Millisecond, lag: 4 * time.Millisecond, noise: 0.02}
	ringRC = view{source: sensor.SourceSamples, spacing: 20 * time.Millisecond, window: 20 * time.Millisecond,
		stated: 20 * time.Millisecond, lag: 5 * time.Millisecond, tau: 13 * time.Millisecond, noise: 0.02}
	instantRC = view{source: sensor.SourceInstant, spacing: 100 * time.Millisecond, window: 25 * time.Millisecond,
		lag: 6 * time.Millisecond, tau: 13 * time.Millisecond, noise: 0.02, polled: 5 * time.Millisecond}
	instant = view{source: sensor.SourceInstant, spacing: 100 * time.Millisecond, window: 25 * time.Millisecond,
		lag: 8 * time.Millisecond, noise: 0.02, polled: 5 * time.Millisecond}
	average = view{source: sensor.SourceAverage, spacing: 100 * time.Millisecond, window: time.Second,
		stated: time.Second, lag: 15 * time.Millisecond, noise: 0.005, polled: 5 * time.Millisecond}
)

// score collects the errors of splits.
type score struct {
	prefill, decode     []float64 // relative errors
	inPrefill, inDecode int
	refused             []string
}

func (c *score) take(w *world, s view, rng *rand.Rand) {
	got, err := Phases(Options{Samples: w.see(s, rng), Steps: w.steps, Requests: w.requests, Window: w.window,
		Tier: backend.TierExact})
	switch {
	case err != nil:
		c.refused = append(c.refused, err.Error())
		return
	case got.Prefill.Refused != "" || got.Decode.Refused != "":
		c.refused = append(c.refused, got.Prefill.Refused+got.Decode.Refused)
		return
	}
	c.prefill = append(c.prefill, math.Abs(got.Prefill.Joules/w.truth.prefill-1))
	c.decode = append(c.decode, math.Abs(got.Decode.Joules/w.truth.decode-1))
	if math.Abs(got.Prefill.Joules-w.truth.prefill) <= got.Prefill.Half95 {
		c.inPrefill++
	}
	if math.Abs(got.Decode.Joules-w.truth.decode) <= got.Decode.Half95 {
		c.inDecode++
	}
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}

func (c *score) String() string {
	n := len(c.prefill)
	text := fmt.Sprintf("median error prefill %.2f %%, decode %.2f %%; covered %d and %d of %d; refused %d",
		100*median(c.prefill), 100*median(c.decode), c.inPrefill, c.inDecode, n, len(c.refused))
	if len(c.refused) > 0 {
		text += ": " + c.refused[0]
	}
	return text
}

// samples returns the number of simulated runs of a statistical test: few with -short, which serves the race
// detector. The limits hold for the full number.
func samples(full, short int) int {
	if testing.Short() {
		return short
	}
	return full
}

// TestSplitHitsTheTruth is a small version of the accuracy grid: errors, coverage of the intervals, and no
// unnecessary refusal.
func TestSplitHitsTheTruth(t *testing.T) {
	static := func(prefill, output int, seconds ...float64) func(*rand.Rand) *world {
		return func(rng *rand.Rand) *world {
			p := h200ish
			p.driftPerMinute = 0.02 * rng.NormFloat64()
			return static(p, 8, prefill*20, output, time.Duration(prefill)*time.Millisecond, 12*time.Millisecond,
				append(seconds, 12)[0], rng)
		}
	}
	mixed := func(slots int, seconds ...float64) func(*rand.Rand) *world {
		return func(rng *rand.Rand) *world { return continuous(h200ish, slots, 512, append(seconds, 12)[0], rng) }
	}
	n := samples(6, 1)
	var all score
	for name, q := range map[string]struct {
		world func(*rand.Rand) *world
		s     view
		limit float64 // of the median error of prefill
	}{
		"ring, 20 ms, 50 tokens":            {static(20, 50), ringRC, 0.02},
		"ring, 100 ms, 50 tokens":           {static(100, 50), ring20, 0.02},
		"ring, 500 ms, 200 tokens":          {static(500, 200), ringRC, 0.02},
		"narrow ring, 50 ms, 10 tokens":     {static(50, 10), ring20w10, 0.02},
		"instant, 50 ms, 10 tokens":         {static(50, 10), instantRC, 0.05},
		"instant, 200 ms, 50 tokens":        {static(200, 50), instant, 0.05},
		"1 s average, 100 ms, 50 tokens":    {static(100, 50, 30), average, 0.05},
		"ring, continuous, 4 slots":         {mixed(4), ringRC, 0.02},
		"instant, continuous, 16 slots":     {mixed(16), instantRC, 0.05},
		"1 s average, continuous, 64 slots": {mixed(64, 30), average, 0.05},
	} {
		var c score
		for k := range n {
			rng := rand.New(rand.NewPCG(uint64(k), 7))
			c.take(q.world(rng), q.s, rng)
		}
		t.Logf("%s: %v", name, &c)
		if m := median(c.prefill); !(m <= q.limit) {
			t.Errorf("%s: %v: want at most %.0f %%", name, &c, 100*q.limit)
		}
		all.prefill, all.decode = append(all.prefill, c.prefill...), append(all.decode, c.decode...)
		all.inPrefill += c.inPrefill
		all.inDecode += c.inDecode
		all.refused = append(all.refused, c.refused...)
	}
	if total := len(all.prefill); float64(all.inPrefill) < 0.88*float64(total) ||
		float64(all.inDecode) < 0.88*float64(total) {
		t.Errorf("all: %v: the intervals cover too rarely", &all)
	}
	if 5*len(all.refused) > len(all.prefill) {
		t.Errorf("all: %v: too many refusals", &all)
	}
}

// TestWhatCannotBeKnownIsRefused: too short, too rare, too blurred, too uniform.
func TestWhatCannotBeKnownIsRefused(t *testing.T) {
	constant := func(rng *rand.Rand) *world { // all mixed steps are alike
		w := &world{}
		w.idle(-1000*ms, 1000*ms, h200ish)
		at := int64(0)
		for range 800 {
			at = w.add(at, 14*ms, h200ish, backend.Step{PrefillTokens: 64, DecodeTokens: 16, Sequences: 17}, 0,
				16*500, rng)
		}
		w.window = Window{0, at}
		w.idle(at, 1000*ms, h200ish)
		return w
	}
	for name, q := range map[string]struct {
		world func(*rand.Rand) *world
		s     view
		want  string
	}{
		"prefill too rare": {func(rng *rand.Rand) *world {
			return static(h200ish, 8, 100, 400, 5*time.Millisecond, 12*time.Millisecond, 9, rng)
		}, instant, "energy.min_window"},
		"blurred": {func(rng *rand.Rand) *world {
			return static(h200ish, 8, 400, 5, 20*time.Millisecond, 12*time.Millisecond, 9, rng)
		}, average, "condition number"},
		"constant mixture": {constant, ringRC, "hardly varies"},
	} {
		rng := rand.New(rand.NewPCG(1, 1))
		w := q.world(rng)
		got, err := Phases(Options{Samples: w.see(q.s, rng), Steps: w.steps, Requests: w.requests, Window: w.window,
			Tier: backend.TierExact})
		reason := got.Prefill.Refused
		if err != nil {
			reason = err.Error()
		}
		if !strings.Contains(reason, q.want) {
			t.Errorf("%s: prefill %.4g ± %.2g J (true %.4g), reason %q, want one about %q", name, got.Prefill.Joules,
				got.Prefill.Half95, w.truth.prefill, reason, q.want)
		}
	}
}

func TestBadMaterialIsRefused(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	w := static(h200ish, 8, 400, 50, 50*time.Millisecond, 12*time.Millisecond, 6, rng)
	good := Options{Samples: w.see(ring20, rng), Steps: w.steps, Requests: w.requests, Window: w.window,
		Tier: backend.TierExact}
	if _, err := Phases(good); err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]struct {
		spoil func(*Options)
		want  string
	}{
		"client only": {func(o *Options) { o.Tier = backend.TierClient }, "do not identify the phases"},
		"no steps":    {func(o *Options) { o.Steps = nil }, "no steps"},
		"outside":     {func(o *Options) { o.Steps = slices.Clone(o.Steps); o.Steps[3].StartNS = -9e9 }, "outside"},
		"overlap": {func(o *Options) { o.Steps = slices.Clone(o.Steps); o.Steps[3].EndNS += 40e6 },
			"overlap by 40 ms"},
		"no samples": {func(o *Options) { o.Samples = nil }, "too few"},
		"a gap": {func(o *Options) {
			o.Samples = slices.DeleteFunc(slices.Clone(o.Samples),
				func(s power.Sample) bool { return s.MonoNS > 1e9 && s.MonoNS < 2e9 })
		}, "covers only"},
		"zero": {func(o *Options) {
			o.Samples = slices.Clone(o.Samples)
			for i := range o.Samples {
				o.Samples[i].Power = 0
			}
		}, "zero everywhere"},
	} {
		o := good
		q.spoil(&o)
		if _, err := Phases(o); err == nil || !strings.Contains(err.Error(), q.want) {
			t.Errorf("%s: %v, want an error about %q", name, err, q.want)
		}
	}
}

// TestRequestsAddUp: the energies of the requests add up to the energies of the phases.
func TestRequestsAddUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	w := continuous(h200ish, 8, 512, 8, rng)
	s, err := Phases(Options{Samples: w.see(ringRC, rng), Steps: w.steps, Requests: w.requests, Window: w.window,
		Tier: backend.TierExact})
	if err != nil {
		t.Fatal(err)
	}
	var sum Shares
	for i, q := range s.PerRequest(w.requests) {
		sum.Prefill += q.Prefill
		sum.Decode += q.Decode
		if q.Prefill <= 0 || q.Decode <= 0 {
			t.Errorf("request %d: %+v", i, q)
		}
	}
	near(t, "prefill", sum.Prefill, s.Prefill.Joules, 1e-6)
	near(t, "decode", sum.Decode, s.Decode.Joules, 1e-6)
	near(t, "phases and idle", s.Sum(), w.joules(w.window.End)-w.joules(0), 0.01*s.Sum())
}

// TestSharesOfAStep: requests share a step by their tokens, and add up to the phase.
func TestSharesOfAStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	w := static(h200ish, 2, 200, 20, 50*time.Millisecond, 12*time.Millisecond, 6, rng)
	for i := range w.requests { // 100 and 300 prompt tokens in place of 200 each
		n := 100 + 200*(i%2)
		w.requests[i].PromptTokens, w.requests[i].PromptComputed = n, n
	}
	s, err := Phases(Options{Samples: w.see(ringRC, rng), Steps: w.steps, Requests: w.requests, Window: w.window,
		Tier: backend.TierExact})
	if err != nil {
		t.Fatal(err)
	}
	shares := s.PerRequest(w.requests)
	for i := 0; i < len(shares); i += 2 {
		a, b := shares[i], shares[i+1]
		near(t, "prefill of the longer prompt over the shorter", b.Prefill/a.Prefill, 3, 1e-9)
		near(t, "decode of one over the other", b.Decode/a.Decode, 1, 1e-9)
	}
	few := []Shares{{Prefill: 1}, {Prefill: 3}}
	scale(few, 8, func(e *Shares) *float64 { return &e.Prefill })
	if few[0].Prefill != 2 || few[1].Prefill != 6 {
		t.Errorf("1 and 3 J scaled to 8 J are %v", few)
	}
}

// TestBounds: the bounds contain the cost of each phase under any convention.
func TestBounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	w := continuous(h200ish, 16, 512, 12, rng)
	s, err := Phases(Options{Samples: w.see(ringRC, rng), Steps: w.steps, Requests: w.requests, Window: w.window,
		Tier: backend.TierExact})
	if err != nil {
		t.Fatal(err)
	}
	both := 2 * (w.truth.prefill - w.low.prefill)
	near(t, "shared", s.Shared, both, 0.15*both)
	if s.Prefill.Low > w.low.prefill*1.01 || s.Prefill.High < (w.low.prefill+both)*0.99 {
		t.Errorf("prefill bounds [%.5g, %.5g], want them around [%.5g, %.5g]", s.Prefill.Low, s.Prefill.High,
			w.low.prefill, w.low.prefill+both)
	}
}

// TestKernelOfAnH200 determines the low-pass filter of the ring and of POWER_INSTANT in a recording: matrix
// products switched on for 5 to 40 ms at a time.
func TestKernelOfAnH200(t *testing.T) {
	text, err := os.ReadFile("testdata/h200-pulses.json")
	if err != nil {
		t.Fatal(err)
	}
	var rec struct {
		Edges   [][2]int64 `json:"edges"`
		Ring    [][2]int64 `json:"ring"`
		Instant [][3]int64 `json:"instant"`
		End     int64      `json:"end"`
	}
	if err := json.Unmarshal(text, &rec); err != nil {
		t.Fatal(err)
	}
	var on []Window
	for _, e := range rec.Edges {
		on = append(on, Window{e[0] * 1000, e[1] * 1000})
	}
	var ring, instant []power.Sample
	for _, r := range rec.Ring {
		ring = append(ring, power.Sample{MonoNS: r[0] * 1000, Power: unit.Watts(float64(r[1]) / 1e3),
			Source: sensor.SourceSamples, Window: 20 * time.Millisecond})
	}
	for _, r := range rec.Instant {
		instant = append(instant,
			power.Sample{SinceNS: r[0] * 1000, MonoNS: r[1] * 1000, Power: unit.Watts(float64(r[2]) / 1e3),
				Source: sensor.SourceInstant})
	}
	for name, samples := range map[string][]power.Sample{"ring": ring, "instant": instant} {
		k, err := FitKernel(samples, on, Window{0, rec.End * 1000})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		t.Logf("%s: %+v", name, k)
		near(t, name+" delay in ms", (k.Lag+k.Window/2+k.Filter).Seconds()*1e3, 17, 3.5)
		near(t, name+" filter in ms", k.Filter.Seconds()*1e3, 13, 5)
	}
}

// TestFitKernel recovers known kernels.
func TestFitKernel(t *testing.T) {
	for name, s := range map[string]view{"box": ring20, "narrow": ring20w10, "filter": ringRC, "part-time": instant,
		"slow": average} {
		rng := rand.New(rand.NewPCG(2, 3))
		w := &world{}
		w.idle(-1500*ms, 1500*ms, h200ish)
		var on []Window
		at := int64(0)
		for range 60 {
			d := int64((40 + 360*rng.Float64()) * 1e6)
			w.piece(at, d, 600)
			on = append(on, Window{at, at + d})
			at += d
			d = int64((40 + 360*rng.Float64()) * 1e6)
			w.piece(at, d, h200ish.idleW)
			at += d
		}
		w.window = Window{0, at}
		w.idle(at, 1500*ms, h200ish)
		k, err := FitKernel(w.see(s, rng), on, w.window)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		t.Logf("%s: %+v", name, k)
		// Window and filter can replace each other; the delay cannot.
		delay := (k.Lag + k.Window/2 + k.Filter).Seconds() * 1e3
		want := (s.lag + s.window/2).Seconds() * 1e3
		if s.tau > 0 {
			want = (s.lag + s.tau).Seconds() * 1e3
		}
		near(t, name+" delay in ms", delay, want, 2.5)
		if s.tau == 0 && s.spacing < 50*time.Millisecond {
			near(t, name+" window in ms", k.Window.Seconds()*1e3, s.window.Seconds()*1e3, 2)
		}
		near(t, name+" high", k.HighW, 600, 15)
		near(t, name+" low", k.LowW, h200ish.idleW, 15)
	}
	if _, err := FitKernel(nil, nil, Window{}); err == nil {
		t.Error("a kernel was found without data")
	}
}

// sampledSteps returns what periodic reads of an engine's counters show of a step log: how many tokens of
// each kind each interval had.
func sampledSteps(steps []backend.Step, every int64) []backend.Step {
	var out []backend.Step
	for _, s := range steps {
		at := s.StartNS - (s.StartNS-steps[0].StartNS)%every
		if n := len(out); n == 0 || out[n-1].StartNS != at {
			out = append(out, backend.Step{StartNS: at, EndNS: at + every})
		}
		c := &out[len(out)-1]
		c.PrefillTokens, c.DecodeTokens = c.PrefillTokens+s.PrefillTokens, c.DecodeTokens+s.DecodeTokens
		c.Sequences, c.ContextTokens = s.Sequences, s.ContextTokens
		c.EndNS = min(c.EndNS, steps[len(steps)-1].EndNS)
	}
	return out
}

// TestSampledCounters: if steps are only known by counters read ten times a second, the bounds hold, and a
// value is given if they are close.
func TestSampledCounters(t *testing.T) {
	for seed := range uint64(samples(8, 2)) {
		rng := rand.New(rand.NewPCG(seed, 5))
		w := continuous(h200ish, 16, 512, 20, rng)
		got, err := Phases(Options{Samples: w.see(ringRC, rng), Steps: sampledSteps(w.steps, 100e6),
			Requests: w.requests, Window: w.window, Tier: backend.TierCounters})
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range []struct {
			name  string
			phase Phase
			truth float64
		}{{"prefill", got.Prefill, w.truth.prefill}, {"decode", got.Decode, w.truth.decode}} {
			if p := q.phase; !(p.Low <= q.truth && q.truth <= p.High) || math.Abs(p.Joules-q.truth) > p.Half95 {
				t.Errorf("%s: %.0f ± %.0f J, bounds %.0f to %.0f, miss the true %.0f J", q.name, p.Joules, p.Half95,
					p.Low, p.High, q.truth)
			}
			if q.phase.Refused == "" && q.phase.Half95 > maxRelative*q.phase.Joules {
				t.Errorf("%s: printed with ± %.0f J of %.0f J", q.name, q.phase.Half95, q.phase.Joules)
			}
		}
		if !strings.Contains(got.Prefill.Refused, "do not show which steps mixed") {
			t.Errorf("prefill: %q, want a refusal because of the mixed steps", got.Prefill.Refused)
		}
	}
}
