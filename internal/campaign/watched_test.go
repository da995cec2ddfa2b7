package campaign

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/store"
)

// TestStateWhileRunning: a study says in its folder what it does, and nothing of that is left at its end.
func TestStateWhileRunning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStudy(t, 2, onceInOrder)
		e := &stub{}
		c := newCampaign(t, e, s)
		var seen []running.State
		e.inRun = func(ctx context.Context) {
			_ = e.clock.Sleep(ctx, 2*time.Second)
			dirs, _ := filepath.Glob(filepath.Join(c.options.Results, "*"))
			all, err := running.Read(os.DirFS(dirs[0]))
			if err != nil {
				t.Error(err)
			}
			seen = append(seen, all...)
		}
		res, err := Run(t.Context(), c.options)
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) == 0 {
			t.Fatal("no state")
		}
		last := seen[len(seen)-1]
		if last.Planned != 2 || last.Finished != 1 || last.Phase != event.Measure || last.Run == nil ||
			last.Run.ID != s.Experiments[1].ID() || last.Run.Requests != 8 || last.LeftS == nil {
			t.Errorf("state %+v", last)
		}
		if left, _ := running.Read(os.DirFS(res.Dir)); len(left) != 0 {
			t.Errorf("after the end: %+v", left)
		}
		if err := store.VerifyStudy(res.Dir, true); err != nil {
			t.Error(err)
		}
	})
}
