package campaign

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestParts: in every order, the shards have each run once, in the order of the study.
func TestParts(t *testing.T) {
	for _, order := range terms.Orders() {
		for _, placement := range []string{"", terms.PlaceSame} {
			s := newStudy(t, 5, study.Execution{Cycles: 3, Order: order, Seed: 3, Placement: placement})
			all := Order(s)
			place := map[string]int{}
			for i, r := range all {
				place[batches([]Planned{r})] = i
			}
			seen := map[string]bool{}
			for i := range 4 {
				last := -1
				for _, r := range Part(s, shard.Shard{Index: i + 1, Of: 4}, all) {
					name := batches([]Planned{r})
					if seen[name] || place[name] < last {
						t.Errorf("%s: %s is again or too early in shard %d", order, name, i+1)
					}
					seen[name], last = true, place[name]
				}
			}
			if len(seen) != len(all) {
				t.Errorf("%s: %d of %d runs", order, len(seen), len(all))
			}
		}
	}
}

// TestShard: a shard executes its own runs, is complete then, names itself a shard, and is resumed as one.
func TestShard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &stub{}
		c := newCampaign(t, e, newStudy(t, 2, study.Execution{Cycles: 3, Order: terms.Balanced}))
		c.options.Shard = shard.Shard{Index: 2, Of: 3}
		var opening event.StudyStarted
		c.options.Planned = [2]time.Duration{6 * time.Minute, 12 * time.Minute}
		c.options.Emit = func(e event.Event) {
			if s, ok := e.(event.StudyStarted); ok {
				opening = s
			}
		}
		res, err := Run(t.Context(), c.options)
		if err != nil || res.OK != 2 || res.Planned != 2 || !res.Complete || res.Left != 0 ||
			res.Ended != result.EndComplete || res.Name != "test, shard 2 of 3" {
			t.Fatalf("%v, %+v", err, res)
		}
		if opening.Runs != 2 || opening.Name != res.Name || opening.Expected[0] != 2*time.Minute {
			t.Errorf("it begins with %+v", opening)
		}
		if doubt, _ := res.Caveats.Find(codes.ShardOnly); !strings.HasPrefix(doubt.Message,
			"this is shard 2 of 3: 2 of the 6 runs of the study") {
			t.Errorf("%q", res.Caveats)
		}
		if !strings.Contains(filepath.Base(res.Dir), "-shard2of3-") {
			t.Error(res.Dir)
		}
		if opened, err := store.Open(res.Dir); err != nil || !opened.Complete || opened.Planned != 2 {
			t.Errorf("%+v, %v", opened, err)
		}
		c.options.Resume, c.options.Shard = res.Dir, shard.Shard{}
		if res, err = Run(t.Context(), c.options); err != nil || res.OK != 2 || e.runs != 3 { // with the canary
			t.Errorf("resumed: %v, %d runs", err, e.runs)
		}
		c.options.Shard = shard.Shard{Index: 1, Of: 3}
		_, err = Run(t.Context(), c.options)
		if other, ok := errors.AsType[*ResumeError](err); !ok || !strings.Contains(other.Msg,
			"is the folder of shard 2 of 3, not of shard 1 of 3") {
			t.Error(err)
		}
	})
}

// TestUntilInShards: cycles are added only where a shard has all cycles of a configuration.
func TestUntilInShards(t *testing.T) {
	for placement, want := range map[string][]int{"": {2, 2}, terms.PlaceSame: {5, 5}} {
		bubble(t, func(t *testing.T) {
			x := study.Execution{Cycles: 2, Order: terms.Interleave, Placement: placement,
				Until: study.Until{Metric: "throughput.output_tokens_per_s", RelativeHalfWidth: 1e-9, MaxCycles: 5}}
			var got []int
			for i := range want {
				c := newCampaign(t, &stub{}, newStudy(t, 2, x))
				c.options.Shard = shard.Shard{Index: i + 1, Of: 2}
				res, err := Run(t.Context(), c.options)
				if err != nil || !res.Complete {
					t.Fatalf("%v, %+v", err, res)
				}
				got = append(got, res.OK)
			}
			if !slices.Equal(got, want) {
				t.Errorf("placement %q: %v runs, want %v", placement, got, want)
			}
		})
	}
}

// TestShardOf names the shard of a folder, for a plan.
func TestShardOf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCampaign(t, &stub{}, newStudy(t, 2, study.Execution{Cycles: 1, Order: terms.Balanced}))
		for _, part := range []shard.Shard{{}, {Index: 2, Of: 2}} {
			c.options.Shard = part
			res, err := Run(t.Context(), c.options)
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if !part.Whole() {
				want = fmt.Sprintf("%d/%d", part.Index, part.Of)
			}
			if got, err := ShardOf(res.Dir, ""); err != nil || got != want {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
			if _, err := ShardOf(res.Dir, "1/2"); err == nil {
				t.Error("another shard is accepted")
			}
		}
	})
}

// TestShardCanary: a process that executes a shard alone executes the canary first, once, unless the study has none; a
// canary that fails is told, and the runs are executed all the same.
func TestShardCanary(t *testing.T) {
	for name, q := range map[string]struct {
		setting string
		shard   shard.Shard
		failing int
		status  result.Status
		started int
	}{
		"auto":   {terms.CanaryAuto, shard.Shard{Index: 2, Of: 3}, 99, result.OK, 3},
		"always": {terms.CanaryAlways, shard.Shard{Index: 2, Of: 3}, 99, result.OK, 3},
		"never":  {terms.CanaryNever, shard.Shard{Index: 2, Of: 3}, 99, "", 2},
		"whole":  {terms.CanaryAlways, shard.Shard{}, 99, "", 6},
		"fails":  {terms.CanaryAuto, shard.Shard{Index: 2, Of: 3}, 1, result.Failed, 3},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := &stub{failing: q.failing}
				x := study.Execution{Cycles: 3, Order: terms.Balanced, Canary: q.setting, Restart: terms.RestartAlways}
				c := newCampaign(t, e, newStudy(t, 2, x))
				c.options.Shard = q.shard
				var told []note.Code
				c.options.Emit = func(e event.Event) {
					if n, ok := e.(event.Note); ok {
						told = append(told, n.Code)
					}
				}
				res, err := Run(t.Context(), c.options)
				if err != nil || !res.Complete || len(res.Rows) != q.shard.Runs(c.options.Study) {
					t.Fatalf("%v, %+v", err, res)
				}
				if e.started != q.started {
					t.Errorf("%d engines started, want %d", e.started, q.started)
				}
				rec := nodes.CanaryOf(res.Dir, q.shard.Worker())
				if (rec == nil) != (q.status == "") || rec != nil && (rec.Status != q.status ||
					rec.ID != c.options.Study.Experiments[0].ID()) {
					t.Fatalf("canary %+v, want status %q", rec, q.status)
				}
				if slices.Contains(told, codes.CanaryFailed) != (q.status == result.Failed) {
					t.Errorf("told %v", told)
				}
				c.options.Resume, c.options.RetryFailed = res.Dir, true
				was := e.started
				if _, err = Run(t.Context(), c.options); err != nil || q.status != result.Failed && e.started != was {
					t.Errorf("%v, %d more engines started, want the canary not repeated", err, e.started-was)
				}
			})
		})
	}
}
