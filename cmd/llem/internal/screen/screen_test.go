package screen

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/cmd/llem/internal/chart"
	"github.com/llenergymeasure/llem/cmd/llem/internal/loads/loadstest"
	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/load"
	recorded "github.com/llenergymeasure/llem/load/trace"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

var update = flag.Bool("update", false, "write the golden files again")

const (
	repository = "../../../../"
	h200       = repository + "bench/results/2026-11-23-h200/pytorch-batch8"
	stored     = repository + "testdata/stored/"
)

// onH200 is a run on a GPU with its power series on disk, changed by a test.
func onH200(t *testing.T, change func(*result.Record)) *result.StudyResult {
	t.Helper()
	r, err := result.ReadRecord(filepath.Join(h200, result.RecordFile))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	s := &result.StudyResult{Dir: h200, Planned: 1, Runs: []*result.Record{r}}
	if x := store.Exclusions([]result.Row{store.RowOf(r)}); len(x) > 0 {
		s.Experiments = []result.ExperimentSummary{{ID: r.ID, OK: 1, Excluded: x}}
	}
	return s
}

// open reads a study of testdata/stored.
func open(t *testing.T, name string) *result.StudyResult {
	t.Helper()
	found, err := store.Open(stored + name)
	if found == nil {
		t.Fatal(err)
	}
	found.Dir = stored + name
	return found.StudyResult
}

// cases are the results whose screens are in testdata.
func cases(t *testing.T) map[string]*result.StudyResult {
	sweep, one := open(t, "simulated"), open(t, "simulated")
	one.Experiments = one.Experiments[:1]
	one.Runs = slices.DeleteFunc(one.Runs, func(r *result.Record) bool { return r.ID != one.Experiments[0].ID })
	one.OK, one.Planned = 2, 2
	return map[string]*result.StudyResult{
		"measured": onH200(t, nil),
		"priced": onH200(t, func(r *result.Record) {
			r.Config.Energy.Currency = "EUR"
			r.Energy.Cost = &result.Quantity{Value: 0.0003}
			r.Energy.CO2eG = &result.Quantity{Value: 0.38}
		}),
		"modelled": onH200(t, func(r *result.Record) {
			r.Energy.Provenance, r.Energy.Sources = result.Modelled, []string{"model.cpu"}
			r.Energy.Phases, r.Energy.PhasesReason = nil,
				"the power is modelled: it knows nothing of prefill and decode"
			r.Warn(codes.ShortWindow,
				"the window of 0.13 s is short for this sensor: the timing of its readings alone "+
					"makes the energy uncertain by ±311 %; ±5 % needs 7.8 s, ±1 % needs 39 s: use more "+
					"prompts, longer "+
					"outputs, or energy.min_window")
			r.Warn(codes.VirtualMachine, "this is a virtual machine: sensors are usually missing")
		}),
		"no-sensor": onH200(t, func(r *result.Record) {
			r.Energy = result.Energy{Provenance: result.None, Reason: "no power sensor can be read here; nvml: " +
				"libnvidia-ml.so.1 is not installed; rapl: /sys/class/powercap/intel-rapl:0/energy_uj: permission " +
				"denied; for a rough modelled value add --estimate"}
		}),
		"refused": onH200(t, func(r *result.Record) {
			r.Warn(codes.GPUForeignWork, "process 4711 ran on gpu0")
			r.Energy.PerOutputTokenJ, r.Energy.Phases = nil, nil
			r.Energy.NetJ, r.Energy.NetResidentJ, r.Energy.WhPer1000Requests = nil, nil, nil
			r.Energy.Reason = "process 4711 ran on gpu0 for 12 of 16.8 s: its energy cannot be told from the run's"
		}),
		"failed": onH200(t, func(r *result.Record) {
			r.Status = result.Failed
			r.Failure = &note.Failure{Class: codes.ClassOOMGPU,
				Message: "the GPU ran out of memory while the model was " +
					"loaded: CUDA out of memory. Tried to allocate 224.00 MiB.",
				Next:    "use a smaller batch (pytorch.batch_size), shorter inputs, or a smaller model",
				LogTail: strings.Repeat("a line of the log\n", 20)}
		}),
		"gpus-node": onH200(t, func(r *result.Record) {
			for i, name := range []string{"gpu1", "gpu2", "gpu3"} {
				d := r.Energy.Devices[0]
				d.Device = name
				q := *d.EnergyJ
				q.Value *= 1 + 0.01*float64(i)
				d.EnergyJ = &q
				r.Energy.Devices = append(r.Energy.Devices, d)
			}
			r.Energy.NodePerOutputTokenJ = &result.Quantity{Value: 3.9, Source: "redfish"}
			r.Energy.NodeW = &result.Quantity{Value: 1190}
		}),
		"study":    sweep,
		"failing":  open(t, "ends"),
		"queued":   open(t, "queued"),
		"cycles":   one,
		"made-not": {Name: "early", Planned: 3},
		"loads":    atLoads(t),
		"at-load":  ofOneLoad(t, 8),
		"overload": ofOneLoad(t, 16),
		"replayed": replayed(t),
	}
}

