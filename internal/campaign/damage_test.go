package campaign

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestTakenAwayWhileItRuns: a journal and a finished run that somebody deletes while a study runs are an error of
// the study, not a success; resuming puts both right.
func TestTakenAwayWhileItRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &stub{}
		c := newCampaign(t, e, newStudy(t, 3, study.Execution{Cycles: 1, Order: terms.Sequential}))
		runs := 0
		e.inRun = func(context.Context) {
			if runs++; runs != 2 {
				return
			}
			dirs, err := filepath.Glob(filepath.Join(c.options.Results, "*", store.JournalFile))
			if err != nil || len(dirs) != 1 {
				t.Fatalf("journals %v, %v", dirs, err)
			}
			made, err := filepath.Glob(filepath.Join(filepath.Dir(dirs[0]), result.RunsDir, "*-c1"))
			if err != nil || len(made) != 1 {
				t.Fatalf("runs %v, %v", made, err)
			}
			if err := errors.Join(os.Remove(dirs[0]), os.RemoveAll(made[0])); err != nil {
				t.Fatal(err)
			}
		}
		res, err := Run(t.Context(), c.options)
		if damage, ok := errors.AsType[*store.DamageError](err); !ok || len(damage.Problems) != 2 ||
			!strings.Contains(damage.NextStep(), "--resume="+res.Dir) {
			t.Fatalf("%v, want the journal and the run to be missed", err)
		}
		if res.OK != 2 || res.Complete || res.Ended != result.EndError {
			t.Errorf("%d ok, complete %v, ended %s; want what is left, and an error", res.OK, res.Complete, res.Ended)
		}
		e.inRun, e.started, c.options.Resume = nil, 0, res.Dir
		again, err := Run(t.Context(), c.options)
		if err != nil || again.OK != 3 || !again.Complete || e.started != 1 {
			t.Fatalf("resumed: %v, %d ok, %d started", err, again.OK, e.started)
		}
		if n, ok := again.Caveats.Find(codes.JournalGone); !ok || !strings.Contains(n.Message, "2 runs") {
			t.Errorf("caveats %v, want the journal that was written again", again.Caveats)
		}
		entries, err := store.ReadJournal(res.Dir)
		if err != nil || len(entries) != 3 {
			t.Errorf("%d lines in the journal, %v", len(entries), err)
		}
	})
}

// TestResumeOfACutStudy: a frozen study that ends before its end is not resumed, and one of an earlier version, which
// has no sum, is not where the journal names what was cut off.
func TestResumeOfACutStudy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &stub{}
		c := newCampaign(t, e, newStudy(t, 3, study.Execution{Cycles: 1, Order: terms.Sequential}))
		res, err := Run(t.Context(), c.options)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(res.Dir, store.StudyFile)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		resume := func(text []byte) error {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Frozen(res.Dir, nil)
			if err == nil {
				c.options.Study, c.options.Resume = s, res.Dir
				_, err = Run(t.Context(), c.options)
			}
			return err
		}
		e.started = 0
		whole := text[bytes.IndexByte(text, '\n')+1:]
		read := 0
		for i := range text {
			if text[i] != '\n' {
				continue
			}
			for _, cut := range []int{i, i + 1} {
				if cut == len(text) {
					continue
				}
				if _, ok := errors.AsType[*ResumeError](resume(text[:cut])); !ok {
					t.Errorf("cut at byte %d of %d it was resumed", cut, len(text))
				}
				n := max(0, cut-(len(text)-len(whole)))
				if s, _, err := func() (*study.Study, bool, error) {
					err := os.WriteFile(path, whole[:n], 0o600)
					if err != nil {
						t.Fatal(err)
					}
					return store.ReadFrozen(res.Dir)
				}(); err != nil || len(s.Experiments) == 3 {
					continue // refused, or nothing but a default is missing
				}
				read++
				if _, ok := errors.AsType[*ResumeError](resume(whole[:n])); !ok {
					t.Errorf("without a sum, cut at byte %d of %d it was resumed", n, len(whole))
				}
			}
		}
		if read == 0 || e.started != 0 {
			t.Errorf("%d cuts leave a study of fewer experiments, %d runs were executed", read, e.started)
		}
	})
}
