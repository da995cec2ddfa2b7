package report

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

var update = flag.Bool("update", false, "update the golden files")

func quantity(v, half, gain float64, source string) *result.Quantity {
	return &result.Quantity{Value: v, CI95: [2]float64{v - half, v + half}, Gain95: gain * v,
		Method: "energy counter, edge-snapped", Source: source}
}

func distribution(p50 float64) *result.Distribution {
	return &result.Distribution{N: 64, Mean: 1.02 * p50, SD: new(0.1 * p50), Min: 0.9 * p50, P50: p50,
		P90: new(1.1 * p50), Reason: "too few values, 64: p95 needs 130, p99 needs 662", Max: 1.3 * p50}
}

func pytorchSection(batch int) engine.JSON {
	return engine.JSON(fmt.Sprintf(`{"batch_size":%d,"attn_implementation":"sdpa","device":"auto"}`, batch))
}

// measuredGPU is a run on a GPU with everything known.
func measuredGPU() *result.Record {
	e := study.DefaultExperiment(engines.Find(nil, "pytorch"))
	e.Model, e.Section = "random:llama-3.1-8b", pytorchSection(8)
	e.Workload = study.Workload{Dataset: "synthetic", Prompts: 64, InputTokens: 512, OutputTokens: 128}
	e.Energy = study.Energy{Sources: "auto", CarbonIntensity: 350, PUE: 1.2, PricePerKWh: 0.25}
	r := &result.Record{SchemaVersion: 1, ID: e.ID(), Cycle: 1, Status: result.OK, Synthetic: true, Config: e,
		Backend: result.Backend{Name: e.Backend, Version: "2.8.0+cu128", Tier: "T1", Device: "cuda", DType: "bfloat16"},
		Window:  &result.Window{DurationS: 24.8},
		Tokens:  &result.Tokens{Prompt: 64 * 512, PromptComputed: 64 * 512, Output: 64 * 128, RequestsOK: 64},
		Latency: &result.Latency{TTFT: distribution(212), ITL: distribution(22.4), TPOT: distribution(22.4),
			E2E: distribution(3055)},
		Throughput: &result.Throughput{
			OutputTokensPerS: 330.3, TotalTokensPerS: 1651.6, RequestsPerS: 2.58},
		Compute: &result.Compute{Parameters: 8030261248, NonEmbedding: 7504924672, Active: 8030261248,
			FLOPs: 6.4e14, FLOPsPrefill: 5.1e14, FLOPsDecode: 1.3e14, FLOPsPerS: 2.58e13, FLOPsPerJ: new(5.8e10)},
		Memory: result.Memory{PeakBytes: new(int64(17_400_000_000)), PeakSource: "torch.cuda.max_memory_allocated",
			EstimatedBytes: new(int64(16_900_000_000))},
	}
	const nvml = "nvml.counter"
	total := quantity(11040, 12, 0.05, nvml)
	r.Energy = result.Energy{Provenance: result.Measured, Scope: "gpu", Sources: []string{nvml}, TotalJ: total,
		NetJ: quantity(9180, 15, 0.05, nvml), MeanW: quantity(445, 0.5, 0.05, nvml), BaselineW: quantity(75, 0.2,
			0.05, nvml),
		NetResidentJ: quantity(7940, 16, 0.05, nvml), ResidentW: quantity(125, 0.3, 0.05, nvml),
		MinWindow: &result.MinWindow{For1PctS: 2.7, For5PctS: 0.54},
		Agreement: &result.Agreement{CounterJ: &total.Value, IntegralJ: new(11098.0), DifferencePct: new(0.525),
			Verdict: "ok"},
		Phases: &result.Phases{
			Prefill: phase(1120, 40, 1.7, 32768),
			Decode:  phase(9800, 70, 22.7, 8128),
			Other:   phase(178, 12, 0.4, 0),
			Fits: []result.PhaseFit{{Device: "gpu0", Condition: 4.21, Samples: 1242, ResidualW: 6.3, WindowMS: 18.2,
				WindowSDMS: 0.8, FilterMS: 2.9, FilterSDMS: 0.4,
				LagMS: -3.4, LagSDMS: 0.5, Terms: []result.Term{{Name: "idle", W: 124, SDW: 2},
					{Name: "prefill", W: 659, SDW: 12}, {Name: "decode", W: 432, SDW: 1.5}}}},
		},
		UnattributedJ:   quantity(-58, 12, 0, nvml),
		PerOutputTokenJ: quantity(1.348, 0.0015, 0.05, nvml), PerTotalTokenJ: quantity(0.2695, 0.0003, 0.05, nvml),
		PerRequestJ: quantity(172.5, 0.19, 0.05, nvml), WhPer1000Requests: quantity(47.9, 0.05, 0.05, nvml),
		CO2eG: quantity(1.288, 0.001, 0.05, nvml), Cost: quantity(0.00092, 1e-6, 0.05, nvml),
	}
	total.Budget = []result.BudgetTerm{{Term: "timing of the counter at the window's limits", Half95: 12}}
	r.Energy.NetJ.Budget = append(slices.Clone(total.Budget),
		result.BudgetTerm{Term: "scatter of the idle power", Half95: 9})
	r.Harness = &result.Harness{CPUS: 0.0992, SamplerCPUPct: 0.086, SamplerPolls: 27, PeakBytes: 48 << 20,
		ClockSlackNS: 210}
	r.Warn("synthetic", "random weights: the energy belongs to the shape, not to a trained model")
	return r
}

