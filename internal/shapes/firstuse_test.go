package shapes

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llenergymeasure/llem/backend"
)

// machine is an engine with static batches and noisy times.
type machine struct {
	r *rand.Rand
	// The time of a prefill is constant up to some tokens and then grows; decode is the time of a decode
	// step.
	fixed, token, decode float64
	// noise is the standard deviation of the logarithm of a time; pauses occur at a rate and last pause
	// seconds or more.
	noise, rate, pause float64
	now                float64
	log                backend.Log
}

// pass returns a time with noise and pauses.
func (m *machine) pass(seconds float64) int64 {
	seconds *= math.Exp(m.noise * m.r.NormFloat64())
	if m.rate > 0 && m.r.Float64() < seconds*m.rate {
		seconds += m.pause * (1 + m.r.ExpFloat64())
	}
	m.now += seconds
	return int64(m.now * 1e9)
}

// batch runs prompts of these lengths; extra is the additional time of their prefill, in seconds.
func (m *machine) batch(lengths []int, outputs int, extra float64) {
	s := Of(lengths)
	start := int64(m.now * 1e9)
	m.now += extra
	stamps := []int64{m.pass(max(m.fixed, m.token*float64(s.Longest*s.Sequences)))}
	for k := 1; k < outputs; k++ {
		begin := stamps[k-1]
		stamps = append(stamps, m.pass(m.decode))
		m.log.Steps = append(m.log.Steps, backend.Step{StartNS: begin, EndNS: stamps[k], DecodeTokens: s.Sequences,
			Sequences: s.Sequences, ContextTokens: int64(s.Tokens + k*s.Sequences)})
	}
	for _, n := range lengths {
		m.log.Requests = append(m.log.Requests, backend.Request{ID: len(m.log.Requests), StartedNS: start,
			FirstTokenNS: stamps[0], EndNS: stamps[outputs-1], TokenNS: stamps, PromptTokens: n, PromptComputed: n,
			OutputTokens: outputs, OK: true})
	}
}

// h200 has the times of a model of 7·10⁹ parameters on an H200.
func h200(seed uint64) *machine {
	return &machine{r: rand.New(rand.NewPCG(seed, 7)), fixed: 0.0175, token: 1.2e-4, decode: 0.0165, noise: 0.02,
		now: 1}
}

// processor computes prompts at a constant rate.
func processor(seed uint64) *machine {
	return &machine{r: rand.New(rand.NewPCG(seed, 9)), fixed: 0.03, token: 2e-3, decode: 0.05, noise: 0.1, now: 1}
}

// builtin are the lengths of 16 prompts.
var builtin = []int{22, 31, 40, 45, 58, 64, 77, 90, 101, 120, 134, 150, 171, 190, 224, 256}

// TestInjected: all first uses are found, and nothing else.
func TestInjected(t *testing.T) {
	for name, build := range map[string]func(uint64) *machine{"H200": h200, "processor": processor} {
		for _, repeats := range []int{1, 5} {
			if name == "processor" && repeats == 1 {
				continue // prefill is a tenth of the time: a single delay may be a pause
			}
			for _, share := range []int{1, 3, 5} {
				t.Run(fmt.Sprintf("%s, %d times, %d of 16", name, repeats, share), func(t *testing.T) {
					missed, extra := 0, 0
					for seed := range uint64(50) {
						m := build(seed)
						slow := m.r.Perm(len(builtin))[:share]
						order := m.r.Perm(len(builtin))
						want := map[int]bool{}
						for k := range repeats {
							for _, i := range order {
								cost := 0.0
								if k == 0 && slices.Contains(slow, i) {
									cost = 0.25 + 4*max(m.fixed, m.token*float64(builtin[i]))
									want[len(m.log.Requests)] = true
								}
								m.batch(builtin[i:i+1], 48, cost)
							}
						}
						got := FirstUses(m.log.Requests, m.log.Steps)
						for id := range want {
							if !got[id] {
								missed++
							}
						}
						for id := range got {
							if !want[id] {
								extra++
							}
						}
					}
					if missed > 50*share/10 || extra > 1 {
						t.Errorf("of %d first uses %d were not found, and %d others were", 50*share, missed, extra)
					}
				})
			}
		}
	}
}

// TestH200Window: TTFT of 17.6 ms at the median, 46.7 ms at the 90th percentile and 453 ms at most.
func TestH200Window(t *testing.T) {
	m := h200(1)
	for i, n := range builtin {
		m.batch([]int{n}, 64, map[int]float64{3: 0.436, 8: 0.030}[i])
	}
	if got := slices.Sorted(maps.Keys(FirstUses(m.log.Requests, m.log.Steps))); !slices.Equal(got, []int{3, 8}) {
		t.Errorf("first uses = %v, want 3 and 8", got)
	}
}

