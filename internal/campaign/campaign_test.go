package campaign

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// stub is a backend that takes a few milliseconds for a request. It fails the
// experiments of one batch size.
type stub struct {
	clock   tick.Clock
	runs    int
	failing int
	batch   int
	inRun   func(ctx context.Context) // called in the window
	started int
}

// Name returns the name of the engine that it replaces.
func (e *stub) Name() string { return "embedded" }

// Probe reports an installed engine.
func (e *stub) Probe(context.Context) (backend.Info, error) { return backend.Info{}, nil }

// Start gives the session.
func (e *stub) Start(_ context.Context, spec backend.Spec) (backend.Session, error) {
	e.started++
	e.batch = spec.BatchSize
	if e.batch == e.failing {
		return nil, note.Failf(codes.ClassOOMGPU, "smaller batch", "no memory for batch %d", e.batch)
	}
	if err := os.WriteFile(spec.LogPath, []byte("hello\n"), 0o600); err != nil {
		return nil, err
	}
	return e, nil
}

// Loaded names a Python, which belongs in the snapshot.
func (e *stub) Loaded() backend.Loaded {
	return backend.Loaded{Info: backend.Info{Device: "cpu", Versions: map[string]string{"python": "3.12.1"}},
		DType: "float16", TextVocab: 256}
}

// Tokenize is not needed for synthetic prompts.
func (e *stub) Tokenize(context.Context, []string) ([][]int32, error) {
	return nil, errors.New("not here")
}

