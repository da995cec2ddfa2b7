package measure

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// inBubble makes a run in virtual time and returns what it collected. Its Parquet files are for the test to
// write and read outside of the bubble: the library keeps decoders for the whole process, and a channel
// that was made in one bubble cannot be used outside of it.
func inBubble(t *testing.T, configure func(*lab)) *Outcome {
	t.Helper()
	var out *Outcome
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		configure(l)
		var err error
		if out, err = Run(t.Context(), l.options); err != nil {
			t.Fatal(err)
		}
	})
	return out
}

// onDisk puts a run on disk and returns its folder.
func onDisk(t *testing.T, out *Outcome) string {
	t.Helper()
	dir, err := store.Create(t.TempDir(), "test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	run, err := dir.Begin(out.Record.ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Commit(out.Record, out.Series); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir.Path(), result.RunsDir, out.Record.ID+"-c1")
}

// TestRecomputeFindsMore: the words that say what a number is, the parts of the
// requests, and runs without numbers.
func TestRecomputeFindsMore(t *testing.T) {
	out := inBubble(t, func(l *lab) { l.options.Meters = []power.Meter{l.newMeter(gpu0)} })
	if out.Record.Energy.Phases == nil {
		t.Fatalf("no phases: %s", out.Record.Energy.PhasesReason)
	}
	for want, change := range map[string]func(){
		"energy.provenance":            func() { out.Record.Energy.Provenance = result.Modelled },
		"requests.parquet.1.prefill_j": func() { out.Series.Requests[1].PrefillJ = new(1.0) },
		"requests.parquet.2.decode_j":  func() { out.Series.Requests[2].DecodeJ = nil },
		"energy.net_j.value":           func() { out.Record.Energy.NetJ = &result.Quantity{} },
	} {
		record, requests := *out.Record, slices.Clone(out.Series.Requests)
		change()
		got := join.Recompute(onDisk(t, out))
		if got.Error != "" ||
			!slices.ContainsFunc(got.Differ, func(d join.Difference) bool { return d.Key == want }) {
			t.Errorf("%s was changed: %+v", want, got)
		}
		*out.Record, out.Series.Requests = record, requests
	}

	failed := *out.Record
	failed.Status, failed.Failure = result.Failed, &note.Failure{Class: codes.ClassOOMGPU}
	got := join.Recompute(onDisk(t, &Outcome{Record: &failed}))
	if got.Skipped != "the run has no numbers: it is failed (oom_gpu)" || got.Error != "" || got.Numbers != 0 {
		t.Errorf("a failed run: %+v, want it skipped with the reason", got)
	}
	if got := join.Recompute(t.TempDir()); got.Error == "" || got.Next == "" {
		t.Errorf("an empty folder: %+v, want an error and what to do", got)
	}
}

// TestRecompute: the files give every number again, and a number that was changed
// is found.
func TestRecompute(t *testing.T) {
	out := inBubble(t, func(l *lab) {
		l.options.Experiment.Baseline.Seconds = 0.3
		l.options.Meters = []power.Meter{l.newMeter(gpu0), l.newMeter(cpu0)}
		l.options.Profiles = map[string]*power.Profile{"gpu0": {SwingPct: new(12.0)}}
	})
	dir, rec := onDisk(t, out), out.Record
	if !slices.ContainsFunc(rec.Energy.TotalJ.Budget,
		func(b result.BudgetTerm) bool { return strings.HasPrefix(b.Term, "aliasing") }) {
		t.Errorf("budget %+v: the self-test's swing is not in it", rec.Energy.TotalJ.Budget)
	}
	if rec.Energy.Phases == nil || rec.Energy.NetResidentJ == nil {
		t.Fatalf("the run lacks phases (%s) or a net energy", rec.Energy.PhasesReason)
	}
	got := join.Recompute(dir)
	if got.Error != "" || len(got.Differ) > 0 || got.Numbers < 100 {
		t.Fatalf("recomputed: %+v, want more than 100 equal numbers", got)
	}

	path := filepath.Join(dir, result.RecordFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var tampered result.Record
	if err := json.Unmarshal(text, &tampered); err != nil {
		t.Fatal(err)
	}
	tampered.Energy.TotalJ.Value *= 1.01
	changed, err := json.Marshal(tampered)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, changed, 0o644); err != nil {
		t.Fatal(err)
	}
	got = join.Recompute(dir)
	if !slices.ContainsFunc(got.Differ, func(d join.Difference) bool { return d.Key == "energy.total_j.value" }) ||
		len(got.Differ) != 1 {
		t.Errorf("after a change of total_j: %+v, want just that", got.Differ)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, spoil := range []func(string) error{
		func(p string) error { return os.Truncate(p, 100) },
		os.Remove,
	} {
		if err := spoil(filepath.Join(dir, "power.parquet")); err != nil {
			t.Fatal(err)
		}
		if got := join.Recompute(dir); !strings.Contains(got.Error, "power.parquet") ||
			!strings.Contains(got.Next, "restore") {
			t.Errorf("with a spoilt series: %+v, want an error that names it and what to do", got)
		}
	}
}

// TestRequestsShareTheEnergy: the parts of the requests on disk add up to the
// phases.
func TestRequestsShareTheEnergy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.options.Meters = []power.Meter{l.newMeter(gpu0)}
		out, err := Run(t.Context(), l.options)
		if err != nil {
			t.Fatal(err)
		}
		p := out.Record.Energy.Phases
		if p == nil || p.Prefill.EnergyJ == nil {
			t.Fatalf("no phases: %s", out.Record.Energy.PhasesReason)
		}
		var prefill, decode float64
		for _, q := range out.Series.Requests {
			prefill += *q.PrefillJ
			decode += *q.DecodeJ
		}
		near(t, "prefill", prefill, *p.Prefill.EnergyJ, 1e-9)
		near(t, "decode", decode, *p.Decode.EnergyJ, 1e-9)
	})
}