// atLoads is a study of two configurations over rates; its folder has the same name wherever it is.
func atLoads(t *testing.T) *result.StudyResult {
	dir, err := loadstest.Folder(t.TempDir(), 2)
	if err != nil {
		t.Fatal(err)
	}
	found, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	found.Dir = "results/loads"
	return found.StudyResult
}

// ofOneLoad is a study of a single run at a rate.
func ofOneLoad(t *testing.T, rate float64) *result.StudyResult {
	t.Helper()
	for _, e := range loadstest.Study(1).Experiments {
		if e.Workload.Load.Rate == rate && e.DType == "bfloat16" {
			r, _ := loadstest.Run(e, 1)
			return &result.StudyResult{Dir: "results/loads", Planned: 1, Runs: []*result.Record{r}}
		}
	}
	t.Fatalf("no run at %g", rate)
	return nil
}

// replayed is a study of a single run of a trace. Some of its requests were left out, and others shortened.
func replayed(t *testing.T) *result.StudyResult {
	s := ofOneLoad(t, 8)
	r := s.Runs[0]
	r.Config.Workload.Load = study.Arrivals{Kind: load.Trace, Trace: "traces/azure.csv", Span: "..10m", Speed: 2}
	r.Load.Kind, r.Load.Trace = load.Trace, &recorded.Summary{Format: "azure", Rows: 1200, Requests: 480, Dropped: 31,
		Clipped: 7, Empty: 2, Outside: 687}
	return s
}

var escape = regexp.MustCompile("\x1b\\[[0-9;]*m")