// Run makes one step per request.
func (e *stub) Run(ctx context.Context, w backend.Workload) (*backend.Log, error) {
	if e.inRun != nil {
		e.inRun(ctx)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	log := &backend.Log{}
	e.runs++
	for _, q := range w.Requests {
		now := e.clock.Mono()
		// No two cycles take the same time.
		if err := e.clock.Sleep(ctx, time.Duration(1+e.runs%3)*time.Millisecond); err != nil {
			return nil, err
		}
		log.Requests = append(log.Requests,
			backend.Request{ID: q.ID, SubmittedNS: now, FirstTokenNS: now, EndNS: e.clock.Mono(), TokenNS: []int64{now},
				PromptTokens: len(q.Tokens), PromptComputed: len(q.Tokens), OutputTokens: 1, OK: true})
	}
	if w.Finished != nil {
		w.Finished()
	}
	return log, nil
}

// Close has nothing to stop.
func (e *stub) Close() error { return nil }

// onceInOrder is the execution of a study that says nothing of it.
var onceInOrder = study.Execution{Cycles: 1, Order: terms.Sequential, Seed: 1, Restart: terms.RestartNeeded}

// newStudy has experiments of batch size 1, 2, …, n.
func newStudy(t *testing.T, n int, x study.Execution) *study.Study {
	t.Helper()
	s := &study.Study{Name: "test", Execution: x}
	for i := range n {
		e := study.DefaultExperiment(engines.All()[0])
		e.Model = "random:tiny-llama"
		e.Section = engine.JSON(fmt.Sprintf(`{"batch_size":%d,"threads":0,"prefill_chunk":512}`, i+1))
		e.Workload = study.Workload{Dataset: "synthetic", Prompts: 8, InputTokens: 4, OutputTokens: 1}
		e.Warmup.Runs, e.Baseline.Seconds, e.Energy.Sources = 0, 0, "none"
		s.Experiments = append(s.Experiments, e)
	}
	return s
}

// batches are the batch sizes of a plan, with their cycles.
func batches(plan []Planned) string {
	var out []string
	for _, p := range plan {
		out = append(out, fmt.Sprintf("%d/%d", p.Experiment.BatchSize(), p.Cycle))
	}
	return strings.Join(out, " ")
}

func TestOrder(t *testing.T) {
	for order, want := range map[string]string{
		"sequential": "1/1 1/2 1/3 2/1 2/2 2/3 3/1 3/2 3/3",
		"interleave": "1/1 2/1 3/1 1/2 2/2 3/2 1/3 2/3 3/3",
		"reverse":    "1/1 2/1 3/1 3/2 2/2 1/2 1/3 2/3 3/3",
		"balanced":   "1/1 2/1 3/1 3/2 2/2 1/2 1/3 2/3 3/3",
	} {
		if got := batches(Order(newStudy(t, 3, study.Execution{Cycles: 3, Order: order}))); got != want {
			t.Errorf("%s: %s, want %s", order, got, want)
		}
	}
}

// TestBalanced: runs that one engine can serve stand side by side, and the engine that ends a cycle starts the next
// one; where every run has an engine of its own, runs keep the order of the study. Results of an earlier version share
// engines, too.
func TestBalanced(t *testing.T) {
	s := newStudy(t, 4, study.Execution{Cycles: 3, Order: terms.Balanced})
	s.Experiments[2].Section, s.Experiments[3].Section = s.Experiments[0].Section, s.Experiments[1].Section
	for i := range s.Experiments {
		s.Experiments[i].Workload.Prompts = 10 + i
		s.Experiments[i].RecordedID = strconv.Itoa(i)
	}
	prompts := func(plan []Planned) (out []int) {
		for _, p := range plan {
			out = append(out, p.Experiment.Workload.Prompts)
		}
		return out
	}
	starts := func() (n int) {
		plan := Order(s)
		of := Starts(s, plan)
		for i := range plan {
			if of(i) {
				n++
			}
		}
		return n
	}
	got := fmt.Sprint(prompts(Order(s)), starts())
	if want := "[10 12 11 13 13 11 12 10 10 12 11 13] 4"; got != want {
		t.Errorf("balanced: %s, want %s", got, want)
	}
	if got := fmt.Sprint(prompts(First(s, 6))); got != "[10 12 11 13 13 11]" {
		t.Errorf("the first 6 are %s", got)
	}
	s.Execution.Restart = terms.RestartAlways
	if got := fmt.Sprint(prompts(Order(s))); got != "[10 11 12 13 13 12 11 10 10 11 12 13]" {
		t.Errorf("an engine for each run: %s", got)
	}
	s.Execution.Restart, s.Execution.Order = terms.RestartNeeded, terms.Interleave
	if n := starts(); n != 12 {
		t.Errorf("interleave: %d starts", n)
	}
}

// TestOrderIsAPermutation: whatever the order, every experiment runs once in every
// cycle, and outside of sequential order the cycles follow each other.
func TestOrderIsAPermutation(t *testing.T) {
	for _, order := range []string{"balanced", "sequential", "interleave", "reverse", "shuffle"} {
		for n := 1; n <= 7; n++ {
			for cycles := 1; cycles <= 4; cycles++ {
				for seed := range uint64(5) {
					plan := Order(newStudy(t, n, study.Execution{Cycles: cycles, Order: order, Seed: seed}))
					seen := map[string]int{}
					for _, p := range plan {
						seen[fmt.Sprint(p.Experiment.ID(), p.Cycle)]++
					}
					if len(plan) != n*cycles || len(seen) != n*cycles {
						t.Fatalf("%s: %d experiments in %d cycles give %d runs, %d of them different", order, n,
							cycles, len(plan), len(seen))
					}
					rising := slices.IsSortedFunc(plan, func(a, b Planned) int { return a.Cycle - b.Cycle })
					if order != "sequential" && !rising {
						t.Fatalf("%s: cycles are mixed: %s", order, batches(plan))
					}
				}
			}
		}
	}
}

// TestShuffleFollowsTheSeed: the same seed gives the same order; another seed, and
// another cycle, gives another one.
func TestShuffleFollowsTheSeed(t *testing.T) {
	plan := func(seed uint64) string {
		return batches(Order(newStudy(t, 10, study.Execution{Cycles: 2, Order: "shuffle", Seed: seed})))
	}
	if a, b := plan(1), plan(1); a != b {
		t.Errorf("seed 1 gives %s, then %s", a, b)
	}
	if plan(1) == plan(2) {
		t.Errorf("seeds 1 and 2 both give %s", plan(1))
	}
	if all := strings.Fields(plan(1)); strings.Join(all[:10], " ") == strings.ReplaceAll(strings.Join(all[10:], " "),
		"/2", "/1") {
		t.Errorf("both cycles have one order: %s", plan(1))
	}
	// The order is part of what a seed promises: it must not change with versions.
	got := batches(Order(newStudy(t, 4, study.Execution{Cycles: 1, Order: "shuffle", Seed: 1})))
	if want := "2/1 3/1 1/1 4/1"; got != want {
		t.Errorf("seed 1 gives %s, want %s", got, want)
	}
}

// campaign is one study to run.
type campaign struct {
	options Options
	events  []event.Event
}

// newCampaign is a study by the virtual time of the test, which must be in a bubble of
// testing/synctest.
func newCampaign(t *testing.T, e *stub, s *study.Study) *campaign {
	t.Helper()
	e.clock = tick.Virtual()
	c := &campaign{}
	c.options = Options{Study: s, Backends: map[string]backend.Backend{"embedded": e},
		Store:   model.Store{Dir: t.TempDir()},
		Clock:   e.clock,
		Results: filepath.Join(t.TempDir(), "results"), Snapshot: &host.Snapshot{SchemaVersion: 1,
			Unknown: map[string]string{}},
		Emit: func(e event.Event) { c.events = append(c.events, e) }}
	return c
}

// check runs the campaign and compares its result with what lies on disk.
func (c *campaign) check(ctx context.Context, t *testing.T, wantErr error) *result.StudyResult {
	t.Helper()
	res, err := Run(ctx, c.options)
	if !errors.Is(err, wantErr) {
		t.Fatalf("error = %v, want %v", err, wantErr)
	}
	read, err := result.ReadStudy(res.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(res, read, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("summary.json is not what Run gave (-run +file):\n%s", diff)
	}
	rebuilt, err := store.Summarize(res.Dir, c.options.Study, res.Finished)
	if err != nil {
		t.Fatal(err)
	}
	rebuilt.Ended = read.Ended // only the process that ended knows
	if diff := cmp.Diff(read, rebuilt, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the summary cannot be rebuilt from the runs (-file +rebuilt):\n%s", diff)
	}
	if left, _ := filepath.Glob(filepath.Join(res.Dir, result.RunsDir, "*.partial")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	c.checkJournal(t, res)
	return res
}

// checkJournal: one line per run, in order, and it names the run's folder.
func (c *campaign) checkJournal(t *testing.T, res *result.StudyResult) {
	t.Helper()
	entries, err := store.ReadJournal(res.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(res.Runs) {
		t.Fatalf("%d lines in the journal, %d runs", len(entries), len(res.Runs))
	}
	plan := Order(c.options.Study)
	for i, e := range entries {
		r := res.Runs[i]
		manifest, err := os.ReadFile(filepath.Join(res.Dir, e.Run, store.ManifestFile))
		if err != nil {
			t.Fatal(err)
		}
		want := store.Entry{Row: store.RowOf(r), Run: fmt.Sprintf("runs/%s-c%d", r.ID, r.Cycle), At: e.At,
			Manifest: fmt.Sprintf("%x", sha256.Sum256(manifest))}
		want.ID, want.Cycle = plan[i].Experiment.ID(), plan[i].Cycle
		if diff := cmp.Diff(want, e); diff != "" {
			t.Errorf("line %d of the journal (-want +got):\n%s", i+1, diff)
		}
		rec, err := result.ReadRecord(filepath.Join(res.Dir, e.Run, result.RecordFile))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, rec, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("result.json of run %d (-summary +file):\n%s", i+1, diff)
		}
		for _, name := range rec.Files {
			if _, err := os.Stat(filepath.Join(res.Dir, e.Run, name)); err != nil {
				t.Errorf("a file that the record names: %v", err)
			}
		}
	}
}

// TestRun: a study with nothing wrong.
func TestRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCampaign(t, &stub{}, newStudy(t, 2, study.Execution{Cycles: 2, Order: "interleave"}))
		res := c.check(t.Context(), t, nil)
		if !res.Complete || res.Planned != 4 || res.OK != 4 || res.Failed != 0 {
			t.Errorf("complete %v, %d of %d ok, %d failed, want all of 4", res.Complete, res.OK, res.Planned,
				res.Failed)
		}
		if name := filepath.Base(res.Dir); !strings.HasPrefix(name, "test-") {
			t.Errorf("folder %s, want it named after the study", name)
		}
		if r := res.Runs[0]; r.Files["engine_log"] == "" || r.Files["requests"] == "" {
			t.Errorf("files = %v", r.Files)
		}
		// The frozen study is itself a record of every experiment.
		text, err := os.ReadFile(filepath.Join(res.Dir, store.StudyFile))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range c.options.Study.Experiments {
			if !strings.Contains(string(text), e.ID()) {
				t.Errorf("study.yaml lacks experiment %s", e.ID())
			}
		}
		var env host.Snapshot
		b, err := os.ReadFile(filepath.Join(res.Dir, store.EnvFile))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &env); err != nil {
			t.Fatal(err)
		}
		if v := env.Python.Version; v == nil || *v != "3.12.1" {
			t.Errorf("env.json does not hold what the engine said of itself: %s", b)
		}
		started, finished := 0, 0
		for _, e := range c.events {
			switch e := e.(type) {
			case event.RunStarted:
				if started++; e.Index != started || e.Total != 4 {
					t.Errorf("run %d of %d started, want %d of 4", e.Index, e.Total, started)
				}
			case event.RunFinished:
				finished++
			}
		}
		want := event.StudyStarted{Name: "test", Runs: 4, Dir: c.options.Results + "/" + filepath.Base(res.Dir),
			Cycles: 2,
			Experiments: []event.Experiment{{ID: c.options.Study.Experiments[0].ID(), Label: "batch_size=1"},
				{ID: c.options.Study.Experiments[1].ID(), Label: "batch_size=2"}}}
		if diff := cmp.Diff(event.Event(want), c.events[0]); diff != "" {
			t.Errorf("first event (-want +got):\n%s", diff)
		}
		if last, ok := c.events[len(c.events)-1].(event.StudyFinished); started != 4 || finished != 4 || !ok ||
			last.OK != 4 {
			t.Errorf("%d runs started, %d finished, last event %+v", started, finished, c.events[len(c.events)-1])
		}
	})
}