// TestNoFirstUses: noise, random pauses, and prompts of very different lengths are not first uses.
func TestNoFirstUses(t *testing.T) {
	const seeds = 20
	total, bad := 0, 0
	for name, change := range map[string]func(*machine){
		"quiet":                     func(*machine) {},
		"noise of 10 %":             func(m *machine) { m.noise = 0.1 },
		"noise of 30 %":             func(m *machine) { m.noise = 0.3 },
		"noise of 60 %":             func(m *machine) { m.noise = 0.6 },
		"a pause every second":      func(m *machine) { m.rate, m.pause = 1, 0.1 },
		"a pause every ten seconds": func(m *machine) { m.rate, m.pause = 0.1, 0.3 },
		"pauses in every step":      func(m *machine) { m.rate, m.pause = 20, 0.03 },
		"quadratic prefill":         func(m *machine) { m.fixed, m.token = 1e-3, 1e-3 },
	} {
		quiet, allowed := h200(0), 0
		if change(quiet); quiet.rate > 0 {
			allowed = 2
		}
		for kind, build := range map[string]func(uint64) *machine{"H200": h200, "processor": processor} {
			for _, size := range []int{1, 8} {
				for _, outputs := range []int{4, 64} {
					for _, repeats := range []int{1, 4} {
						wrong, windows := 0, 0
						for seed := range uint64(seeds) {
							m := build(seed)
							change(m)
							lengths := lengthsOf(m.r, 16*size)
							for range repeats {
								for batch := range slices.Chunk(lengths, size) {
									m.batch(batch, outputs, 0)
								}
							}
							windows++
							if len(FirstUses(m.log.Requests, m.log.Steps)) > 0 {
								wrong++
							}
						}
						total, bad = total+windows, bad+wrong
						if wrong > allowed {
							t.Errorf("%s, %s, batch %d, %d outputs, %d times: first uses in %d of %d windows", name,
								kind,
								size, outputs, repeats, wrong, windows)
						}
					}
				}
			}
		}
	}
	t.Logf("first uses in %d of %d windows without one", bad, total)
	if bad > total/100 {
		t.Errorf("first uses in %d of %d windows without one", bad, total)
	}
}

func lengthsOf(r *rand.Rand, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = 8 + int(math.Exp(math.Log(2000)*r.Float64()))
	}
	return out
}

// TestFew: a window of a few uses has no first uses.
func TestFew(t *testing.T) {
	m := h200(1)
	for i := range leastUses - 1 {
		m.batch([]int{100 + i}, 64, map[int]float64{2: 1}[i])
	}
	if got := FirstUses(m.log.Requests, nil); len(got) > 0 {
		t.Errorf("first uses = %v", got)
	}
}

// TestOverlapping: prefills that share the engine, and failed requests, are ignored.
func TestOverlapping(t *testing.T) {
	m := h200(1)
	for i := range 40 {
		m.batch([]int{100 + i}, 64, map[int]float64{20: 1}[i])
	}
	if got := FirstUses(m.log.Requests, nil); !got[20] || len(got) != 1 {
		t.Fatalf("first uses = %v, want 20", got)
	}
	failed := slices.Clone(m.log.Requests)
	failed[20].OK = false
	if got := FirstUses(failed, nil); len(got) > 0 {
		t.Errorf("of a failed request: %v", got)
	}
	shared := slices.Clone(m.log.Requests)
	shared[21].StartedNS = shared[20].StartedNS + 1e6
	if got := FirstUses(shared, nil); len(got) > 0 {
		t.Errorf("of prefills that overlap: %v", got)
	}
}

// TestFirstDecode: the first step of a number of sequences may be a first use.
func TestFirstDecode(t *testing.T) {
	m := h200(1)
	for range 4 {
		m.batch(slices.Repeat([]int{100}, 8), 32, 0)
	}
	at := len(m.log.Steps)
	m.batch([]int{100, 100}, 32, 0)
	if got := FirstUses(m.log.Requests, m.log.Steps); len(got) > 0 {
		t.Fatalf("first uses = %v", got)
	}
	last := m.log.Requests[len(m.log.Requests)-2:]
	for k := at; k < len(m.log.Steps); k++ {
		if k > at {
			m.log.Steps[k].StartNS += 1e9
		}
		m.log.Steps[k].EndNS += 1e9
	}
	for i := range last {
		last[i].EndNS += 1e9
	}
	want := []int{last[0].ID, last[1].ID}
	if got := slices.Sorted(maps.Keys(FirstUses(m.log.Requests, m.log.Steps))); !slices.Equal(got, want) {
		t.Errorf("first uses = %v, want %v", got, want)
	}
}
