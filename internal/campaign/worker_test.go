package campaign

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// team is a study that workers of one process execute in one folder.
type team struct {
	t     *testing.T
	study *study.Study
	dir   string
	clock tick.Clock
}

func newTeam(t *testing.T, s *study.Study) *team {
	t.Helper()
	return &team{t, s, filepath.Join(t.TempDir(), "study"), tick.Virtual()}
}

// worker has the options of a worker, on an engine of its own.
func (m *team) worker(name string, change ...func(*Options, *stub)) Options {
	e := &stub{clock: m.clock, failing: 99}
	s := *m.study
	o := Options{Study: &s, Clock: m.clock, Backends: map[string]backend.Backend{"embedded": e},
		Store:    model.Store{Dir: filepath.Join(filepath.Dir(m.dir), "cache")},
		Snapshot: &host.Snapshot{SchemaVersion: 1, Unknown: map[string]string{}, Build: host.BuildInfo{Version: "v1"}},
		Worker:   &Worker{Dir: m.dir, Name: name}}
	for _, c := range change {
		c(&o, e)
	}
	return o
}

// run runs workers at once and returns their results.
func (m *team) run(all ...Options) ([]*result.StudyResult, []error) {
	res, errs := make([]*result.StudyResult, len(all)), make([]error, len(all))
	var wait sync.WaitGroup
	for i, o := range all {
		wait.Go(func() { res[i], errs[i] = Run(m.t.Context(), o) })
	}
	wait.Wait()
	return res, errs
}

// complete checks that every run was executed once and that nothing is left behind.
func (m *team) complete(planned int) *result.StudyResult {
	m.t.Helper()
	s, err := result.ReadStudy(m.dir)
	if err != nil {
		m.t.Fatal(err)
	}
	if !s.Complete || s.OK+s.Failed != planned || len(s.Rows) != planned {
		m.t.Errorf("complete %v, %d ok and %d failed of %d, %d rows", s.Complete, s.OK, s.Failed, planned, len(s.Rows))
	}
	if _, err := store.Open(m.dir); err != nil {
		m.t.Errorf("the folder is damaged: %v", err)
	}
	entries, err := store.ReadJournal(m.dir)
	if err != nil || len(entries) != planned {
		m.t.Errorf("%d lines in the journals, %v, want %d", len(entries), err, planned)
	}
	for _, pattern := range []string{store.ClaimsDir + "/*", store.ClaimsDir + "/.*", "runs/*" + store.Partial} {
		if left, _ := filepath.Glob(filepath.Join(m.dir, pattern)); len(left) > 0 {
			m.t.Errorf("left behind: %v", left)
		}
	}
	return s
}

var threeCycles = study.Execution{Cycles: 3, Order: terms.Balanced, Seed: 1, Restart: terms.RestartNeeded}

// TestWorkers: three workers execute each run once, spread, and give the summary that one process gives.
func TestWorkers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStudy(t, 6, threeCycles)
		m := newTeam(t, s)
		res, errs := m.run(m.worker("a"), m.worker("b"), m.worker("c"))
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for i, r := range res {
			if r == nil || !r.Complete {
				t.Errorf("worker %d: %+v", i, r)
			}
		}
		sum := m.complete(18)
		by := map[string]int{}
		for _, r := range sum.Rows {
			by[r.Worker]++
		}
		if len(by) != 3 || by["a"] < 3 || by["b"] < 3 || by["c"] < 3 {
			t.Errorf("runs by worker: %v", by)
		}
		alone, err := Run(t.Context(), newCampaign(t, &stub{failing: 99}, newStudy(t, 6, threeCycles)).options)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := sorted(outline(t, m.dir)), sorted(outline(t, alone.Dir)); got != want {
			t.Errorf("the summary is\n%s\nwant\n%s", got, want)
		}
		again, err := Run(t.Context(), m.worker("d"))
		if err != nil || !again.Complete {
			t.Errorf("a worker that comes late: %+v, %v", again, err)
		}
	})
}

func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestWorkersRefused: each start that could mix results is refused, with the difference and the next step.
func TestWorkersRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newTeam(t, newStudy(t, 2, onceInOrder))
		var errs []error
		check := func(name, want string, o Options) {
			t.Helper()
			_, err := Run(t.Context(), o)
			next, ok := errors.AsType[interface {
				error
				NextStep() string
			}](err)
			if err == nil || !strings.Contains(err.Error(), want) || !ok || next.NextStep() == "" {
				t.Errorf("%s: %v, want %q and a next step", name, err, want)
			}
			errs = append(errs, err)
		}
		first := m.worker("a", func(o *Options, e *stub) {
			o.Snapshot.GPUs = []host.GPU{{Name: new("H100"), PowerLimitW: new(700.0)}}
			asked := false
			e.inRun = func(context.Context) {
				if asked {
					return
				}
				asked = true
				check("one name", "worker named a", m.worker("a"))
				check("alone", "workers are executing", m.worker("", func(o *Options, _ *stub) {
					o.Worker, o.Resume = nil, m.dir
				}))
				check("another GPU", "GPU name: A100", m.worker("b", func(o *Options, _ *stub) {
					o.Snapshot.GPUs = []host.GPU{{Name: new("A100"), PowerLimitW: new(700.0)}}
				}))
				check("another limit", "power limit", m.worker("b", func(o *Options, _ *stub) {
					o.Snapshot.GPUs = []host.GPU{{Name: new("H100"), PowerLimitW: new(500.0)}}
				}))
				check("another version", "llem v2",
					m.worker("b", func(o *Options, _ *stub) { o.Snapshot.Build.Version = "v2" }))
				check("an edited study", "differs", m.worker("b", func(o *Options, _ *stub) {
					o.Study.Experiments = slices.Clone(o.Study.Experiments)
					o.Study.Experiments[0].Workload.Prompts = 3
				}))
			}
		})
		if _, err := Run(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if len(errs) != 6 {
			t.Errorf("%d starts were tried", len(errs))
		}
		m.complete(2)
	})
}