// TestMinWindow repeats a workload that is too short.
func TestMinWindow(t *testing.T) {
	d := &desk{Options: Options{Meters: []power.Meter{nil}}, record: &result.Record{}}
	w := newWork(d.Experiment, make([]workload.Request, 3))
	if l := d.leastLength(w, 1e9); l.seconds != 0 || l.repeats != 1 {
		t.Errorf("without a wish or a self-test: %+v, want any length and 1 repeat", l)
	}
	d.Profiles = map[string]*power.Profile{"gpu0": {MinWindowS: 2}, "gpu1": {MinWindowS: 3}}
	if l := d.leastLength(w, 1e9); l.seconds != 3 || l.repeats != 2 || len(d.record.Warnings) > 0 {
		t.Errorf("after a self-test: %+v, want 3 s and 2 repeats of 3 batches of 1 s", l)
	}
	if l := d.leastLength(w, 0); l.repeats != 1 || len(d.record.Warnings) == 0 {
		t.Errorf("without a warm-up: %+v and %v, want 1 repeat and a warning", l, d.record.Warnings)
	}
}

// TestBaselineIsRemembered: a second run takes the first one's baseline over after a
// look, and measures again if the machine has changed.
func TestBaselineIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := &Baselines{Path: filepath.Join(t.TempDir(), "deep", "baselines.json")}
		run := func(extra float64) *result.Record {
			l := newLab(t)
			l.options.Baselines = cache
			b := &l.options.Experiment.Baseline
			b.Seconds, b.MaxAgeSeconds = 1.2, 600
			m := l.newMeter(gpu0)
			m.poll = func(s []power.Sample) ([]power.Sample, error) {
				for i := range s {
					s[i].Power += 0
				}
				return s, nil
			}
			if extra > 0 {
				cache.mu.Lock()
				e := cache.entries[gpu0.UUID]
				e.Idle.W += extra
				cache.entries[gpu0.UUID] = e
				cache.mu.Unlock()
			}
			l.options.Meters = []power.Meter{m}
			return l.withEnergy(t)
		}
		first := run(0)
		if d := first.Energy.Devices[0]; d.Bare == nil || d.Bare.AgeS != 0 {
			t.Fatalf("first run: %+v, want a baseline of its own", d.Bare)
		}
		second := run(0)
		if d := second.Energy.Devices[0]; d.Bare == nil || d.Bare.AgeS <= 0 || second.Timing.BaselineEndMonoNS != 0 {
			t.Errorf("second run: %+v, want the first one's baseline", d.Bare)
		}
		if !strings.Contains(second.Energy.NetJ.Method+second.Energy.BaselineW.Method, "earlier and confirmed") {
			t.Errorf("methods %q and %q do not mention the earlier baseline", second.Energy.NetJ.Method,
				second.Energy.BaselineW.Method)
		}
		third := run(30) // the remembered value is wrong now
		if d := third.Energy.Devices[0]; d.Bare == nil || d.Bare.AgeS != 0 || math.Abs(d.Bare.W-idleW) > 0.5 {
			t.Errorf("third run: %+v, want a new baseline of %v W", d.Bare, idleW)
		}

		expired := &Baselines{Path: cache.Path}
		if _, ok := expired.get(gpu0, time.Minute, time.Now().Add(time.Hour)); ok {
			t.Error("a baseline of an hour ago was used within a minute")
		}
		if err := os.WriteFile(cache.Path, []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
		damaged := &Baselines{Path: cache.Path}
		if _, ok := damaged.get(gpu0, time.Hour, time.Now()); ok {
			t.Error("a baseline came out of a damaged file")
		}
	})
}
