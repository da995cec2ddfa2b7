package campaign

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/announce"
)

// TestFollow: each worker tells of every run of the others once, with the name of its worker, and so does whoever
// follows the folder.
func TestFollow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newTeam(t, newStudy(t, 2, threeCycles))
		seen := map[string][]string{}
		var mu sync.Mutex
		worker := func(name string) Options {
			return m.worker(name, func(o *Options, e *stub) {
				e.inRun = func(context.Context) { time.Sleep(5 * time.Second) }
				o.Emit = func(e event.Event) {
					if r, ok := e.(event.RunFinished); ok {
						mu.Lock()
						defer mu.Unlock()
						seen[name] = append(seen[name], fmt.Sprintf("%s-c%d", r.ID, r.Cycle))
						if r.Worker == name || r.Worker != "" && r.Took <= 0 {
							t.Errorf("%s: %+v", name, r)
						}
					}
				}
			})
		}
		_, errs := m.run(worker("a"), worker("b"), worker("c"))
		if errs[0] != nil || errs[1] != nil || errs[2] != nil {
			t.Fatal(errs)
		}
		m.complete(6)
		for name, runs := range seen {
			if once := slices.Compact(slices.Sorted(slices.Values(runs))); len(once) != len(runs) || len(runs) < 4 {
				t.Errorf("%s saw %v", name, runs)
			}
		}
		f, err := announce.Follow(m.dir)
		if err != nil {
			t.Fatal(err)
		}
		opening, err := f.Opening()
		if err != nil || len(opening.Made) != 6 || opening.Runs != 6 || len(opening.Experiments) != 2 {
			t.Errorf("%+v, %v", opening, err)
		}
		if more, err := f.Next(); len(more) > 0 || err != nil {
			t.Errorf("%v, %v", more, err)
		}
	})
}
