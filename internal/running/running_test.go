package running

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/kin"
	"github.com/llenergymeasure/llem/internal/tick"
)

// record starts a recorder in a new folder.
func record(t testing.TB, dir string) *Recorder {
	t.Helper()
	return Start(Options{Dir: dir, Clock: tick.Clock{},
		OutputTokens: func(string) int { return 10 },
		Origin:       func(string, string) string { return "simulated" }})
}

// only reads the state of the one process.
func only(t *testing.T, dir string) State {
	t.Helper()
	all, err := Read(os.DirFS(dir))
	if err != nil || len(all) != 1 {
		t.Fatalf("states %v, %v", all, err)
	}
	return all[0]
}

// TestOneRun follows a study: what it does, its requests, rate, energy and time left agree with the events.
func TestOneRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := record(t, dir)
		see := func(events ...event.Event) State {
			for _, e := range events {
				r.Observe(e)
			}
			time.Sleep(between)
			synctest.Wait()
			return only(t, dir)
		}
		s := see(event.StudyStarted{Name: "s", Runs: 4, Cycles: 2,
			Made: []event.RunFinished{{ID: "a", Cycle: 1, Status: "ok"}}},
			event.RunStarted{Index: 2, Total: 4, ID: "b", Label: "x=2", Cycle: 1},
			event.PhaseStarted{Phase: event.Baseline, Detail: "3 s"}, event.Power{Device: "gpu0", Watts: 100})
		if s.Name != "s" || s.Planned != 4 || s.Finished != 1 || s.Phase != event.Baseline || s.Detail != "3 s" ||
			s.Run.Label != "x=2" || s.Run.Index != 2 || *s.Devices[0].Watts != 100 ||
			s.Devices[0].Origin != "simulated" ||
			s.Devices[0].WindowJ != nil || s.LeftS != nil || s.Standing() != Running {
			t.Errorf("baseline: %+v", s)
		}
		s = see(event.PhaseStarted{Phase: event.Measure, Detail: "20 requests"})
		if s.Devices[0].Watts != nil || *s.Devices[0].WindowJ != 0 {
			t.Errorf("a device that is not read has power: %+v", s.Devices)
		}
		r.Observe(event.Progress{Phase: event.Measure, Total: 20}) // the window opens
		r.Observe(event.Power{Device: "gpu0", Watts: 200})
		time.Sleep(time.Second)
		s = see(event.Power{Device: "gpu0", Watts: 400}, event.Power{Device: "gpu0", Watts: math.NaN()},
			event.Progress{Phase: event.Warmup, Fraction: 0.9}, // late
			event.Progress{Phase: event.Measure, Fraction: 0.25, Done: 5, Total: 20, Detail: "5 of 20 requests"})
		if s.Run.Done != 5 || s.Run.Requests != 20 || *s.Run.TokensPerS != 50 || s.Fraction != 0.25 ||
			*s.Devices[0].WindowJ != 300 || s.Devices[0].TotalJ != 300 || *s.Devices[0].Watts != 400 {
			t.Errorf("window: %+v %+v", s, s.Devices)
		}
		if n := len(s.Devices[0].History); n < 2 || n > 4 {
			t.Errorf("history of %d values", n)
		}
		s = see(event.PhaseStarted{Phase: event.Finish})
		if *s.Devices[0].WindowJ != 300 || s.Devices[0].Watts != nil {
			t.Errorf("after the window: %+v", s.Devices[0])
		}
		s = see(event.RunFinished{Index: 2, Total: 4, ID: "b", Cycle: 1, Status: "ok"}, event.Note{Message: "hot"})
		if s.Run != nil || s.Finished != 2 || s.Phase != event.Rest || s.LeftS == nil || *s.LeftS < 5 || *s.LeftS > 7 ||
			s.Warning != "hot" {
			t.Errorf("after the run: %+v, left %v", s, s.LeftS)
		}
		s = see(event.RunFinished{Index: 3, Total: 4, ID: "b", Cycle: 2, Status: "failed"},
			event.RunFinished{Index: 4, Total: 4, ID: "a", Cycle: 2, Status: "interrupted"})
		if s.Finished != 3 || s.Failed != 1 {
			t.Errorf("an interrupted run counts as finished: %+v", s)
		}
		r.Close()
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("files are left: %v", left)
		}
	})
}