// TestOneFailureStopsNothing: it is a row with its class and hint.
func TestOneFailureStopsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCampaign(t, &stub{failing: 2}, newStudy(t, 3, onceInOrder))
		res := c.check(t.Context(), t, nil)
		if res.OK != 2 || res.Failed != 1 || !res.Complete {
			t.Errorf("%d ok, %d failed, complete %v, want 2, 1, true", res.OK, res.Failed, res.Complete)
		}
		if f := res.Runs[1].Failure; f == nil || f.Class != "oom_gpu" || f.Next != "smaller batch" ||
			f.Message != "no memory for batch 2" {
			t.Errorf("failure = %+v", f)
		}
		i := slices.IndexFunc(c.events, func(e event.Event) bool {
			f, ok := e.(event.RunFinished)
			return ok && f.Index == 2
		})
		if f := c.events[i].(event.RunFinished); f.Status != "failed" || f.Message != "no memory for batch 2" {
			t.Errorf("event = %+v", f)
		}
	})
}

func TestFailFast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &stub{failing: 2}
		c := newCampaign(t, e, newStudy(t, 3, onceInOrder))
		c.options.FailFast = true
		res := c.check(t.Context(), t, nil)
		if len(res.Runs) != 2 || e.started != 2 || res.Complete || res.Ended != result.EndFailFast || res.Left != 1 {
			t.Errorf("%d runs, %d engine starts, complete %v, ended %s, %d left, want 2, 2, false, fail_fast, 1",
				len(res.Runs), e.started, res.Complete, res.Ended, res.Left)
		}
	})
}

