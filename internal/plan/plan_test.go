package plan

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/study"
)

func parse(t *testing.T, text string) *study.Study {
	t.Helper()
	s, err := study.Parse("s.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const twoEngines = `
model: random:llama-3.1-8b
backend: [embedded, pytorch]
workload: {dataset: synthetic}
sweep: {pytorch.batch_size: [1, 8, 4096], dtype: [float16, float32]}
execution: {cycles: 3, order: reverse}
`

func TestPlan(t *testing.T) {
	s := parse(t, twoEngines)
	ram := int64(24 << 30) // llama-3.1-8b fits in float16, but not in float32
	snapshot := &host.Snapshot{}
	snapshot.Memory.RAMTotalBytes = &ram
	e, err := NewEstimator("h200", nil, snapshot)
	if err != nil {
		t.Fatal(err)
	}
	p := New(Options{Study: s, Device: e.Name(), Estimate: e.Need, Price: 0.5})
	var keys []string
	for _, a := range p.Axes {
		keys = append(keys, a.Key)
	}
	if got := strings.Join(keys, " "); got != "backend dtype pytorch.batch_size" {
		t.Errorf("axes %s", got)
	}
	if p.Points != 8 || p.Runs != 24 || len(p.FirstRun) != 24 || len(p.Shown) != 8 || p.Totals == nil ||
		p.Totals.Cost == nil {
		t.Fatalf("%d points, %d runs, totals %v", p.Points, p.Runs, p.Totals)
	}
	no := 0
	for _, q := range p.Shown {
		if n := q.Need; !n.Fits {
			no++
			if !strings.Contains(n.Next, "reduce the batch to") && !strings.Contains(n.Why, "processor") {
				t.Errorf("why %q", n.Why)
			}
		}
	}
	if no == 0 || p.Runnable != 8-no {
		t.Errorf("%d do not fit, %d runnable", no, p.Runnable)
	}
	var b strings.Builder
	if err := p.Text(&b, 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"8 experiments, 3 cycles, 24 runs", "H200 SXM", "order (reverse",
		"no run was started"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// TestLimitAndOnly: lists are limited, counts are over the whole study.
func TestLimitAndOnly(t *testing.T) {
	s := parse(t, twoEngines)
	if p := New(Options{Study: s, Limit: 2}); p.Points != 8 || len(p.Shown) != 2 || len(p.FirstRun) != 2 ||
		p.Runnable != 8 {
		t.Errorf("limit: %d shown, %d runs", len(p.Shown), len(p.FirstRun))
	}
	if p := New(Options{Study: s, Only: "batch_size=4096"}); len(p.Shown) != 2 {
		t.Errorf("only: %d shown, want 2", len(p.Shown))
	}
}

// TestProblems: problems stop the points that they concern.
func TestProblems(t *testing.T) {
	s := parse(t, twoEngines)
	p := New(Options{Study: s, Problems: []Problem{
		{Finding{Error: true, Note: note.Note{Message: "no torch"}, Short: "engine"},
			func(e study.Experiment) bool { return e.Backend == "pytorch" }},
		{Finding{Error: true, Note: note.Note{Message: "no float32"}, Short: "device"},
			func(e study.Experiment) bool { return e.DType == "float32" && e.Backend == "pytorch" }},
		{Finding: Finding{Note: note.Note{Message: "busy"}}},
	}})
	if p.Runnable != 2 || len(p.Findings) != 3 {
		t.Errorf("%d runnable, %d findings, want 2 and 3", p.Runnable, len(p.Findings))
	}
	last := p.Shown[len(p.Shown)-1]
	if strings.Join(last.Problems, "; ") != "no torch; no float32" {
		t.Errorf("problems of %s: %q, want all of them", last.Label, last.Problems)
	}
	var b strings.Builder
	if err := p.Text(&b, 0); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "no: engine, device\n") {
		t.Errorf("no short reasons in\n%s", b.String())
	}
}

// TestGPUOfTheMachine: memory in use counts.
func TestGPUOfTheMachine(t *testing.T) {
	name, total, used := "NVIDIA H200", int64(150e9), int64(149e9)
	e, err := NewEstimator("",
		map[string]sensor.GPUFacts{"gpu0": {Name: &name, MemoryTotalBytes: &total, MemoryUsedBytes: &used}},
		&host.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	s := parse(t, "model: random:llama-3.1-8b\nbackend: pytorch\n")
	need, reason := e.Need(s.Experiments[0])
	if need == nil || need.Fits || !strings.Contains(need.Next, "choose a smaller model") {
		t.Errorf("need %+v, %s", need, reason)
	}
	if _, err := NewEstimator("h2000", nil, &host.Snapshot{}); err == nil ||
		!strings.Contains(err.Error(), "H200 SXM") {
		t.Errorf("an unknown GPU: %v", err)
	}
	for text, want := range map[string]string{"model: random:tiny-llama\nbackend: fake\n": "computes nothing",
		"model: org/name\n":                         "until it has been fetched",
		"model: random:tiny-llama\nbackend: vllm\n": ""} {
		if _, reason := e.Need(parse(t, text).Experiments[0]); want != "" && !strings.Contains(reason, want) {
			t.Errorf("%q: %q, want %q", text, reason, want)
		}
	}
}

// TestLearn: a plan predicts the same work from earlier runs on the same card. From a workload that was repeated
// in rounds it learns the cost of one round; it learns nothing from repeats that an earlier version ran
// concurrently.
func TestLearn(t *testing.T) {
	const pytorch, vllm = "backend: pytorch\npytorch: {batch_size: 8}\n", "backend: vllm\nvllm: {max_num_seqs: 8}\n"
	for name, q := range map[string]struct {
		engine string
		window result.Window
		learnt bool
	}{
		"once":             {pytorch, result.Window{DurationS: 123, Repeats: 1}, true},
		"rounds":           {pytorch, result.Window{DurationS: 4 * 123, Repeats: 4, Round: 8}, true},
		"rounds of vLLM":   {vllm, result.Window{DurationS: 4 * 123, Repeats: 4, Round: 8}, true},
		"together by vLLM": {vllm, result.Window{DurationS: 4 * 123, Repeats: 4}, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := parse(t, "model: random:llama-3.1-8b\ndtype: bfloat16\nwarmup: {cover: sizes}\n"+
				"workload: {dataset: synthetic, prompts: 8}\n"+q.engine).Experiments[0]
			dir, err := store.Create(t.TempDir(), "earlier", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			for cycle, status := range []result.Status{result.OK, result.Failed, result.OK} {
				run, err := dir.Begin(x.ID(), cycle+1)
				if err != nil {
					t.Fatal(err)
				}
				rec := &result.Record{SchemaVersion: result.SchemaVersion, ID: x.ID(), Cycle: cycle + 1,
					Status: status, Config: x, Window: &q.window,
					Tokens: &result.Tokens{}, Energy: result.Energy{Provenance: result.Measured,
						TotalJ:  &result.Quantity{Value: 45600 * float64(q.window.Repeats)},
						Devices: []result.Device{{Device: "gpu0", Kind: "gpu", Name: "NVIDIA H200", Counted: true}}}}
				if cycle == 2 {
					rec.Warn(codes.UnequalWork, "it teaches nothing")
				}
				if err := run.Commit(rec, series.All{}); err != nil {
					t.Fatal(err)
				}
			}
			estimator := func() *Estimator {
				e, err := NewEstimator("h200", nil, &host.Snapshot{})
				if err != nil {
					t.Fatal(err)
				}
				return e
			}
			before, _ := estimator().Need(x)
			e := estimator()
			e.Learn(filepath.Dir(dir.Path()))
			after, _ := e.Need(x)
			if !q.learnt {
				if after.Basis != before.Basis || after.Seconds != before.Seconds {
					t.Errorf("before %+v, after %+v", before, after)
				}
				return
			}
			if after.Basis != "history (1 run)" || after.Seconds < 123 || after.Seconds > 350 ||
				after.Joules < 45600 || after.Joules > 100_000 || before.Seconds > 100 {
				t.Errorf("before %+v, after %+v", before, after)
			}
		})
	}
}

// TestSequentialStarts: the plan shows how many starts the order sequential would save.
func TestSequentialStarts(t *testing.T) {
	for order, want := range map[string]string{
		"":           "4 starts for 12 runs; sequential would take 2, but distinguish configurations less well\n",
		"interleave": "6 starts for 12 runs; sequential would take 2, but",
		"sequential": "2 starts for 12 runs\n",
	} {
		text := "model: random:llama-3.1-8b\nbackend: fake\nsweep: {dtype: [bfloat16, float16], " +
			"fake.batch_size: [1, 2]}\n" +
			"execution: {cycles: 3}\n"
		if order != "" {
			text = strings.Replace(text, "cycles: 3", "cycles: 3, order: "+order, 1)
		}
		p := New(Options{Study: parse(t, text), Limit: 3})
		if got := textOf(t, p, 200); !strings.Contains(got, want) {
			t.Errorf("order %q: no %q in\n%s", order, want, got)
		}
	}
	starts, fewer := 10, 4
	p := Plan{Starts: &starts, SequentialStarts: &fewer, Runs: 12, Totals: &Totals{starting: 480}}
	if got, want := p.fewer(), "; sequential would take 4 (4 min less), but distinguish"; !strings.HasPrefix(got,
		want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestLoadedEnginesSaveTime: runs that find their engine loaded do not include its start.
func TestLoadedEnginesSaveTime(t *testing.T) {
	totals := &Totals{Seconds: 100, SecondsRange: [2]float64{20, 200}, starting: 60}
	starts := 1
	totals.save(&starts, 4)
	if totals.Seconds != 55 || totals.SecondsRange != [2]float64{11, 155} {
		t.Errorf("%+v, want 55 s of 11 to 155", totals)
	}
	totals.save(nil, 4)
	if totals.Seconds != 55 {
		t.Errorf("%v s with unknown starts", totals.Seconds)
	}
}

// TestDuplicatesOnce: a point that equals an earlier one is named once, however often it occurs.
func TestDuplicatesOnce(t *testing.T) {
	a, b := study.Duplicate{Point: "fake batch=4", ID: "90863fc7b5e8"}, study.Duplicate{Point: "fake batch=2",
		ID: "168883b5a525"}
	p := &Plan{Merged: 3, Duplicates: []study.Duplicate{a, b, a}}
	var text strings.Builder
	p.left(&text)
	const want = "3 points: equal to an earlier one, and not run again\n" +
		"  fake batch=4: in the run of 90863fc7b5e8, 2 times\n  fake batch=2: in the run of 168883b5a525\n"
	if got := text.String(); !strings.Contains(got, want) {
		t.Errorf("%q, want %q in it", got, want)
	}
}
