package live

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/event"
)

// experiments are n rows with labels.
func experiments(n int) []event.Experiment {
	out := make([]event.Experiment, n)
	for i := range out {
		out[i] = event.Experiment{ID: fmt.Sprintf("id%d", i), Label: fmt.Sprintf("batch_size=%d", i+1)}
	}
	return out
}

func joules(v float64) event.Metric {
	return event.Metric{Name: "energy.per_output_token_j", Unit: "J", Value: v}
}

func TestTimeLeft(t *testing.T) {
	const s = time.Second
	fin := func(id, status string, cycle int) event.RunFinished {
		return event.RunFinished{ID: id, Cycle: cycle, Status: status}
	}
	type step struct {
		run  event.RunFinished
		took time.Duration
	}
	for _, c := range []struct {
		name  string
		steps []step
		id    string // of the current run
		spent time.Duration
		total int
		want  time.Duration // negative: not known
	}{
		{"nothing is known", nil, "id0", 5 * s, 6, -1},
		{"all take as long as the first", []step{{fin("id0", "ok", 1), 10 * s}}, "id0", 0, 6, 50 * s},
		{"the current run has begun", []step{{fin("id0", "ok", 1), 10 * s}}, "id0", 4 * s, 6, 46 * s},
		{"the current run is late", []step{{fin("id0", "ok", 1), 10 * s}}, "id0", 60 * s, 6, 40 * s},
		// one run more of id0 takes 10 s, one of id1 20 s, two of id2 the mean of 15 s
		{"each experiment has its time", []step{{fin("id0", "ok", 1), 10 * s}, {fin("id1", "ok", 1), 20 * s}}, "id2",
			0, 6, 60 * s},
		// failing is quick: id1 fails again, id2 takes as long as what works
		{"a failure says nothing of others", []step{{fin("id0", "ok", 1), 10 * s}, {fin("id1", "failed", 1), 2 * s}},
			"id2", 0, 6, (10 + 2 + 20) * s},
		{"only failures are known", []step{{fin("id0", "failed", 1), 2 * s}}, "id1", 0, 6, 10 * s},
		{"left out takes no time and tells nothing",
			[]step{{fin("id0", "ok", 1), 10 * s},
				{event.RunFinished{ID: "id1", Cycle: 1, Status: "failed", LeftOut: true}, 0}}, "id1", 0, 6, 40 * s},
		{"an interrupted run counts for nothing", []step{{fin("id0", "interrupted", 1), 3 * s}}, "id0", 0, 6, -1},
		{"cycles beyond the plan",
			[]step{{fin("id0", "ok", 1), 10 * s}, {fin("id0", "ok", 2), 10 * s},
				{fin("id0", "ok", 3), 10 * s}}, "id0", 0, 7, 40 * s},
	} {
		g := newGrid(event.StudyStarted{Experiments: experiments(3), Cycles: 2})
		for _, x := range c.steps {
			g.start(event.RunStarted{ID: x.run.ID, Cycle: x.run.Cycle})
			g.finish(x.run, x.took)
		}
		got, known := g.left(c.total, c.id, c.spent)
		if known != (c.want >= 0) || known && got != c.want {
			t.Errorf("%s: %v, known %v, want %v", c.name, got, known, c.want)
		}
	}
}

// TestCountsStayTrue whatever comes: a run that ends twice, one that nobody planned.
func TestCountsStayTrue(t *testing.T) {
	g := newGrid(event.StudyStarted{Experiments: experiments(2), Cycles: 2, Made: []event.RunFinished{
		{ID: "id0", Cycle: 1, Status: "ok", Metric: joules(2)},
		{ID: "id1", Cycle: 1, Status: "failed", Metric: event.Metric{Value: math.NaN()}},
	}})
	if g.finished() != 2 || g.count[failed] != 1 || g.rows[0].mean != 2 {
		t.Errorf("finished earlier: %d finished, %d failed, %+v", g.finished(), g.count[failed], g.rows[0])
	}
	g.finish(event.RunFinished{ID: "id0", Cycle: 2, Status: "failed"}, time.Second)
	g.finish(event.RunFinished{ID: "id0", Cycle: 2, Status: "ok"}, time.Second)
	g.finish(event.RunFinished{ID: "another", Cycle: 1, Status: "ok"}, time.Second)
	g.finish(event.RunFinished{ID: "id1", Cycle: 0, Status: "ok"}, time.Second)
	if g.finished() != 3 || g.count[ok] != 2 || g.count[failed] != 1 {
		t.Errorf("%d finished, %d ok, %d failed, want 3, 2, 1", g.finished(), g.count[ok], g.count[failed])
	}
}

// TestIntervalHoldsOneMetric: joules and tokens per second have no common mean.
func TestIntervalHoldsOneMetric(t *testing.T) {
	r := &row{half: math.Inf(1)}
	for _, m := range []event.Metric{{Value: math.NaN()}, joules(1),
		{Name: "throughput.output_tokens_per_s", Unit: "1/s", Value: 900}, joules(1.1), joules(math.NaN())} {
		r.add(m)
	}
	// Student's t for one degree of freedom is 12.7062; the deviation is 0.0707.
	if want := 12.7062 * 0.0707107 / math.Sqrt2 / 1.05; math.Abs(r.mean-1.05) > 1e-9 || math.Abs(r.half-want) > 1e-4 {
		t.Errorf("mean %v ± %v, want 1.05 ± %v", r.mean, r.half, want)
	}
	if got, want := rowText(r), "1.05 J ±61 %"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
