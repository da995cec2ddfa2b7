// Command truth compares the phase split with separate measurements of prefill and decode on one GPU: it
// reads a recording of bench/device/truth.py and prints a table.
//
//	go run ./bench/truth bench/results/2026-11-24-h200/truth.json.gz
//
// The truth of a mixed window comes from windows with a single phase before and after it, by the energy
// counter between two of its updates. If the host is slow to launch a step, the GPU waits at idle power, and
// the host's speed changes from window to window. So the energy of a step is modelled as a constant plus idle
// power times its duration; in a window of a single phase the constant is (P − P_idle)·Δt. It is equal within
// a percent for windows whose steps differ by 20 % in duration.
//
// Prefill alone means prefills with pauses as long as decoding takes: back to back they reach the power
// limit, at lower clocks and lower energy than after decode steps. The row "back to back" shows the effect.
package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// recording is the script's output.
type recording struct {
	Ring    [][2]int64 `json:"ring"`    // stamp, mW
	Counter [][3]int64 `json:"counter"` // before, after, mJ
	Instant [][3]int64 `json:"instant"` // poll before the change, poll that returned it, mW
	Average [][3]int64 `json:"average"`
	Windows []window   `json:"windows"`
}

type window struct {
	Config [3]int64   `json:"config"` // batch, prompt, output
	Kind   string     `json:"kind"`
	Start  int64      `json:"start"`
	End    int64      `json:"end"`
	Steps  [][6]int64 `json:"steps"` // start, end, prompt tokens, output tokens, sequences, context
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: truth FILE.json.gz")
		os.Exit(2)
	}
	rec, err := read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "truth:", err)
		os.Exit(1)
	}
	rec.print()
	rec.afterBurst()
}

func read(path string) (*recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var r recording
	return &r, json.NewDecoder(z).Decode(&r)
}

// readings returns the counter's readings, with the updates marked.
func (r *recording) readings(w attribute.Window) []power.Reading {
	var out []power.Reading
	for i, c := range r.Counter {
		if c[1] < w.Start-1e9 || c[0] > w.End+1e9 {
			continue
		}
		q := power.Reading{Device: "gpu0", Source: sensor.SourceEnergy, BeforeNS: c[0], AfterNS: c[1],
			Energy: unit.Energy(c[2]) * unit.Joule / 1000}
		if i > 0 && c[2] != r.Counter[i-1][2] {
			q.Snapped, q.SinceNS = true, r.Counter[i-1][0]
		}
		out = append(out, q)
	}
	return out
}

// ring returns the driver's samples around a window.
func (r *recording) ring(w attribute.Window) []power.Sample {
	var out []power.Sample
	for _, s := range r.Ring {
		if s[0] > w.Start-2e9 && s[0] < w.End+2e9 {
			out = append(out, power.Sample{MonoNS: s[0], Device: "gpu0", Source: sensor.SourceSamples,
				Power: unit.Watts(float64(s[1]) / 1e3), Window: 20 * time.Millisecond})
		}
	}
	return out
}

// polled returns the changes of a polled value.
func polled(all [][3]int64, source string, averaging time.Duration, w attribute.Window) []power.Sample {
	var out []power.Sample
	for _, s := range all {
		if s[1] > w.Start-2e9 && s[1] < w.End+2e9 {
			out = append(out, power.Sample{SinceNS: s[0], MonoNS: s[1], Device: "gpu0", Source: source,
				Power: unit.Watts(float64(s[2]) / 1e3), Window: averaging})
		}
	}
	return out
}

// own returns the energy of one step of a single phase, minus idle power over its duration.
func (r *recording) own(w window, idleW float64) (float64, error) {
	span := attribute.Window{Start: w.Start + 1e8, End: w.End - 3e8}
	if w.Kind == "spaced" { // the limits are in idle time
		span = attribute.Window{Start: w.Start - 2e8, End: w.End - 1e8}
	}
	snapped, e, err := attribute.Snap(r.readings(span), span)
	if err != nil {
		return 0, err
	}
	var steps, seconds float64
	for _, s := range w.Steps {
		if inside := float64(min(s[1], snapped.End) - max(s[0], snapped.Start)); inside > 0 {
			steps += inside / float64(s[1]-s[0])
			seconds += inside / 1e9
		}
	}
	rest := (snapped.Duration().Seconds() - seconds) * idleW
	if w.Kind == "spaced" {
		rest = (snapped.Duration().Seconds() - seconds) * r.pauseW(w)
	}
	return (e.Joules - rest - seconds*idleW) / steps, nil
}

