package running

import (
	"encoding/json"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/tick"
)

// TestCrew: the state of a worker counts the runs of all workers, keeps its own run when another one finishes, and has
// the time that all of them together still take.
func TestCrew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		start := func(name string) *Recorder {
			return Start(Options{Dir: dir, Worker: name, Clock: tick.Clock{},
				OutputTokens: func(string) int { return 10 },
				Origin:       func(string, string) string { return "" }})
		}
		r := start("a")
		r.Observe(event.StudyStarted{Name: "s", Runs: 10, Cycles: 10, Worker: "a"})
		r.Observe(event.RunStarted{Index: 1, Total: 10, ID: "x", Cycle: 1})
		time.Sleep(5 * time.Second)
		r.Observe(event.RunFinished{Index: 1, Total: 10, ID: "x", Cycle: 2, Status: "ok", Worker: "b",
			Took: 20 * time.Second})
		time.Sleep(between)
		synctest.Wait()
		s := only(t, dir)
		if s.Worker != "a" || s.Finished != 1 || s.Run == nil || s.Run.Cycle != 1 {
			t.Fatalf("%+v", s)
		}
		alone := *s.LeftS
		// Another worker, as its file shows it: of this process, because it must be alive.
		b := s
		b.Worker, b.Run = "b", &Run{ID: "x", Cycle: 3, Began: s.Written}
		text := mustJSON(t, b)
		if err := os.WriteFile(dir+"/live-"+s.Process.System+".1.state", text, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		r.Observe(event.Progress{})
		time.Sleep(between)
		synctest.Wait()
		all, err := Read(os.DirFS(dir))
		if err != nil || len(all) != 2 {
			t.Fatalf("%v, %v", all, err)
		}
		for _, s := range all {
			if s.Worker == "a" && (*s.LeftS > alone*0.55 || *s.LeftS < alone*0.4) {
				t.Errorf("%g s left with two workers, %g s with one", *s.LeftS, alone)
			}
		}
		if crew := Work(all); len(crew) != 2 || crew[0].ID != "x" {
			t.Errorf("%+v", crew)
		}
		r.Close()
	})
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
