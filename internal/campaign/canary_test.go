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

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/result"
)

// on puts a worker on a machine.
func on(node string, more ...func(*Options, *stub)) func(*Options, *stub) {
	return func(o *Options, e *stub) {
		o.Node = node
		for _, m := range more {
			m(o, e)
		}
	}
}

// canaries are the names of the folders of canaries.
func (m *team) canaries() string {
	entries, _ := os.ReadDir(filepath.Join(m.dir, nodes.CanaryDir))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// TestCanary: workers on several machines execute the first experiment before their first runs; it is in no mean, and
// the summary has its spread.
func TestCanary(t *testing.T) {
	for name, c := range map[string]struct {
		setting string
		nodes   [3]string
		want    string
	}{
		"several machines":        {"", [3]string{"n1", "n2", "n2"}, "a b c"},
		"one machine":             {"", [3]string{"n1", "n1", "n1"}, ""},
		"always":                  {terms.CanaryAlways, [3]string{"n1", "n1", "n1"}, "a b c"},
		"never":                   {terms.CanaryNever, [3]string{"n1", "n2", "n3"}, ""},
		"several machines, named": {terms.CanaryAuto, [3]string{"n1", "n2", "n3"}, "a b c"},
	} {
		bubble(t, func(t *testing.T) {
			x := threeCycles
			x.Canary = c.setting
			m := newTeam(t, newStudy(t, 6, x))
			_, errs := m.run(m.worker("a", on(c.nodes[0])), m.worker("b", on(c.nodes[1])),
				m.worker("c", on(c.nodes[2])))
			if err := errors.Join(errs...); err != nil {
				t.Fatal(name, err)
			}
			sum := m.complete(18)
			if got := m.canaries(); got != c.want {
				t.Errorf("%s: canaries %q, want %q", name, got, c.want)
			}
			if c.want == "" {
				if sum.Canary != nil {
					t.Errorf("%s: %+v", name, sum.Canary)
				}
				return
			}
			machines := slices.Compact(c.nodes[:])
			if k := sum.Canary; k == nil || len(k.Workers) != 3 || k.Machines != len(machines) ||
				k.ID != sum.Experiments[0].ID || len(k.Spreads) != 1 || k.Spreads[0].N != 3 {
				t.Errorf("%s: %+v", name, k)
			}
			if !slices.Contains(sum.Caveats.Codes(), codes.CanarySpread) {
				t.Errorf("%s: %v", name, sum.Caveats)
			}
			// A worker that comes back has sung already.
			if _, err := Run(t.Context(), m.worker("a", on(c.nodes[0]))); err != nil || m.canaries() != c.want {
				t.Errorf("%s: %v, canaries %q", name, err, m.canaries())
			}
		})
	}
}

// TestCanaryFails: a worker whose canary fails executes no run, and the others finish the study; it is said.
func TestCanaryFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newTeam(t, newStudy(t, 3, threeCycles))
		slow := func(_ *Options, e *stub) { e.inRun = func(context.Context) { time.Sleep(10 * time.Second) } }
		var broken error
		var wait sync.WaitGroup
		wait.Go(func() {
			time.Sleep(5 * time.Second) // the others have joined
			_, broken = Run(t.Context(), m.worker("broken", on("n3", func(_ *Options, e *stub) { e.failing = 1 })))
		})
		_, errs := m.run(m.worker("good", on("n1", slow)), m.worker("other", on("n2", slow)))
		wait.Wait()
		failed, ok := errors.AsType[*CanaryError](broken)
		if !ok || failed.NextStep() == "" || errs[0] != nil || errs[1] != nil {
			t.Errorf("%v, %v", broken, errs)
		}
		sum := m.complete(9)
		if sum.Failed != 0 || !slices.Contains(sum.Caveats.Codes(), codes.CanaryFailed) {
			t.Errorf("%d failed, %v", sum.Failed, sum.Caveats)
		}
		for _, r := range sum.Rows {
			if r.Worker == "broken" {
				t.Errorf("%s-c%d was executed on a machine whose canary had failed", r.ID, r.Cycle)
			}
		}
	})
}

// TestCanaryOfABrokenConfiguration: if the canary fails everywhere, the configuration is the cause: the study loses one
// worker, and its other configurations are measured.
func TestCanaryOfABrokenConfiguration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newTeam(t, newStudy(t, 3, threeCycles))
		broken := func(_ *Options, e *stub) { e.failing = 1 }
		_, errs := m.run(m.worker("a", on("n1", broken)), m.worker("b", on("n2", broken)),
			m.worker("c", on("n3", broken)))
		stopped := 0
		for _, err := range errs {
			if _, ok := errors.AsType[*CanaryError](err); ok {
				stopped++
			} else if err != nil {
				t.Error(err)
			}
		}
		if sum := m.complete(9); stopped > 1 || sum.Failed != 3 || sum.OK != 6 {
			t.Errorf("%d workers stopped; %d ok, %d failed", stopped, sum.OK, sum.Failed)
		}
	})
}

// TestCanaryInterrupted: nothing is left of a canary that was interrupted.
func TestCanaryInterrupted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := threeCycles
		x.Canary = terms.CanaryAlways
		m := newTeam(t, newStudy(t, 2, x))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o := m.worker("a", on("n1", func(_ *Options, e *stub) { e.inRun = func(context.Context) { cancel() } }))
		if res, err := Run(ctx, o); err == nil || res == nil || res.Ended != result.EndInterrupted ||
			m.canaries() != "" {
			t.Errorf("%+v, %v, canaries %q", res, err, m.canaries())
		}
	})
}
