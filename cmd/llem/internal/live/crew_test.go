package live

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/running"
)

// stateOfWorker is a worker that has measured a run for some seconds.
func stateOfWorker(p *playback, name string, id, cycle int, spent time.Duration) running.State {
	return running.State{Worker: name, Process: running.Process{Host: "n-" + name, System: "elsewhere"}, Written: p.now,
		Since: p.now.Add(-spent / 2), Phase: event.Measure, Fraction: 0.25,
		Run: &running.Run{ID: fmt.Sprintf("id%d", id),
			Cycle: cycle, Label: fmt.Sprintf("batch=%d", id), Began: p.now.Add(-spent), Requests: 8}}
}

// otherRun is a run that another worker has finished.
func otherRun(p *playback, worker string, i, cycle int, message string) {
	status, m := "ok", joules(1.5)
	if message != "" {
		status, m = "failed", event.Metric{}
	}
	p.event(event.RunFinished{ID: fmt.Sprintf("id%d", i), Cycle: cycle, Status: status, Message: message,
		Worker: worker,
		Took:   40 * time.Second, Metric: m, Index: 1, Total: p.total})
}

// TestCrew: a worker shows the runs of all, who measures what, and the time that is left for all together.
func TestCrew(t *testing.T) {
	t.Parallel()
	s := studyOf(3, 4)
	s.Worker = "a"
	p := play(false, s)
	p.run(0, 1, "ok", "", joules(1.4))
	p.start(1, 1)
	p.event(event.PhaseStarted{Phase: event.Measure, Detail: "64 prompts"})
	otherRun(p, "b", 2, 1, "")
	otherRun(p, "c", 0, 2, "the engine died")
	waiting := stateOfWorker(p, "d", 0, 1, 0)
	waiting.Run = nil
	p.setCrew([]running.State{stateOfWorker(p, "b", 2, 2, 20*time.Second), stateOfWorker(p, "c", 1, 2, 0), waiting})
	p.now = p.now.Add(10 * time.Second)
	checkView(t, "crew", strings.Join(p.lines, "\n")+"\n\n"+p.render(80, 24, p.now))
	// Ever less room: the workers are counted, and no line is too wide or too much.
	for _, size := range [][2]int{{80, 12}, {40, 24}, {20, 8}, {80, 3}} {
		text := p.render(size[0], size[1], p.now)
		if n := strings.Count(text, "\n"); n >= size[1] {
			t.Errorf("%v: %d lines", size, n)
		}
	}
	// A run that its worker has given up is open again.
	p.setCrew(nil)
	if got := p.grid.count[busy]; got != 1 {
		t.Errorf("%d runs are marked as running", got)
	}
}

// TestWatch: whoever watches workers sees them and no run of his own.
func TestWatch(t *testing.T) {
	t.Parallel()
	p := play(false, studyOf(3, 4))
	p.watch, p.grid = true, newGrid(studyOf(3, 4))
	otherRun(p, "b", 2, 1, "")
	otherRun(p, "", 1, 1, "") // of a process that began the study alone
	p.setCrew([]running.State{stateOfWorker(p, "b", 2, 2, 20*time.Second), stateOfWorker(p, "c", 1, 2, 30*time.Second)})
	p.now = p.now.Add(10 * time.Second)
	checkView(t, "watch", strings.Join(p.lines, "\n")+"\n\n"+p.render(80, 24, p.now))
}

// checkView compares what is shown with its golden file.
func checkView(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "view-"+name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
