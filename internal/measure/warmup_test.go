package measure

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/result"
)

// TestWarmUpLength: the last warm-up tells how long the first batch takes, not that and a smaller one. Where that
// decides on the window and nothing else was run before, there are two.
func TestWarmUpLength(t *testing.T) {
	for name, q := range map[string]struct {
		runs, warmed int
		minWindow    float64
		cover        string
	}{
		"one":                       {1, 3, 0, ""},
		"one for a window":          {1, 3, 1, ""},
		"four for a window":         {4, 6, 1, ""},
		"one of the sizes":          {1, 1, 0, terms.CoverSizes},
		"one of them for a window":  {1, 2, 1, terms.CoverSizes},
		"four of them for a window": {4, 4, 1, terms.CoverSizes},
	} {
		t.Run(name, virtually(func(t *testing.T) {
			l := newLab(t)
			x := &l.options.Experiment
			x.Warmup.Runs, x.Warmup.Cover, x.Energy.MinWindow = q.runs, q.cover, q.minWindow
			l.warm = 500 * time.Millisecond // for three requests and two
			d := &desk{Options: l.options, record: &result.Record{}}
			took, err := d.warmUp(t.Context(), l.stub, work{requests: make([]workload.Request, 5), batch: 3})
			if err != nil || took != int64(300*time.Millisecond) || l.warmed != q.warmed {
				t.Errorf("%v after %d warm-ups, %v, want 300ms after %d", time.Duration(took), l.warmed, err, q.warmed)
			}
		}))
	}
}

// learning is an engine to which shapes are new once.
type learning struct {
	*stub
	size  int // of a batch; 0: what it is given at once is one
	first time.Duration
	known map[string]bool
	runs  []string // lengths of the batches of each run, and the output tokens
}

// Run takes 10 ms for each batch, and more for each shape that is new.
func (e *learning) Run(ctx context.Context, w backend.Workload) (*backend.Log, error) {
	var text []string
	size := e.size
	if size == 0 {
		size = len(w.Requests)
	}
	took := time.Duration(0)
	for batch := range slices.Chunk(w.Requests, size) {
		var lengths []int
		for _, q := range batch {
			lengths = append(lengths, len(q.Tokens))
		}
		shape := strings.Trim(fmt.Sprint(lengths), "[]")
		took += 10 * time.Millisecond
		if !e.known[shape] {
			e.known[shape] = true
			took += e.first
		}
		text = append(text, shape)
	}
	e.runs = append(e.runs, fmt.Sprintf("%s: %d", strings.Join(text, ", "), w.OutputTokens))
	return &backend.Log{}, clock.Sleep(ctx, took)
}

func requestsOf(lengths ...int) []workload.Request {
	out := make([]workload.Request, len(lengths))
	for i, n := range lengths {
		out[i] = workload.Request{ID: i, Tokens: make([]int32, n)}
	}
	return out
}