// phase is the energy of a phase with everything known.
func phase(joules, half, seconds float64, tokens int64) *result.Phase {
	p := &result.Phase{EnergyJ: &joules, CI95: &[2]float64{joules - half, joules + half}, Gain95: new(0.05 * joules),
		LowJ: new(joules - half), HighJ: new(joules + half), DurationS: seconds, Tokens: tokens,
		MeanW: new(joules / seconds)}
	if tokens > 0 {
		n := float64(tokens)
		p.JPerToken, p.JPerTokenGain95 = new(joules/n), new(0.05*joules/n)
		p.JPerTokenCI95 = &[2]float64{(joules - half) / n, (joules + half) / n}
	}
	return p
}

// refused is a phase whose energy cannot be defended.
func refused(seconds float64, tokens int64, reason string) *result.Phase {
	return &result.Phase{DurationS: seconds, Tokens: tokens, Reason: reason}
}

// mixedSteps is a run with continuous batching on two GPUs, one phase of which is
// refused, with an earlier baseline and a workload that was repeated.
func mixedSteps() *result.Record {
	r := measuredGPU()
	r.Window.Repeats = 3
	r.Tokens.Prompt *= 3
	e := &r.Energy
	e.Devices = []result.Device{{Device: "gpu0", Counted: true, Bare: &result.Idle{W: 75, AgeS: 412}}}
	e.MinWindow = &result.MinWindow{For1PctS: 61.3, For5PctS: 12.3}
	p := e.Phases
	p.Method = "regression"
	p.SharedJ = 3100
	p.Other = phase(0, 12, 0.4, 0) // the fit gave it less than nothing
	p.Other.CI95[0], p.Other.LowJ = 0, new(0.0)
	p.Decode.LowJ, p.Decode.HighJ = new(8180.0), new(11420.0)
	p.Prefill = refused(21.4, 32768,
		"the energy of prefill is 1.1e+03 ± 3.9e+02 J (95 %): more than ±25 % is not printed; repeat the workload "+
			"about 2 times as often (more prompts)")
	second := p.Fits[0]
	second.Device, second.Samples = "gpu1", 1240
	p.Fits = append(p.Fits, second)
	r.Harness.EnergyJ = new(1.7)
	return r
}

// simulatedGPU is a run on a GPU that does not exist.
func simulatedGPU() *result.Record {
	r := measuredGPU()
	r.Config.Backend, r.Config.Section = "fake", `{"batch_size":8,"batching":"static","speed":1}`
	r.ID = r.Config.ID()
	r.Backend = result.Backend{Name: "fake", Version: "1", Tier: "T1", Device: "simulated GPU", DType: "bfloat16"}
	r.Energy.Provenance, r.Energy.Sources = result.Simulated, []string{"simulated"}
	r.Energy.CO2eG, r.Energy.Cost = nil, nil
	r.Warnings = nil
	r.Warn("simulated", "simulated: the GPU does not exist; time, power and energy follow a made-up model and say "+
		"nothing about real hardware")
	return r
}

