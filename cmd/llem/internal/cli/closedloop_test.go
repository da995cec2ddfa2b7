package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/sim"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// These tests measure a simulated GPU in real time through the whole program: the
// simulated engine in its own process, the real NVML code over an imitated library,
// the files of the result. The true energy is known, so that a result is right, or
// doubted, or refused; it is never wrong in silence.

// imitation is the imitated NVML, compiled once.
var imitation struct {
	sync.Once
	path string
	err  error
}

func imitatedNVML(t *testing.T) string {
	t.Helper()
	imitation.Do(func() {
		dir := filepath.Join(sharedCache(t), "nvml")
		if imitation.err = os.MkdirAll(dir, 0o755); imitation.err == nil {
			imitation.path, imitation.err = sim.Build(t.Context(), dir)
		}
	})
	if errors.Is(imitation.err, sim.ErrUnavailable) {
		t.Skip(imitation.err)
	}
	if imitation.err != nil {
		t.Fatal(imitation.err)
	}
	return imitation.path
}

// simulation is a program that measures a simulated GPU.
type simulation struct {
	program
	file *sim.File
}

// measured starts llem on about four seconds of work, all of it simulated.
func measured(t *testing.T, gpu sim.Sensors, extra ...string) *simulation {
	t.Helper()
	if testing.Short() {
		t.Skip("seconds of simulated work in real time")
	}
	library := imitatedNVML(t)
	path, err := exec.LookPath("llem") // testscript.Main put it there
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &simulation{program: program{results: filepath.Join(dir, "results")}}
	if s.file, err = sim.Create(filepath.Join(dir, "gpu"),
		sim.Options{GPUs: []sim.Sensors{gpu}, BareW: 78, Serial: serial()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.file.Close() })
	s.cmd = s.llem(path, library, sharedCache(t), extra...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	return s
}

// llem is the command of a run on the simulated GPU.
func (s *simulation) llem(path, library, cache string, extra ...string) *exec.Cmd {
	cmd := exec.Command(path, append([]string{"run", "-b", "fake", "-m", "random:llama-3.1-8b", "-n", "64",
		"--batch-size", "8", "-s", "warmup.runs=0",
		"-s", "baseline.seconds=1", "-v", "-o", s.results}, extra...)...)
	cmd.Env = append(os.Environ(), "LLEM_CACHE="+cache, sim.Env+"="+s.file.Path(), "LLEM_NVML_LIBRARY="+library)
	return cmd
}

// serials count simulations of this process.
var serials atomic.Int64

// serial returns a number that no other simulation has, in this test program or another one: GPUs are locked
// by UUID.
func serial() int64 { return int64(os.Getpid())<<16 | serials.Add(1) }

// outcome is what these tests look at in result.json.
type outcome struct {
	Status  string
	Config  struct{ Fake struct{ Speed float64 } }
	Failure *struct{ Message string }
	Window  *struct {
		Start int64 `json:"start_mono_ns"`
		End   int64 `json:"end_mono_ns"`
	}
	Energy struct {
		Reason string
		Scope  string
		Total  *quantity `json:"total_j"`
		Token  *quantity `json:"per_output_token_j"`
		Net    *quantity `json:"net_j"`
		Phases *struct {
			Prefill, Decode phase
		}
		PhasesReason string `json:"phases_reason"`
	}
	Harness *struct {
		SamplerBytes int64 `json:"sampler_bytes"`
	}
	Memory struct {
		Peak    *int64 `json:"peak_bytes"`
		Process *int64 `json:"process_peak_bytes"`
		Method  string `json:"process_method"`
		Reason  string
	}
	Warnings []struct{ Code, Message string }
}

// checkMemory wants what the driver says of the engine's process to be what the engine
// took, whoever else is on the GPU.
func (o outcome) checkMemory(t *testing.T) {
	t.Helper()
	if m := o.Memory; m.Peak == nil || m.Process == nil || *m.Peak < 16e9 || *m.Process != *m.Peak ||
		m.Method != "process" {
		t.Errorf("memory %+v, want the same by the engine and by its process", m)
	}
}

type quantity struct {
	Value float64
	CI95  [2]float64
}

type phase struct {
	Energy *float64 `json:"energy_j"`
	CI95   *[2]float64
	Low    *float64 `json:"low_j"`
	High   *float64 `json:"high_j"`
	Reason string
}

// What a token of the 8 B shape costs on the fake GPU by itself (engine/fake): 2
// operations per parameter at 450 (prompts) or 200 TFLOP/s, at 210 + 430 W. Attention,
// which is left out, adds a few percent.
const (
	promptJ = 2 * 8.03e9 / 450e12 * (210 + 430)
	outputJ = 2 * 8.03e9 / 200e12 * (210 + 430)
)

// doubts returns the messages of a result that report a problem.
func (o outcome) doubts() string {
	words := []string{o.Energy.Reason}
	if o.Failure != nil {
		words = append(words, o.Failure.Message)
	}
	for _, w := range o.Warnings {
		words = append(words, w.Code+": "+w.Message)
	}
	return strings.Join(words, "\n")
}

// finish waits for the program and reads its result with the truth.
func (s *simulation) finish(t *testing.T) (outcome, sim.Truth) {
	t.Helper()
	err := s.cmd.Wait()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatal(err)
	}
	runs, globErr := filepath.Glob(filepath.Join(s.studyDir(t), result.RunsDir, "*"))
	if globErr != nil || len(runs) != 1 {
		t.Fatalf("runs %v, %v; output:\n%s", runs, globErr, s.out.String())
	}
	raw, err := os.ReadFile(filepath.Join(runs[0], "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	var o outcome
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	if o.Window == nil {
		return o, sim.Truth{}
	}
	rows, err := series.ReadFile[series.Step](filepath.Join(runs[0], "steps.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	curve, speed := s.file.Curve(0), o.Config.Fake.Speed
	var steps []sim.TrueStep
	for _, r := range rows {
		joules := curve.Joules(r.StartNS, r.EndNS)
		steps = append(steps, sim.TrueStep{Start: r.StartNS, End: r.EndNS, Joules: joules, Caused: joules,
			Prompts: r.PrefillTokens > 0, Outputs: r.DecodeTokens > 0,
			PrefillJ: promptJ / speed * float64(r.PrefillTokens), DecodeJ: outputJ / speed * float64(r.DecodeTokens)})
	}
	return o, sim.TruthOf([]sim.Curve{curve}, steps, sim.Span{Start: o.Window.Start, End: o.Window.End})
}

// close95 says whether a value is right: inside its interval, or within 2 %, which
// the jitter of a busy test machine may need.
func close95(q quantity, truth float64) bool {
	return math.Abs(q.Value-truth) <= 0.02*truth || truth >= q.CI95[0] && truth <= q.CI95[1]
}

func TestClosedLoop(t *testing.T) {
	t.Parallel()
	for name, extra := range map[string][]string{
		"static": {"-n", "64", "--batch-size", "8"},
		// Prompts of very different lengths and short outputs: chunks of prompts and
		// decoding sequences come in many mixtures, so that the steps can be told apart.
		// The steps are long, so that they overrun little on a busy test machine.
		"continuous": {"-s", "fake.batching=continuous", "-n", "64", "--batch-size", "16", "--input-tokens", "2048",
			"--output-tokens", "24", "-s", "fake.speed=0.5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := measured(t, sim.DefaultSensors(), append(extra, "-s", "warmup.runs=1")...)
			o, truth := s.finish(t)
			// A machine that is too busy for these steps gets longer ones, whose delays weigh less.
			for _, speed := range []string{"0.2", "0.1"} {
				if !o.imprecise() {
					break
				}
				t.Logf("refused, now at a speed of %s: %+v", speed, *o.Energy.Phases)
				s = measured(t, sim.DefaultSensors(),
					append(extra, "-s", "warmup.runs=1", "-s", "fake.speed="+speed)...)
				o, truth = s.finish(t)
			}
			if o.Status != "ok" || o.Energy.Total == nil {
				t.Fatalf("result %+v; output:\n%s", o, s.out.String())
			}
			if !close95(*o.Energy.Total, truth.Total) {
				t.Errorf("energy %+v, truth %v J", o.Energy.Total, truth.Total)
			}
			if n := o.Harness.SamplerBytes; n <= 0 || n > 20e6 {
				t.Errorf("the series took %d bytes, want some, and 20 MB at most", n)
			}
			if doubts := o.doubts(); strings.Contains(doubts, "gpu_") {
				t.Errorf("the engine alone was on the GPU:\n%s", doubts)
			}
			o.checkMemory(t)
			t.Logf("energy %.1f J, truth %.1f J", o.Energy.Total.Value, truth.Total)
			if mixed := truth.Mixed > 0.1*truth.Total; mixed != (name == "continuous") {
				t.Errorf("mixed steps took %.1f J of %.1f J", truth.Mixed, truth.Total)
			}
			wrong := o.wrongPhases(t, truth)
			if len(wrong) > 0 { // an interval of 95 % misses one truth in twenty
				t.Logf("once more, at a speed of 0.2: %s", strings.Join(wrong, "\n"))
				s = measured(t, sim.DefaultSensors(), append(extra, "-s", "warmup.runs=1", "-s", "fake.speed=0.2")...)
				o, truth = s.finish(t)
				wrong = o.wrongPhases(t, truth)
			}
			for _, w := range wrong {
				t.Error(w)
			}
		})
	}
}

// wrongPhases returns what is wrong with the split of the energy.
func (o outcome) wrongPhases(t *testing.T, truth sim.Truth) []string {
	t.Helper()
	p := o.Energy.Phases
	if p == nil {
		return []string{"no phases: " + o.Energy.PhasesReason}
	}
	// A step that overruns on a busy test machine costs more than its work. In a mixed one it is not known whose that
	// is: a part of both phases.
	slack := [2]float64{0.1 * truth.Prefill.Joules, 0.1 * truth.Decode.Joules}
	if truth.Mixed > 0 {
		both := 0.05 * (truth.Prefill.Joules + truth.Decode.Joules)
		slack = [2]float64{both, both}
	}
	return append(p.Prefill.wrong(t, "prefill", truth.Prefill.Joules, slack[0]),
		p.Decode.wrong(t, "decode", truth.Decode.Joules, slack[1])...)
}

// imprecise reports that a phase is refused for nothing but the width of its interval.
func (o outcome) imprecise() bool {
	p := o.Energy.Phases
	return p != nil && (strings.Contains(p.Prefill.Reason, "; the limit is") ||
		strings.Contains(p.Decode.Reason, "; the limit is"))
}

// wrong wants a phase that is printed and right: within some joules, or inside its
// interval. The interval lies between the bounds, and so does the truth, some joules
// aside.
func (p phase) wrong(t *testing.T, name string, truth, slack float64) (out []string) {
	t.Helper()
	wrong := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if p.Energy == nil || p.CI95 == nil || p.Low == nil || p.High == nil {
		wrong("%s is refused: %s", name, p.Reason)
		return out
	}
	t.Logf("%s %.1f J in %.1f, bounds [%.1f, %.1f], truth %.1f J", name, *p.Energy, *p.CI95, *p.Low, *p.High, truth)
	if math.Abs(*p.Energy-truth) > slack && (truth < p.CI95[0] || p.CI95[1] < truth) {
		wrong("%s: %.1f J in %.1f, truth %.1f J", name, *p.Energy, *p.CI95, truth)
	}
	if truth < *p.Low-slack || *p.High+slack < truth {
		wrong("%s: truth %.1f J outside of the bounds [%.1f, %.1f]", name, truth, *p.Low, *p.High)
	}
	if *p.Low > p.CI95[0] || p.CI95[0] > *p.Energy || *p.Energy > p.CI95[1] || p.CI95[1] > *p.High {
		wrong("%s: %.1f J in %.1f does not lie between its bounds [%.1f, %.1f]", name, *p.Energy, *p.CI95, *p.Low,
			*p.High)
	}
	return out
}

// TestClosedLoopFaults: what goes wrong with a sensor is in the result, or has not
// hurt it.
func TestClosedLoopFaults(t *testing.T) {
	t.Parallel()
	later := func(set func(f *sim.Faults, at time.Duration)) func(*sim.File, time.Duration) {
		return func(f *sim.File, at time.Duration) { set(&f.Sensors(0).Faults, at) }
	}
	neighbour := func(f *sim.Faults, at time.Duration) {
		f.NeighbourPID, f.NeighbourBytes, f.NeighbourWatts, f.NeighbourAfter = int64(os.Getpid()), 20<<30, 150, at
		f.NeighbourBusy = 97
	}
	visitor := func(f *sim.Faults, at time.Duration) {
		f.NeighbourUntil = at + 1500*time.Millisecond
		neighbour(f, at)
	}
	// A process that holds memory and does not work.
	paused := func(f *sim.Faults, at time.Duration) {
		f.NeighbourPID, f.NeighbourBytes, f.NeighbourAfter = int64(os.Getpid()), 20<<30, at
	}
	cases := map[string]*mishap{}
	for name, c := range map[string]mishap{
		"lost": {inject: later(func(f *sim.Faults, at time.Duration) { f.LostAfter = at }), want: "lost",
			null: true},
		"denied": {inject: later(func(f *sim.Faults, at time.Duration) { f.DeniedAfter = at }), want: "Permission",
			null: true},
		"reset": {inject: later(func(f *sim.Faults, at time.Duration) { f.ResetAfter = at }), want: "backwards"},
		"jump": {inject: later(func(f *sim.Faults, at time.Duration) { f.JumpJoules, f.JumpAfter = 600, at }),
			want: "differ"},
		"back": {inject: later(func(f *sim.Faults, at time.Duration) { f.JumpJoules, f.JumpAfter = -600, at }),
			want: "differ"},
		"frozen": {inject: later(func(f *sim.Faults, at time.Duration) { f.FrozenAfter = at }), want: "counter"},
		"stuck":  {start: func(s *sim.Sensors) { s.Faults.FrozenAfter = time.Nanosecond }, want: "counter"},
		"gain":   {start: func(s *sim.Sensors) { s.Counter.Gain = 0.2 }, want: "differ"},
		"dropout": {inject: later(func(f *sim.Faults, at time.Duration) {
			f.DropoutTo, f.DropoutFrom = at+time.Second,
				at
		}), want: "gap"},
		// The driver's clock alone: both cannot be stepped here, see internal/sim for that.
		"stamps": {inject: func(f *sim.File, at time.Duration) { f.StepWall(at, time.Hour) }, want: "future"},
		"throttled": {inject: later(func(f *sim.Faults, at time.Duration) {
			f.ThrottleReasons, f.ThrottleAfter = 4,
				at
		}), want: "power cap"},
		"sliced":    {start: func(s *sim.Sensors) { s.MIG = 1 }, want: "MIG", null: true},
		"neighbour": {inject: later(neighbour), want: "gpu_foreign_work: ", refused: true},
		"visitor":   {inject: later(visitor), want: "gpu_foreign_work: ", refused: true},
		"latecomer": {loading: later(neighbour), want: "ran kernels during the window, in up to 97 % of the time",
			refused: true},
		"squatter": {start: func(s *sim.Sensors) { neighbour(&s.Faults, time.Nanosecond) },
			want: "gpu_foreign_work: ", refused: true},
		"allowed": {start: func(s *sim.Sensors) { neighbour(&s.Faults, time.Nanosecond) },
			extra: []string{"--allow-shared"}, want: "gpu_shared_allowed: ", line: "[gpu_shared_allowed, "},
		"notebook": {start: func(s *sim.Sensors) { paused(&s.Faults, time.Nanosecond) },
			want: "gpu_shared: other processes were on the GPU before the engine", line: "[gpu_shared, "},
		"waiting": {inject: later(paused), want: "gpu_shared: another process was on the GPU during the window",
			line: "[gpu_shared, "},
	} {
		cases[name] = &c
	}
	// All of them at once: they sleep most of the time.
	for _, c := range cases {
		gpu := sim.DefaultSensors()
		if c.start != nil {
			c.start(&gpu)
		}
		c.simulation = measured(t, gpu, c.extra...)
	}
	waitFor(t, "all engines to run", func() bool {
		waiting := false
		for _, c := range cases {
			elapsed := time.Duration(clock.Mono() - c.simulation.file.Epoch())
			switch {
			case c.loading != nil:
				waiting = true
				if len(c.simulation.file.Curve(0)) > 1 { // the engine has begun to load
					c.loading(c.simulation.file, elapsed)
					c.loading = nil
				}
			case c.inject == nil:
			case c.simulation.file.Runs() == 0:
				waiting = true
			default:
				c.inject(c.simulation.file, elapsed+time.Second)
				c.inject = nil
			}
		}
		return !waiting
	})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { c.check(t) })
	}
}

// mishap is something that goes wrong, and what a result must say of it.
type mishap struct {
	start      func(*sim.Sensors)                  // wrong from the beginning
	loading    func(f *sim.File, at time.Duration) // wrong from the engine's loading on
	inject     func(f *sim.File, at time.Duration) // wrong inside the window
	want       string                              // must be in the doubts
	null       bool                                // energy must be refused
	refused    bool                                // the energy is a total of the board and nothing else
	extra      []string                            // arguments
	line       string                              // must be in the line to paste
	simulation *simulation
}

// checkRefused checks that a GPU on which others worked has the energy of the board only: in the
// result, in the line to paste and by the exit code. Other runs must have their own energy.
func (c *mishap) checkRefused(t *testing.T, o outcome) {
	t.Helper()
	e, out, code := o.Energy, c.simulation.out.String(), c.simulation.cmd.ProcessState.ExitCode()
	if !c.refused {
		if e.Scope == "board" || e.Total != nil && (e.Token == nil || code != 0) {
			t.Errorf("scope %q, per token %v, exit code %d, want the run's energy", e.Scope, e.Token, code)
		}
		return
	}
	if e.Total == nil || e.Scope != "board" || e.Token != nil || e.Net != nil || e.Phases != nil ||
		e.PhasesReason == "" {
		t.Errorf("energy %+v, want the energy of the board alone", e)
	}
	for _, want := range []string{"energy not attributable [not compared: gpu_foreign_work] [",
		"llem: the energy of 1 of 1 run cannot be attributed", "--allow-shared"} {
		if code != 1 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, want 1 and %q in:\n%s", code, want, out)
		}
	}
}

func (c *mishap) check(t *testing.T) {
	o, truth := c.simulation.finish(t)
	if o.Window != nil { // the board draws what others do on it, too
		guest := c.simulation.file.Neighbour(0, o.Window.Start, o.Window.End)
		t.Logf("truth %.1f J, of others %.1f J", truth.Total, guest)
		truth.Total += guest
	}
	if doubts := o.doubts(); !strings.Contains(doubts, c.want) {
		t.Errorf("nothing says %q:\n%s\noutput:\n%s", c.want, doubts, c.simulation.out.String())
	}
	if strings.Contains(c.want, "gpu_shared") || c.refused {
		o.checkMemory(t)
	}
	if c.line != "" && !strings.Contains(c.simulation.out.String(), c.line) {
		t.Errorf("the line does not have %q:\n%s", c.line, c.simulation.out.String())
	}
	c.checkRefused(t, o)
	switch q := o.Energy.Total; {
	case q == nil && o.Energy.Reason == "":
		t.Error("energy is null without a reason")
	case q != nil && c.null:
		t.Errorf("energy %+v, want none", q)
	case q != nil && !close95(*q, truth.Total):
		t.Errorf("energy %+v, truth %.1f J", q, truth.Total)
	}
}