// TestWarmUpCovers: every shape is run before the window, until the times settle, with the longest context once.
func TestWarmUpCovers(t *testing.T) {
	vllm, ok := engines.All().Find("vllm")
	if !ok {
		t.Fatal("no vllm")
	}
	lengths := []int{5, 9, 5, 7, 3}
	for name, q := range map[string]struct {
		setup func(*lab, *learning, *work)
		runs  []string
		want  result.Warmup
	}{
		"batches of one": {func(*lab, *learning, *work) {},
			[]string{"5: 4", "9: 4", "7: 4", "3: 4", "5: 4", "9: 4", "7: 4", "3: 4", "5: 4", "9: 4", "7: 4", "3: 4",
				"9: 11", "5: 11"},
			result.Warmup{Shapes: 4, Warmed: 4, Buckets: "exact", Rounds: 3, Outcome: "steady"}},
		"nothing is new": {func(_ *lab, e *learning, _ *work) { e.first = 0 },
			[]string{"5: 4", "9: 4", "7: 4", "3: 4", "5: 4", "9: 4", "7: 4", "3: 4", "9: 11", "5: 11"},
			result.Warmup{Shapes: 4, Warmed: 4, Buckets: "exact", Rounds: 2, Outcome: "steady"}},
		"all sizes in the first run": {func(_ *lab, e *learning, w *work) { e.size, w.batch, e.first = 2, 2, 0 },
			[]string{"5 9, 3: 4", "5 7: 4", "5 9, 3: 4", "5 7: 4", "5 9, 3: 11"},
			result.Warmup{Shapes: 3, Warmed: 3, Buckets: "exact", Rounds: 2, Outcome: "steady"}},
		"the sizes alone": {func(l *lab, e *learning, w *work) {
			l.options.Experiment.Warmup.Cover, e.size, w.batch = terms.CoverSizes, 2, 2
		}, []string{"5 9, 3: 11"}, result.Warmup{Cover: "sizes", Shapes: 3, Warmed: 2}},
		"no time": {func(l *lab, e *learning, _ *work) {
			l.options.Experiment.Warmup.MaxSeconds, e.first = 1.5, time.Second
		}, []string{"5: 4", "9: 4", "9: 11", "5: 11"},
			result.Warmup{Shapes: 4, Warmed: 2, Buckets: "exact", Rounds: 1, Outcome: "limit"}},
		"no time for a second round": {func(l *lab, e *learning, _ *work) {
			l.options.Experiment.Warmup.MaxSeconds, e.first = 5, time.Second
		}, []string{"5: 4", "9: 4", "7: 4", "3: 4", "9: 11", "5: 11"},
			result.Warmup{Shapes: 4, Warmed: 4, Buckets: "exact", Rounds: 1, Outcome: "limit"}},
		"a processor takes long": {func(_ *lab, e *learning, _ *work) {
			e.loaded.Device, e.first = "cpu", 3*time.Second
		}, []string{"5: 4", "9: 4", "7: 4", "3: 4", "9: 11", "5: 11"},
			result.Warmup{Shapes: 4, Warmed: 4, Buckets: "exact", Rounds: 1, Outcome: "limit"}},
		"a GPU has the time": {func(_ *lab, e *learning, _ *work) { e.first = 3 * time.Second },
			[]string{"5: 4", "9: 4", "7: 4", "3: 4", "5: 4", "9: 4", "7: 4", "3: 4", "5: 4", "9: 4", "7: 4", "3: 4",
				"9: 11", "5: 11"},
			result.Warmup{Shapes: 4, Warmed: 4, Buckets: "exact", Rounds: 3, Outcome: "steady"}},
		"an engine that batches by itself": {func(l *lab, e *learning, w *work) {
			l.options.Engine, e.size, w.batch, e.first = *vllm, 0, 5, 0
		}, []string{"9 7 5 3: 4", "5: 4", "5 9: 4", "5 9 5 7: 4", "9 7 5 3: 4", "5: 4", "5 9: 4", "5 9 5 7: 4",
			"5 9 5 7 3: 11"},
			result.Warmup{Shapes: 4, Warmed: 4, Buckets: "exact", Rounds: 2, Outcome: "steady"}},
		"and is sent two at once": {func(l *lab, e *learning, w *work) {
			l.options.Engine, e.size, w.batch, e.first, w.concurrency = *vllm, 0, 5, 0, 2
		}, []string{"9 7 5 3: 4", "5: 4", "9 7 5 3: 4", "5: 4", "5 9 5 7 3: 11"},
			result.Warmup{Shapes: 4, Warmed: 4, Buckets: "exact", Rounds: 2, Outcome: "steady"}},
	} {
		t.Run(name, virtually(func(t *testing.T) {
			l := newLab(t)
			l.options.Experiment.Warmup.Runs = 1
			e := &learning{stub: l.stub, size: 1, first: 200 * time.Millisecond, known: map[string]bool{}}
			w := work{requests: requestsOf(lengths...), outputTokens: outputLen, batch: 1}
			q.setup(l, e, &w)
			d := &desk{Options: l.options, record: &result.Record{}}
			if _, err := d.warmUp(t.Context(), e, w); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(q.runs, e.runs); diff != "" {
				t.Errorf("runs (-want +got):\n%s", diff)
			}
			got := *d.record.Warmup
			if d.record.Timing.WarmupS <= 0 {
				t.Error("it took no time")
			}
			if q.want.Runs = 1; q.want.Cover == "" {
				q.want.Cover = terms.CoverAll
			}
			if diff := cmp.Diff(q.want, got); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
			if _, told := warned(d.record, codes.WarmUpLimit); told != (name == "no time") {
				t.Errorf("warnings = %+v", d.record.Warnings)
			}
		}))
	}
}

// TestWarmUpUnsettled: an engine whose times never settle is not warmed up forever.
func TestWarmUpUnsettled(t *testing.T) {
	virtually(func(t *testing.T) {
		l := newLab(t)
		l.options.Experiment.Warmup.Runs = 1
		d := &desk{Options: l.options, record: &result.Record{}}
		e := &learning{stub: l.stub, size: 1, first: time.Second, known: map[string]bool{}}
		w := work{requests: requestsOf(3, 4), outputTokens: 1, batch: 1}
		if _, err := d.warmUp(t.Context(), forgetful{e}, w); err != nil {
			t.Fatal(err)
		}
		if got := d.record.Warmup; got.Outcome != "unsteady" || got.Rounds != mostRounds {
			t.Errorf("%+v, want %d rounds", got, mostRounds)
		}
		if _, told := warned(d.record, codes.WarmUpLimit); !told {
			t.Errorf("warnings = %+v", d.record.Warnings)
		}
	})(t)
}

// forgetful knows a shape every other time only.
type forgetful struct{ *learning }

// Run forgets what it knew before every fourth run.
func (e forgetful) Run(ctx context.Context, w backend.Workload) (*backend.Log, error) {
	if len(e.runs)%4 == 0 {
		clear(e.known)
	}
	return e.learning.Run(ctx, w)
}