// modelledCPU is a run on a CPU without a sensor, with --estimate.
func modelledCPU() *result.Record {
	e := study.DefaultExperiment(engines.All()[0])
	e.Model = "random:smollm2-135m"
	r := measuredGPU()
	r.ID, r.Config = e.ID(), e
	r.Backend = result.Backend{Name: e.Backend, Version: "ggml (ollama 0.17.4)", Tier: "T1", Device: "cpu",
		DType: "float16", Threads: 8}
	r.Tokens = &result.Tokens{Prompt: 3120, PromptComputed: 3120, Output: 1024, RequestsOK: 16}
	r.Memory = result.Memory{PeakBytes: new(int64(412_000_000)), PeakSource: "VmHWM",
		EstimatedBytes: new(int64(289_000_000))}
	const source = "model.cpu"
	r.Energy = result.Energy{Provenance: result.Modelled, Scope: "cpu", Sources: []string{source},
		Reason: "modelled, not measured: no CPU power sensor can be read here; rapl: permission denied",
		TotalJ: quantity(612, 9, 0.5, source), MeanW: quantity(24.7, 0.4, 0.5, source),
		Agreement:       &result.Agreement{IntegralJ: new(612.0), Verdict: "single_source"},
		PhasesReason:    "the power is modelled: it knows nothing of prefill and decode",
		PerOutputTokenJ: quantity(0.598, 0.009, 0.5, source), PerTotalTokenJ: quantity(0.148, 0.002, 0.5, source),
		PerRequestJ: quantity(38.3, 0.6, 0.5, source), WhPer1000Requests: quantity(10.6, 0.2, 0.5, source)}
	r.Warn("no_baseline", "package-0 has no idle baseline (baseline.seconds is 0): net_j is null")
	return r
}

// unmeasured is a run of a real model without energy and without a known shape.
func unmeasured() *result.Record {
	r := modelledCPU()
	r.Synthetic, r.Warnings = false, nil
	r.Config.Model = "./models/some-finetune.Q4_K_M.gguf"
	r.Backend.DType = "mixed"
	r.Compute, r.Memory.EstimatedBytes = nil, nil
	r.Latency.ITL, r.Latency.TPOT = nil, nil
	r.Energy = result.Energy{Provenance: result.None,
		Reason: "no CPU power sensor can be read here; nvml: libnvidia-ml.so.1 is not installed; " +
			"rapl: /sys/class/powercap/intel-rapl:0/energy_uj: permission denied (try: sudo chmod a+r " +
			"/sys/class/powercap/*/energy_uj); for a rough modelled value add --estimate"}
	return r
}

func failed() *result.Record {
	r := measuredGPU()
	r.Status, r.Window, r.Tokens, r.Latency, r.Throughput, r.Compute, r.Warnings = result.Failed, nil, nil, nil, nil,
		nil, nil
	r.Energy = result.Energy{Provenance: result.None, Reason: "the run did not finish"}
	r.Failure = &note.Failure{Class: codes.ClassOOMGPU,
		Message: "the GPU ran out of memory while the model was loaded: CUDA out of memory. Tried to allocate " +
			"224.00 MiB. GPU 0 has a total capacity of 23.57 GiB of which 101.94 MiB is free.",
		Next: "use a smaller batch (pytorch.batch_size), shorter inputs, a smaller model, or a GPU with more " +
			"memory; nothing else may run on it",
		LogTail: "line 1\nline 2\nline 3\nTraceback (most recent call last):\n  File \"worker.py\", line 12, in " +
			"main\n    load()\n  File \"loading.py\", line 80, in load\n    model = " +
			"AutoModelForCausalLM.from_config(config, dtype=dtype)\ntorch.OutOfMemoryError: CUDA out of memory.\n"}
	return r
}

func interrupted() *result.Record {
	r := failed()
	r.Status = result.Interrupted
	r.Failure = &note.Failure{Class: codes.ClassInterrupted, Message: "interrupted", Next: "run it again"}
	return r
}

func studyOf(name string, runs ...*result.Record) *result.StudyResult {
	s := &result.StudyResult{SchemaVersion: 1, Name: name,
		Dir: "/home/ann/results/" + cmp.Or(name, "random-llama-3.1-8b") +
			"-20260102T030405Z", Planned: len(runs), Complete: true, Runs: runs}
	for _, r := range runs {
		if r.Status == result.OK {
			s.OK++
		} else {
			s.Failed++
		}
	}
	return s
}