// TestWorkerMixed: a worker that was let in with another GPU is marked, and its runs are not pooled.
func TestWorkerMixed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newTeam(t, newStudy(t, 2, threeCycles))
		gpu := func(name string, mixed bool) func(*Options, *stub) {
			return func(o *Options, _ *stub) {
				o.Snapshot.GPUs, o.Worker.AllowMixed = []host.GPU{{Name: &name}}, mixed
			}
		}
		a, b := m.worker("a", gpu("H100", false)), m.worker("b", gpu("A100", true))
		joined := make(chan bool)
		a.Emit = func(e event.Event) {
			if _, ok := e.(event.StudyStarted); ok {
				close(joined)
			}
		}
		var wait sync.WaitGroup
		wait.Go(func() {
			if _, err := Run(t.Context(), a); err != nil {
				t.Error(err)
			}
		})
		<-joined
		if _, err := Run(t.Context(), b); err != nil {
			t.Error(err)
		}
		wait.Wait()
		sum := m.complete(6)
		mixed := 0
		for _, r := range sum.Rows {
			if is := slices.Contains(r.Warnings, codes.MachineMixed); is != (r.Worker == "b") {
				t.Errorf("run of %s: %v", r.Worker, r.Warnings)
			} else if is {
				mixed++
			}
		}
		excluded := 0
		for _, e := range sum.Experiments {
			for _, x := range e.Excluded {
				excluded += x.Runs
			}
		}
		if mixed == 0 || excluded != mixed {
			t.Errorf("%d runs of the other machine, %d excluded", mixed, excluded)
		}
	})
}

// TestWorkerPaused: a worker that is cut off for longer than its term finds its claim gone: its result is kept aside,
// the run counts once, and the summary says so.
func TestWorkerPaused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newTeam(t, newStudy(t, 1, onceInOrder))
		claimed := filepath.Join(m.dir, store.ClaimsDir, "@a")
		var once, other sync.Once
		started := make(chan bool)
		a := m.worker("a", func(_ *Options, e *stub) {
			e.inRun = func(context.Context) {
				once.Do(func() {
					close(started)
					time.Sleep(time.Second)
					// As if it had been silent for its term: others remove its presence.
					if err := os.RemoveAll(claimed); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Minute)
				})
			}
		})
		b := m.worker("b", func(_ *Options, e *stub) {
			e.inRun = func(context.Context) { other.Do(func() { time.Sleep(time.Second) }) }
		})
		var wait sync.WaitGroup
		wait.Go(func() {
			if r, err := Run(t.Context(), a); err != nil || !r.Complete {
				t.Errorf("the paused worker: %+v, %v", r, err)
			}
		})
		<-started
		if r, err := Run(t.Context(), b); err != nil || !r.Complete {
			t.Errorf("%+v, %v", r, err)
		}
		wait.Wait()
		s, err := store.Open(m.dir)
		if err != nil || len(s.Rows) != 1 || s.Rows[0].Worker != "b" {
			t.Fatalf("%v, rows %+v", err, s.Rows)
		}
		if !slices.Contains(s.Caveats.Codes(), codes.RunTwice) {
			t.Errorf("caveats %v", s.Caveats)
		}
		if aside, _ := filepath.Glob(filepath.Join(m.dir, "runs", "*.twice-a-*")); len(aside) != 1 {
			t.Errorf("kept aside: %v", aside)
		}
	})
}

// TestWorkerFolderLost: the folder vanishes, or is full, while workers run: each ends with an error that names it.
func TestWorkerFolderLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newTeam(t, newStudy(t, 3, onceInOrder))
		var once sync.Once
		a := m.worker("a", func(_ *Options, e *stub) {
			e.inRun = func(context.Context) {
				once.Do(func() {
					if err := os.RemoveAll(m.dir); err != nil {
						t.Error(err)
					}
				})
			}
		})
		if r, err := Run(t.Context(), a); err == nil || !strings.Contains(err.Error(), m.dir) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// TestBrokenWorker: a worker whose runs all fail leaves the study to the others, and does not fail all of it.
func TestBrokenWorker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := threeCycles
		x.MaxFailures = 2
		s := newStudy(t, 1, x)
		x.Cycles = 12
		s.Execution = x
		m := newTeam(t, s)
		broken := m.worker("broken", func(_ *Options, e *stub) { e.failing = 1 })
		_, errs := m.run(broken, m.worker("good", func(_ *Options, e *stub) {
			e.inRun = func(context.Context) { time.Sleep(10 * time.Second) }
		}))
		if errs[0] == nil || !strings.Contains(errs[0].Error(), "2 consecutive runs") || errs[1] != nil {
			t.Errorf("%v", errs)
		}
		sum := m.complete(12)
		if sum.Failed != 2 || sum.LeftOut != 0 {
			t.Errorf("%d failed, %d left out", sum.Failed, sum.LeftOut)
		}
	})
}