// TestQuietStudyIsNotWritten writes only what changed, and at most twice a second.
func TestQuietStudyIsNotWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := record(t, dir)
		defer r.Close()
		r.Observe(event.StudyStarted{Runs: 1, Expected: [2]time.Duration{time.Minute, time.Hour}})
		if s := only(t, dir); s.PlanS == nil || *s.PlanS != [2]float64{60, 3600} {
			t.Errorf("the opening is not written at once: %+v", s)
		}
		time.Sleep(between)
		synctest.Wait()
		before := only(t, dir).Written
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := only(t, dir); !s.Written.Equal(before) {
			t.Error("a quiet study is written")
		}
		writes := 0
		for range 100 {
			r.Observe(event.Power{Device: "gpu0", Watts: 1})
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
			if s := only(t, dir); !s.Written.Equal(before) {
				before = s.Written
				writes++
			}
		}
		if writes < 9 || writes > 11 {
			t.Errorf("%d writes in 5 s", writes)
		}
	})
}

// TestStanding: a process runs, is stopped, or is gone, also if another one has its id; of another system nothing is
// known.
func TestStanding(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read, _ := kin.Read(cmd.Process.Pid)
	p := Process{System: kin.System(), PID: cmd.Process.Pid, Start: read.Start}
	check := func(p Process, want Standing) {
		t.Helper()
		var got Standing
		for range 200 { // a signal takes a moment
			if got = p.standing(kin.System()); got == want {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%s, want %s", got, want)
	}
	check(p, Running)
	_ = cmd.Process.Signal(syscall.SIGSTOP)
	check(p, Paused)
	_ = cmd.Process.Signal(syscall.SIGCONT)
	check(p, Running)
	other := p
	other.Start--
	check(other, Died)
	other = p
	other.System = "0"
	check(other, Elsewhere)
	_ = cmd.Process.Kill()
	check(p, Died) // a zombie
	_ = cmd.Wait()
	check(p, Died)
}

// TestLeftovers: the state of a killed process is removed when its study is resumed; a state of another machine is not
// removed if other processes may work on the study.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	dead := Process{System: kin.System(), PID: 1 << 22, Start: 1}
	far := Process{System: "00000000", PID: 7, Start: 1}
	for journal, want := range map[string]int{"journal.jsonl": 0, "journal-w1.jsonl": 1} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, journal), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, p := range []Process{dead, far} {
			text, _ := json.Marshal(State{SchemaVersion: schemaVersion, Process: p})
			if err := os.WriteFile(filepath.Join(dir, p.file()), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "live-notes.state"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		sweep(dir)
		all, err := Read(os.DirFS(dir))
		if err != nil || len(all) != want {
			t.Errorf("%s: %d states, %v", journal, len(all), err)
		}
		if _, err := os.Stat(filepath.Join(dir, "live-notes.state")); err != nil {
			t.Error("a file of the user was removed")
		}
	}
}

// TestDamage reads what may lie in a folder.
func TestDamage(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", `{"schema_version":2}`, `[]`, `"x"`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "live-0.1.state"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if all, err := Read(os.DirFS(dir)); err != nil || len(all) != 0 {
			t.Errorf("%q: %v, %v", text, all, err)
		}
	}
}

// BenchmarkObserve is what the thread of a sensor pays.
func BenchmarkObserve(b *testing.B) {
	r := record(b, b.TempDir())
	defer r.Close()
	for b.Loop() {
		r.Observe(event.Power{Device: "gpu0", Watts: 1})
	}
}

// BenchmarkWrite is what a state of eight GPUs with full histories costs, twice a second at most.
func BenchmarkWrite(b *testing.B) {
	r := record(b, b.TempDir())
	defer r.Close()
	for _, id := range []string{"gpu0", "gpu1", "gpu2", "gpu3", "gpu4", "gpu5", "gpu6", "gpu7"} {
		r.Observe(event.Power{Device: id, Watts: 512.345})
		for range kept {
			r.devices[id].History = append(r.devices[id].History, new(512.345))
		}
	}
	for b.Loop() {
		r.Observe(event.Power{Device: "gpu0", Watts: 1})
		r.write()
	}
}