// sweep has runs of one model that differ in dtype and batch size.
func sweep() *result.StudyResult {
	var runs []*result.Record
	for i, dtype := range []string{"float16", "bfloat16", "auto", "float32"} {
		for _, batch := range []int{1, 32} {
			r := measuredGPU()
			r.Config.DType, r.Backend.DType = dtype, dtype
			switch {
			case dtype == "auto":
				r.Backend.DType = "bfloat16" // what the engine used
			case dtype == "float32" && batch == 32:
				r = failed()
				r.Config.DType, r.Backend.DType = dtype, ""
				r.Files = map[string]string{"engine_log": "engine.log"}
			}
			r.Config.Section = pytorchSection(batch)
			r.Cycle, r.ID = 1+i%2, r.Config.ID()
			runs = append(runs, r)
		}
	}
	s := studyOf("batch-vs-precision", runs...)
	s.Planned, s.Complete = 9, false
	return s
}

// mixture has runs that differ in everything.
func mixture() *result.StudyResult {
	longer := measuredGPU()
	longer.Config.Workload.OutputTokens = 2048
	return studyOf("", measuredGPU(), modelledCPU(), unmeasured(), failed(), interrupted(), longer, simulatedGPU())
}

// unmeasuredSweep has runs without energy that differ in the threads.
func unmeasuredSweep() *result.StudyResult {
	var runs []*result.Record
	for threads := range 3 {
		r := unmeasured()
		r.Config.Section = engine.JSON(fmt.Sprintf(`{"batch_size":1,"threads":%d,"prefill_chunk":512}`, threads))
		runs = append(runs, r)
	}
	return studyOf("threads", runs...)
}

// missingEngine has runs of three batches that failed alike, in two cycles, and one that failed otherwise.
func missingEngine() *result.StudyResult {
	var runs []*result.Record
	for cycle := range 2 {
		for _, batch := range []int{1, 8, 32} {
			r := failed()
			if cycle == 0 || batch > 1 {
				r.Failure = &note.Failure{Class: codes.ClassNotInstalled, Message: "torch is not installed",
					Next: "pip install torch"}
			}
			r.Config.Section, r.Cycle = pytorchSection(batch), cycle+1
			r.Files, r.ID = map[string]string{"engine_log": "engine.log"}, r.Config.ID()
			runs = append(runs, r)
		}
	}
	return studyOf("batches", runs...)
}

var studies = map[string]*result.StudyResult{
	"failed-alike":    missingEngine(),
	"measured-gpu":    studyOf("one", measuredGPU()),
	"modelled-cpu":    studyOf("one", modelledCPU()),
	"no-energy":       studyOf("one", unmeasured()),
	"mixed-steps":     studyOf("one", mixedSteps()),
	"simulated":       studyOf("one", simulatedGPU()),
	"failed":          studyOf("one", failed()),
	"interrupted":     studyOf("one", interrupted()),
	"table":           sweep(),
	"mixture":         mixture(),
	"table-no-energy": unmeasuredSweep(),
	"nothing":         {Name: "early", Dir: "/home/ann/results/early-20260102T030405Z", Planned: 3},
}

var escape = regexp.MustCompile("\x1b\\[[0-9;]*m")

// TestTerminal compares what is printed with testdata, with and without colour.
func TestTerminal(t *testing.T) {
	for name, s := range studies {
		t.Run(name, func(t *testing.T) {
			plain := render(t, Terminal{}, s)
			golden(t, name+".txt", plain)
			if strings.Contains(plain, "\x1b") {
				t.Error("colour although there should be none")
			}
			colored := render(t, Terminal{Color: true}, s)
			golden(t, name+".color.txt", strings.ReplaceAll(colored, "\x1b", "␛"))
			if got := escape.ReplaceAllString(colored, ""); got != plain {
				t.Errorf("colour changes more than colour:\n%s", gocmp.Diff(plain, got))
			}
			for line := range strings.SplitSeq(plain, "\n") {
				// The line to paste stays one line.
				if n := utf8.RuneCountInString(line); n > 100 && !isLine(line, s) {
					t.Errorf("%d columns: %s", n, line)
				}
				if line != strings.TrimRight(line, " ") {
					t.Errorf("blanks at the end of %q", line)
				}
			}
		})
	}
}