// TestInterruption: the run in progress is on record, the rest is not started, and
// the summary is there.
func TestInterruption(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		e := &stub{}
		e.inRun = func(context.Context) {
			if e.batch == 2 {
				cancel()
			}
		}
		c := newCampaign(t, e, newStudy(t, 4, onceInOrder))
		res := c.check(ctx, t, context.Canceled)
		if len(res.Runs) != 2 || res.Runs[1].Status != result.Interrupted || res.Complete ||
			res.Ended != result.EndInterrupted || res.Left != 3 {
			t.Errorf("%d runs, complete %v, ended %s, %d left, want 2 with the second interrupted and 3 left",
				len(res.Runs), res.Complete, res.Ended, res.Left)
		}
		if next := res.Runs[1].Failure.Next; next != "continue with `llem run --resume="+res.Dir+"`" {
			t.Errorf("next: %s, want the command with %s", next, res.Dir)
		}
	})
}

// TestCancelledBefore: nothing starts, and the folder can be read all the same.
func TestCancelledBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		e := &stub{}
		res := newCampaign(t, e, newStudy(t, 2, onceInOrder)).check(ctx, t, context.Canceled)
		if len(res.Runs) != 0 || e.started != 0 {
			t.Errorf("%d runs, %d engine starts, want none", len(res.Runs), e.started)
		}
	})
}

// TestTimeout: one run that takes too long fails, the next one has its own time.
func TestTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &stub{}
		e.inRun = func(ctx context.Context) {
			if e.batch == 1 {
				<-ctx.Done()
			}
		}
		c := newCampaign(t, e, newStudy(t, 2, onceInOrder))
		// The limit must let the second run finish on a slow machine, which takes
		// milliseconds on others.
		c.options.Timeout = 3 * time.Second
		res := c.check(t.Context(), t, nil)
		if res.Runs[0].Failure == nil || res.Runs[0].Failure.Class != "timeout" {
			t.Errorf("first run %s, %+v, want a timeout", res.Runs[0].Status, res.Runs[0].Failure)
		}
		if res.Runs[1].Status != result.OK {
			t.Errorf("second run %s, %+v, want ok", res.Runs[1].Status, res.Runs[1].Failure)
		}
	})
}

// TestUnwritableResults: nothing starts without a place for its results.
func TestUnwritableResults(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &stub{}
		c := newCampaign(t, e, newStudy(t, 1, onceInOrder))
		if err := os.WriteFile(c.options.Results, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Run(t.Context(), c.options)
		if we, ok := errors.AsType[*disk.FileError](err); !ok || we.NextStep() == "" || e.started != 0 {
			t.Errorf("error %v after %d engine starts, want a hint before any", err, e.started)
		}
	})
}

func TestFolderName(t *testing.T) {
	s := newStudy(t, 1, onceInOrder)
	if got := NameOf(s); got != "test" {
		t.Errorf("folder name %q, want test", got)
	}
	s.Name = ""
	if got := NameOf(s); got != "random:tiny-llama" {
		t.Errorf("folder name %q, want the model", got)
	}
}