// pauseW returns the power in the pauses of a spaced window, from 150 ms after a prefill: the GPU is warmer
// there than in an idle window.
func (r *recording) pauseW(w window) float64 {
	var n, sum float64
	for _, s := range r.Ring {
		if s[0] < w.Start || s[0] > w.End {
			continue
		}
		for i, step := range w.Steps {
			end := w.End
			if i+1 < len(w.Steps) {
				end = w.Steps[i+1][0]
			}
			if s[0] > step[1]+15e7 && s[0] < end {
				n, sum = n+1, sum+float64(s[1])/1e3
			}
		}
	}
	return sum / n
}

// idleW returns the power of the idle windows of a configuration, by the counter.
func (r *recording) idleW(config [3]int64) float64 {
	var watts []float64
	for _, w := range r.Windows {
		if w.Config != config || w.Kind != "idle" {
			continue
		}
		span := attribute.Window{Start: w.Start + 2e8, End: w.End - 2e8}
		if snapped, e, err := attribute.Snap(r.readings(span), span); err == nil {
			watts = append(watts, e.Joules/snapped.Duration().Seconds())
		}
	}
	return mean(watts)
}

// split has the phases of a mixed window.
type split struct{ prefill, decode float64 }

func (r *recording) print() {
	fmt.Println("| batch, prompt, output | prefill ms | method | prefill J | error | decode J | error | " +
		"interval holds |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	sums := map[string]*tally{}
	order := []string{}
	for i, w := range r.Windows {
		if w.Kind != "mixed" {
			continue
		}
		truth, half, capped, note := r.truth(i)
		prefillMS := w.mean(true) * 1e3
		name := fmt.Sprintf("%d, %d, %d", w.Config[0], w.Config[1], w.Config[2])
		fmt.Printf("| %s | %.1f | truth (%s) | %.1f ± %.1f | | %.1f ± %.1f | | |\n", name, prefillMS, note,
			truth.prefill, half.prefill, truth.decode, half.decode)
		fmt.Printf("| %s | %.1f | prefill back to back | %.1f | %+.2f %% | | | |\n", name, prefillMS, capped.prefill,
			100*(capped.prefill/truth.prefill-1))
		for _, m := range r.methods(w) {
			if sums[m.name] == nil {
				sums[m.name] = &tally{}
				order = append(order, m.name)
			}
			sums[m.name].add(m, truth, prefillMS)
			fmt.Printf("| %s | %.1f | %s | %s |\n", name, prefillMS, m.name, m.cells(truth, half))
		}
	}
	fmt.Println("\n| method | windows | prefill, median error | decode, median error | refused |")
	fmt.Println("|---|---|---|---|---|")
	for _, name := range order {
		s := sums[name]
		if s.refused == s.n {
			fmt.Printf("| %s | %d | – | – | %d |\n", name, s.n, s.refused)
			continue
		}
		fmt.Printf("| %s | %d | %.2f %% | %.2f %% | %d |\n", name, s.n, 100*median(s.prefill), 100*median(s.decode),
			s.refused)
	}
}

// mean returns the mean duration of the prefill or decode steps in seconds.
func (w window) mean(prefill bool) float64 {
	var n, sum float64
	for _, s := range w.Steps {
		if (s[2] > 0) == prefill {
			n, sum = n+1, sum+float64(s[1]-s[0])/1e9
		}
	}
	return sum / n
}

// count returns the number of prefill or decode steps.
func (w window) count(prefill bool) float64 {
	n := 0.0
	for _, s := range w.Steps {
		if (s[2] > 0) == prefill {
			n++
		}
	}
	return n
}

// truth returns the truth of mixed window i from the single-phase windows of its configuration. The half
// width is their spread.
func (r *recording) truth(i int) (value, half, capped split, note string) {
	w := r.Windows[i]
	idle := r.idleW(w.Config)
	joules := map[string][]float64{}
	for _, o := range r.Windows {
		if o.Config != w.Config || o.Kind == "mixed" || o.Kind == "idle" {
			continue
		}
		own, err := r.own(o, idle)
		if err != nil {
			return value, half, capped, err.Error()
		}
		prefill := o.Kind != "decode"
		joules[o.Kind] = append(joules[o.Kind], w.count(prefill)*(own+idle*w.mean(prefill)))
	}
	p, d := joules["spaced"], joules["decode"]
	value, half = split{mean(p), mean(d)}, split{spread(p), spread(d)}
	capped = split{mean(joules["prefill"]), mean(d)}
	return value, half, capped, fmt.Sprintf("idle %.1f W", idle)
}

// spread returns half of the range.
func spread(v []float64) float64 { return (slices.Max(v) - slices.Min(v)) / 2 }

// answer is the result of a method.
type answer struct {
	name      string
	value     split
	half      split // of the interval; zero for methods without one
	refused   string
	intervals bool
}

func (a answer) cells(truth, half split) string {
	if a.refused != "" {
		return fmt.Sprintf("refused: %s | | | | ", a.refused)
	}
	holds := ""
	if a.intervals {
		holds = fmt.Sprintf("%v, %v", math.Abs(a.value.prefill-truth.prefill) <= a.half.prefill+half.prefill,
			math.Abs(a.value.decode-truth.decode) <= a.half.decode+half.decode)
	}
	return fmt.Sprintf("%.1f ± %.1f | %+.2f %% | %.1f ± %.1f | %+.2f %% | %s", a.value.prefill, a.half.prefill,
		100*(a.value.prefill/truth.prefill-1),
		a.value.decode, a.half.decode, 100*(a.value.decode/truth.decode-1), holds)
}

// tally collects errors.
type tally struct {
	n, refused      int
	prefill, decode []float64
}

func (t *tally) add(a answer, truth split, _ float64) {
	t.n++
	if a.refused != "" {
		t.refused++
		return
	}
	t.prefill = append(t.prefill, math.Abs(a.value.prefill/truth.prefill-1))
	t.decode = append(t.decode, math.Abs(a.value.decode/truth.decode-1))
}

func mean(v []float64) float64 {
	s := 0.0
	for _, x := range v {
		s += x
	}
	return s / float64(len(v))
}

// log returns steps and requests in the estimator's format.
func (w window) log() (steps []backend.Step, span attribute.Window) {
	for _, s := range w.Steps {
		steps = append(steps, backend.Step{StartNS: s[0], EndNS: s[1], PrefillTokens: int(s[2]),
			DecodeTokens: int(s[3]), Sequences: int(s[4]), ContextTokens: s[5]})
	}
	return steps, attribute.Window{Start: w.Start, End: w.End}
}

// methods applies this project's estimator to every sensor, and the methods of other tools.
func (r *recording) methods(w window) []answer {
	steps, span := w.log()
	estimate := func(name string, samples []power.Sample) answer {
		s, err := attribute.Phases(attribute.Options{Samples: samples, Steps: steps, Window: span,
			Tier: backend.TierExact})
		a := answer{name: name, intervals: true}
		switch {
		case err != nil:
			a.refused = err.Error()
		case s.Prefill.Refused != "":
			a.refused = s.Prefill.Refused
		default:
			a.value, a.half = split{s.Prefill.Joules, s.Decode.Joules}, split{s.Prefill.Half95, s.Decode.Half95}
			a.name = name
			if os.Getenv("VERBOSE") != "" {
				fmt.Printf("    %s: kernel %+v residual %.1f W condition %.1f terms %+v\n", name, s.Kernel,
					s.ResidualW, s.Condition, s.Terms)
			}
		}
		return a
	}
	total, _ := attribute.Counter(r.readings(span), nil, span)
	return append([]answer{
		estimate("llem, ring", r.ring(span)),
		estimate("llem, POWER_INSTANT", polled(r.Instant, sensor.SourceInstant, 0, span)),
		estimate("llem, 1 s average", polled(r.Average, sensor.SourceAverage, time.Second, span)),
	}, r.naive(w, total.Joules)...)
}
