package store

import (
	"testing"
	"time"

	"github.com/llenergymeasure/llem/result"
)

// TestWorkersOf: a study of one process, or of one worker, has nothing to compare.
func TestWorkersOf(t *testing.T) {
	t.Parallel()
	now := time.Now()
	line := func(worker string) Entry {
		return Entry{Row: result.Row{Worker: worker, Status: result.OK, TookS: 10}, At: now, ClaimS: 1, WaitS: 2}
	}
	if w := workersOf(t.TempDir(), []Entry{line(""), line("a")}); w != nil {
		t.Errorf("%+v", w)
	}
	w := workersOf(t.TempDir(), []Entry{line("a"), line("b")})
	if w == nil || w.Runs != 2 || w.Total.ClaimS != 2 || w.Total.WaitS != 4 || w.Total.OtherS != 14 {
		t.Errorf("%+v", w)
	}
}