// TestNarrow: on a narrow terminal everything but tables and what is there to be
// copied is broken.
func TestNarrow(t *testing.T) {
	s := studyOf("one", mixedSteps())
	const width = 60
	text := render(t, Terminal{Width: width}, s)
	golden(t, "narrow.txt", text)
	for line := range strings.SplitSeq(text, "\n") {
		table := strings.Count(line, "  ") > 3
		if n := utf8.RuneCountInString(line); n > width && !table && !isLine(line, s) {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// TestChecks prints what came of a recomputation.
func TestChecks(t *testing.T) {
	many := Check{Run: "many-c1", Numbers: 300}
	for range maxShown + 3 {
		many.Differ = append(many.Differ, Difference{"energy.mean_w.value", 1.0, 2.0})
	}
	var b bytes.Buffer
	err := Terminal{}.Checks(&b, []Check{
		{Run: "a-c1", Numbers: 241},
		{Run: "b-c1", Numbers: 241,
			Differ: []Difference{{"energy.total_j.value", 11040.25, 10930.0},
				{"energy.phases.prefill.energy_j", 1120.0, nil}, {"energy.provenance", "measured", "modelled"}}},
		{Run: "c-c1", Skipped: "the run has no numbers: it is failed (oom_gpu)"},
		{Run: "d-c1", Error: "recompute: read series: open runs/d-c1/power.parquet: no such file or directory",
			Next: "restore the file from a copy of the folder"},
		many,
	})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "checks.txt", b.String())
}

func render(t *testing.T, p Terminal, s *result.StudyResult) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Study(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", name, diff)
	}
}

// TestLine: one line, whatever is known.
func TestLine(t *testing.T) {
	bare := unmeasured()
	bare.Backend.Version, bare.Backend.DType = "", ""
	bare.Latency = &result.Latency{}
	for _, q := range []struct {
		r    *result.Record
		want string
	}{
		{measuredGPU(), "random:llama-3.1-8b, pytorch 2.8.0+cu128, bfloat16, batch 8, 512→128 tokens x 64: 330 " +
			"tok/s, TTFT p50 212 ms, " +
			"1.35 J ± 1.50 mJ (stat) ± 67.4 mJ (gain)/output token (prefill 34.2 mJ, decode 1.21 J per token) " +
			"[nvml.counter] [synthetic]"},
		{modelledCPU(), "random:smollm2-135m, embedded ggml (ollama 0.17.4), float16, batch 1, 256→64 tokens x " +
			"16: 330 tok/s, TTFT p50 212 ms, " +
			"598 mJ ± 9.00 mJ (stat) ± 299 mJ (gain)/output token [modelled] [synthetic]"},
		{bare, "./models/some-finetune.Q4_K_M.gguf, embedded, auto, batch 1, 256→64 tokens x 16: 330 tok/s, " +
			"energy not measured"},
		{failed(), "random:llama-3.1-8b, pytorch 2.8.0+cu128, bfloat16, batch 8, 512→128 tokens x 64: " +
			"failed (oom_gpu)"},
		{interrupted(), "random:llama-3.1-8b, pytorch 2.8.0+cu128, bfloat16, batch 8, 512→128 tokens x 64: " +
			"interrupted"},
	} {
		if got := Line(q.r); got != q.want {
			t.Errorf("line\n%s, want\n%s", got, q.want)
		}
	}
}

func TestUnattributed(t *testing.T) {
	for _, q := range []struct {
		joules, total float64
		want          string
	}{
		{0, 100, "unattributed: less than 0.01 % of the total"},
		{-3e-14, 100, "unattributed: less than 0.01 % of the total"},
		{2.5, 100, "unattributed: 2.50 J (2.5 % of the total)"},
		{-0.02, 100, "unattributed: −20.0 mJ (−0.020 % of the total)"},
	} {
		if got := unattributed(q.joules, q.total); got != q.want {
			t.Errorf("%v of %v J: %q, want %q", q.joules, q.total, got, q.want)
		}
	}
}

func TestWrap(t *testing.T) {
	var b strings.Builder
	Terminal{Width: 20}.wrap(&b, "note: ", "      ", "five words that need room, and averyveryverylongone")
	want := "note: five words\n      that need\n      room, and\n      averyveryverylongone\n"
	if got := b.String(); got != want {
		t.Errorf("wrapped\n%q, want\n%q", got, want)
	}
}

// isLine reports whether text is the one-line form of a run.
func isLine(text string, s *result.StudyResult) bool {
	return slices.ContainsFunc(s.Runs, func(r *result.Record) bool { return r.Status == result.OK && Line(r) == text })
}