func render(t *testing.T, p report.Terminal, s *result.StudyResult) string {
	t.Helper()
	var b strings.Builder
	if err := (Screen{Terminal: p}).Study(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestScreens compares screens with testdata: at 80 and 40 columns and in ASCII. Colour changes nothing else, a run
// takes at most 24 lines of 80 columns, and no line is wider than the terminal, but for the path of the results,
// commands to paste, and single words.
func TestScreens(t *testing.T) {
	for name, s := range cases(t) {
		for suffix, p := range map[string]report.Terminal{"": {Width: 80}, ".40": {Width: 40},
			".ascii": {Width: 80, Style: chart.ASCII}} {
			text := render(t, p, s)
			golden(t, name+suffix+".txt", text)
			p.Color = true
			if colored := render(t, p, s); escape.ReplaceAllString(colored, "") != text {
				t.Errorf("%s%s: colour changes more than colour", name, suffix)
			}
			lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
			if p.Width == 80 && len(lines) > 24 {
				t.Errorf("%s%s: %d lines, at most 24 fit:\n%s", name, suffix, len(lines), text)
			}
			for _, l := range lines {
				whole := strings.HasPrefix(l, "results: ") || strings.HasPrefix(l, "  llem ") ||
					!strings.Contains(strings.TrimSpace(l), " ")
				if n := table.Width(l); n > p.Width && !whole {
					t.Errorf("%s%s: %d columns: %s", name, suffix, n, l)
				}
				if p.Style == chart.ASCII && strings.ContainsFunc(l, func(r rune) bool { return r > '~' }) {
					t.Errorf("%s%s: characters beyond ASCII: %s", name, suffix, l)
				}
			}
		}
	}
}

// TestCommands: the commands of a screen name its folder as a shell takes it, and are broken at no width.
func TestCommands(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	for dir, want := range map[string]string{
		filepath.Join(here, "results", "a"):      "results/a",
		filepath.Join(here, "my results", "a b"): "'my results/a b'",
		"/somewhere/else":                        "/somewhere/else",
		here:                                     ".",
	} {
		s := &result.StudyResult{Dir: dir, Planned: 2, Experiments: []result.ExperimentSummary{
			{ID: "aaaa00000000", Status: result.OK, OK: 1, Standing: &result.Standing{Status: "front"}},
			{ID: "bbbb00000000", Status: result.OK, OK: 1}}}
		for _, width := range []int{24, 40, 60, 80, 200} {
			text := render(t, report.Terminal{Width: width}, s)
			side := strings.TrimSuffix(want, "'") + ":aaaa"
			if strings.HasSuffix(want, "'") {
				side += "'"
			}
			for _, command := range []string{"llem report -v " + want, "llem compare " + side + " :bbbb"} {
				if !strings.Contains(text+"\n", command+"\n") && !strings.Contains(text, command+separator) {
					t.Errorf("%d columns: %s is not in:\n%s", width, command, text)
				}
			}
		}
	}
}

// TestUnreal: energy that no sensor measured is marked in the first line.
func TestUnreal(t *testing.T) {
	all := cases(t)
	for name, word := range map[string]string{"modelled": "MODELLED", "study": "SIMULATED", "refused": "refused",
		"no-sensor": "not measured", "measured": "synthetic weights"} {
		if first, _, _ := strings.Cut(render(t, report.Terminal{}, all[name]), "\n"); !strings.Contains(first, word) {
			t.Errorf("%s: the first line lacks %q: %s", name, word, first)
		}
	}
}

// TestRanked: what refuses a number is first, then flags, then cautions; the machine's are the last of each.
func TestRanked(t *testing.T) {
	var list note.List
	for _, c := range []note.Code{codes.WindowRepeated, codes.VirtualMachine, codes.WarmUpLimit, codes.Throttled,
		codes.ShortWindow, codes.GPUForeignWork} {
		list.Warn(c, string(c))
	}
	var got []note.Code
	for _, d := range doubtsOf(&result.Record{Warnings: list}, &result.StudyResult{}) {
		got = append(got, d.Code)
	}
	want := []note.Code{codes.GPUForeignWork, codes.Throttled, codes.ShortWindow, codes.WarmUpLimit,
		codes.VirtualMachine, codes.WindowRepeated}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
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
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestOutcome checks that an interrupted run is called so once.
func TestOutcome(t *testing.T) {
	t.Parallel()
	for _, q := range []struct {
		status        result.Status
		message, want string
	}{
		{result.Interrupted, "interrupted", "interrupted"},
		{result.Interrupted, "the engine stopped", "interrupted: the engine stopped"},
		{result.Failed, "no memory", "failed (interrupted): no memory"},
	} {
		f := &note.Failure{Class: codes.ClassInterrupted, Message: q.message}
		if got := outcome(q.status, f); got != q.want {
			t.Errorf("%s, %q: %q, want %q", q.status, q.message, got, q.want)
		}
	}
}

// TestClaims: a screen claims no more than its runs show.
func TestClaims(t *testing.T) {
	single := cases(t)["study"]
	for i := range single.Experiments {
		single.Experiments[i].OK, single.Experiments[i].Failed = 1, 0
	}
	if text := render(t, report.Terminal{Width: 80}, single); strings.Contains(text, "separable") ||
		!strings.Contains(text, "one run each, not tested") {
		t.Errorf("one run of each configuration is taken for a test:\n%s", text)
	}
	idle := cases(t)["measured"]
	idle.Runs[0].Energy.NetJ.Value, idle.Runs[0].Energy.NetJ.CI95 = -1, [2]float64{-10, 8}
	if text := render(t, report.Terminal{Width: 80}, idle); !strings.Contains(text, "not distinguishable from 0 (± ") {
		t.Errorf("a net energy around zero:\n%s", text)
	}
}
