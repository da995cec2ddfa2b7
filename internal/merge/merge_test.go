package merge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/claim"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/study"
)

// testStudy has experiments of 1, 2, …, n output tokens.
func testStudy(n, cycles int) *study.Study {
	s := &study.Study{Name: "test", Engines: engines.All(), Execution: study.Execution{Cycles: cycles,
		Order: terms.Balanced, Seed: 1, Restart: terms.RestartNeeded}}
	for i := range n {
		e := study.DefaultExperiment(engines.All()[0])
		e.Model = "random:tiny-llama"
		e.Workload = study.Workload{Dataset: "synthetic", Prompts: 8, InputTokens: 4, OutputTokens: i + 1}
		e.Warmup.Runs, e.Baseline.Seconds, e.Energy.Sources = 0, 0, "none"
		s.Experiments = append(s.Experiments, e)
	}
	return s
}

// testFolder is the folder of a study that is being written.
type testFolder struct {
	t     *testing.T
	study *study.Study
	dir   *store.Dir
}

// newFolderOf makes the folder of a study on a machine.
func newFolderOf(t *testing.T, s *study.Study, machine *host.Snapshot) *testFolder {
	t.Helper()
	d, err := store.Create(folder(t), s.Name, time.Now())
	if err == nil {
		err = errors.Join(d.WriteJSON(store.EnvFile, machine), d.WriteStudy(s))
	}
	if err != nil {
		t.Fatal(err)
	}
	return &testFolder{t, s, d}
}

// folder is a folder in memory where there is one: every run is synced to the disk.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "llem-merge-") //nolint:usetesting // t.TempDir is on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// onNode is the snapshot of one of several equal machines.
func onNode(node string) *host.Snapshot {
	return &host.Snapshot{CollectedAt: "2026-01-02T03:04:05Z", Node: node, Build: host.BuildInfo{Version: "v1"},
		CPU: host.CPU{Model: new("EPYC"), CoresLogical: new(64)}}
}

// put adds a run of an experiment, counted from 0. Its value distinguishes it.
func (f *testFolder) put(d *store.Dir, e, cycle int, value float64, change ...func(*result.Record)) {
	f.t.Helper()
	x := f.study.Experiments[e]
	run, err := d.Begin(x.ID(), cycle)
	if err != nil {
		f.t.Fatal(err)
	}
	rec := &result.Record{SchemaVersion: result.SchemaVersion, ID: x.ID(), Cycle: cycle, Status: result.OK, Config: x,
		Backend:  result.Backend{Name: x.Backend, Version: "1.0"},
		Warnings: note.List{}, Timing: result.Timing{TookS: value, WindowS: value}}
	for _, c := range change {
		c(rec)
	}
	if err := run.Commit(rec, series.All{}); err != nil {
		f.t.Fatal(err)
	}
}

// close finishes the folder and returns its path.
func (f *testFolder) close() string {
	f.t.Helper()
	if err := f.dir.Close(); err != nil {
		f.t.Fatal(err)
	}
	return f.dir.Path()
}

// shards makes a folder for each of n shards, each on a machine of its own.
func shards(t *testing.T, s *study.Study, n int) (dirs []string) {
	t.Helper()
	for i := range n {
		f := newFolderOf(t, s, onNode(fmt.Sprintf("%016x", i+1)))
		part := shard.Shard{Index: i + 1, Of: n}
		if err := f.dir.WriteJSON(shard.File, shard.Record{Shard: part}); err != nil {
			t.Fatal(err)
		}
		for e := range s.Experiments {
			for c := range s.Execution.Cycles {
				if part.Has(s, e, c+1) {
					f.put(f.dir, e, c+1, float64(1+i))
				}
			}
		}
		dirs = append(dirs, f.close())
	}
	return dirs
}

// merged merges folders to a new one.
func merged(t *testing.T, dirs ...string) (*Merged, string) {
	t.Helper()
	target := filepath.Join(t.TempDir(), "all")
	m, err := Merge(t.Context(), Options{Dirs: dirs, Target: target, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return m, target
}

// refused checks that a merge is refused with a text, and that nothing is left of it.
func refused(t *testing.T, text string, dirs ...string) error {
	t.Helper()
	parent := t.TempDir()
	_, err := Merge(t.Context(), Options{Dirs: dirs, Target: filepath.Join(parent, "all"), Now: time.Now()})
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("%v, want %q", err, text)
	}
	if left, _ := os.ReadDir(parent); len(left) > 0 {
		t.Errorf("%s is left", left[0].Name())
	}
	return err
}

// TestShards: the merged study has every run once, the machine of each, and is read like any other.
func TestShards(t *testing.T) {
	t.Parallel()
	s := testStudy(3, 4)
	dirs := shards(t, s, 4)
	m, target := merged(t, dirs...)
	if m.Result.OK != 12 || !m.Result.Complete || m.Result.Dir != target || len(m.Notes) > 0 {
		t.Errorf("%+v, %q", m.Result, m.Notes)
	}
	opened, err := store.Open(target)
	if err != nil || opened.OK != 12 || opened.Rebuilt {
		t.Fatalf("%+v, %v", opened, err)
	}
	workers := map[string]int{}
	for _, r := range opened.Rows {
		workers[nodes.NodeOf(target, r.Worker)]++
	}
	if len(workers) != 4 || workers[""] > 0 {
		t.Errorf("runs by machine: %v", workers)
	}
	d, made, err := store.Reopen(target)
	if err != nil || len(made) != 12 || len(d.Repairs()) > 0 {
		t.Fatalf("%d runs, %v", len(made), err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	m, again := merged(t, target, dirs[0]) // the result of a merge is a folder to merge
	if m.Result.OK != 12 || len(m.Notes) != 1 || !strings.HasPrefix(m.Notes[0], "3 runs found in more than one ") {
		t.Errorf("%+v, %q", m.Result, m.Notes)
	}
	if kept, err := shard.ReadMerged(again); err != nil || kept.Of != 4 {
		t.Errorf("%+v, %v", kept, err)
	}
}

// TestMissing: shards that are missing or unfinished are named.
func TestMissing(t *testing.T) {
	t.Parallel()
	dirs := shards(t, testStudy(3, 4), 4)
	lost, _ := filepath.Glob(filepath.Join(dirs[3], "runs", "*"))
	if err := errors.Join(os.RemoveAll(lost[0]), os.Remove(filepath.Join(dirs[3], store.JournalFile))); err != nil {
		t.Fatal(err)
	}
	m, _ := merged(t, dirs[0], dirs[1], dirs[3])
	doubt, _ := m.Result.Caveats.Find(codes.ShardsMissing)
	if m.Result.Complete || m.Result.Left != 4 || !strings.HasSuffix(doubt.Message,
		": shard 3 of 4 is missing: 3 runs; shard 4 of 4 lacks 1 of its 3 runs") {
		t.Errorf("%+v: %s", m.Result, doubt.Message)
	}
	f := newFolderOf(t, testStudy(3, 4), onNode("1"))
	f.put(f.dir, 0, 1, 1)
	m, _ = merged(t, dirs[1], f.close()) // not a shard
	if doubt, _ = m.Result.Caveats.Find(codes.ShardsMissing); !strings.HasSuffix(doubt.Message,
		": 8 of 12 runs are missing") {
		t.Errorf("%+v: %s", m.Result, doubt.Message)
	}
}

// TestConflicts: a run that was repeated, or finished elsewhere, replaces the earlier try; other differences are
// refused.
func TestConflicts(t *testing.T) {
	t.Parallel()
	s := testStudy(1, 3)
	failed := func(r *result.Record) {
		r.Status, r.Failure = result.Failed, &note.Failure{Class: codes.ClassEngine, Message: "no"}
	}
	interrupted := func(r *result.Record) {
		r.Status, r.Failure = result.Interrupted, &note.Failure{Class: codes.ClassInterrupted, Message: "interrupted"}
	}
	a := newFolderOf(t, s, onNode("1"))
	a.put(a.dir, 0, 1, 1, failed)
	a.put(a.dir, 0, 2, 2, interrupted)
	first := a.close()
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	d, _, err := store.Reopen(copied)
	if err != nil {
		t.Fatal(err)
	}
	b := &testFolder{t, s, d}
	b.put(d, 0, 1, 3) // repeats the failed run
	b.put(d, 0, 3, 3)
	second := b.close()
	c := newFolderOf(t, s, onNode("1"))
	c.put(c.dir, 0, 2, 4)
	third := c.close()
	for _, dirs := range [][]string{{first, second, third}, {third, second, first}, {second, first, third}} {
		m, _ := merged(t, dirs...)
		if m.Result.OK != 3 || !m.Result.Complete {
			t.Errorf("%v: %d runs, notes %q", dirs, m.Result.OK, m.Notes)
		}
	}
	if err := os.CopyFS(filepath.Join(third, "runs", s.Experiments[0].ID()+"-c2.twice-b"),
		os.DirFS(filepath.Join(third, "runs", s.Experiments[0].ID()+"-c2"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(third, "runs", s.Experiments[0].ID()+"-c2.twice-b", store.ManifestFile),
		[]byte("other\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	again, target := merged(t, first, second, third)
	kept, _ := filepath.Glob(filepath.Join(target, "runs", "*.t*"))
	want := []string{s.Experiments[0].ID() + "-c1.try1", s.Experiments[0].ID() + "-c2.twice-b"}
	for i := range kept {
		kept[i] = filepath.Base(kept[i])
	}
	if !slices.Equal(kept, want) || !slices.ContainsFunc(again.Notes, func(n string) bool {
		return strings.HasPrefix(n, "2 results not counted, ")
	}) {
		t.Errorf("kept %v, want %v; notes %q", kept, want, again.Notes)
	}
	if doubt, ok := again.Result.Caveats.Find(codes.RunTwice); !ok ||
		!strings.HasPrefix(doubt.Message, "1 result not counted") {
		t.Errorf("caveats %q", again.Result.Caveats)
	}
	tried, err := result.ReadRecord(filepath.Join(target, "runs", want[0], result.RecordFile))
	if err != nil || tried.Status != result.Failed {
		t.Errorf("the earlier try: %+v, %v, want the failed run", tried, err)
	}
	if _, target = merged(t, target, second, third); err == nil { // copies of one try are kept once
		if kept, _ := filepath.Glob(filepath.Join(target, "runs", "*.t*")); len(kept) != 2 {
			t.Errorf("merged again: kept %v, want 2", kept)
		}
	}
	other := newFolderOf(t, s, onNode("1"))
	other.put(other.dir, 0, 2, 5)
	err = refused(t, "1 run twice with different results", third, other.close())
	if !strings.Contains(err.Error(), third+"/runs/"+s.Experiments[0].ID()+"-c2 and "+other.dir.Path()+"/runs/") {
		t.Error(err)
	}
	refused(t, "1 run twice", first, func() string { // a failed run is a result
		f := newFolderOf(t, s, onNode("1"))
		f.put(f.dir, 0, 1, 6)
		return f.close()
	}())
}

// TestWorkersOfOneName: workers of one name on two machines stay two machines, with a canary each.
func TestWorkersOfOneName(t *testing.T) {
	t.Parallel()
	s := testStudy(2, 2)
	var dirs []string
	for i := range 2 {
		node := fmt.Sprintf("%016x", i+7)
		f := newFolderOf(t, s, onNode(node))
		dirs = append(dirs, f.close())
		w, _, err := store.Join(dirs[i], "a")
		if err == nil {
			err = nodes.Worker{Worker: "a", Node: node, Machine: onNode(node)}.Write(dirs[i])
		}
		if err != nil {
			t.Fatal(err)
		}
		for e := range s.Experiments {
			f.put(w, e, i+1, 1)
		}
		canary, err := w.BeginCanary("a")
		if err == nil {
			err = canary.CommitCanary(&result.Record{SchemaVersion: result.SchemaVersion, ID: s.Experiments[0].ID(),
				Cycle: 1, Status: result.OK, Config: s.Experiments[0], Warnings: note.List{}}, series.All{})
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	m, target := merged(t, dirs...)
	count := map[string]int{}
	for _, r := range m.Result.Rows {
		count[r.Worker+" "+nodes.NodeOf(target, r.Worker)]++
	}
	if count["a 0000000000000007"] != 2 || count["a-2 0000000000000008"] != 2 {
		t.Errorf("runs by worker: %v", count)
	}
	if c := m.Result.Canary; c == nil || len(c.Workers) != 2 || c.Workers[1].Worker != "a-2" ||
		c.Workers[1].Node != "0000000000000008" {
		t.Errorf("canaries %+v", c)
	}
	opened, err := store.Open(target)
	if err != nil || !slices.ContainsFunc(opened.Rows, func(r result.Row) bool { return r.Worker == "a-2" }) {
		t.Errorf("%+v, %v", opened, err)
	}
}

// TestShardCanaries: the canaries of shards that processes executed alone are kept under the names of their machines.
func TestShardCanaries(t *testing.T) {
	t.Parallel()
	s := testStudy(1, 2)
	var dirs []string
	for i := range 2 {
		f := newFolderOf(t, s, onNode(fmt.Sprintf("%d111111111111111", i+1)))
		part := shard.Shard{Index: i + 1, Of: 2}
		if err := f.dir.WriteJSON(shard.File, shard.Record{Shard: part}); err != nil {
			t.Fatal(err)
		}
		canary, err := f.dir.BeginCanary(part.Worker())
		if err == nil {
			err = canary.CommitCanary(&result.Record{SchemaVersion: result.SchemaVersion, ID: s.Experiments[0].ID(),
				Cycle: 1, Status: result.OK, Config: s.Experiments[0], Warnings: note.List{}}, series.All{})
		}
		if err != nil {
			t.Fatal(err)
		}
		f.put(f.dir, 0, i+1, 1)
		dirs = append(dirs, f.close())
	}
	m, _ := merged(t, dirs...)
	c := m.Result.Canary
	if c == nil || len(c.Workers) != 2 || c.Machines != 2 || c.Workers[0].Worker != "n11111111" ||
		c.Workers[1].Worker != "n21111111" {
		t.Errorf("canaries %+v, want one of each machine", c)
	}
}

// TestParts: a study that was resumed on another machine has two machines.
func TestParts(t *testing.T) {
	t.Parallel()
	s := testStudy(1, 4)
	f := newFolderOf(t, s, onNode("1111111111111111"))
	f.put(f.dir, 0, 1, 1)
	second := onNode("2222222222222222")
	second.CollectedAt = time.Now().UTC().Format(time.RFC3339Nano)
	if err := f.dir.WriteJSON(nodes.EnvPart(2), second); err != nil {
		t.Fatal(err)
	}
	f.put(f.dir, 0, 2, 1)
	g := newFolderOf(t, s, onNode(""))
	g.put(g.dir, 0, 3, 1)
	m, _ := merged(t, f.close(), g.close())
	var workers []string
	for _, r := range m.Result.Rows {
		workers = append(workers, r.Worker)
	}
	if got := strings.Join(workers, " "); got != "n11111111 n22222222 " {
		t.Errorf("workers %q", got)
	}
}

// TestOtherMachines: machines and engines that differ are refused, or marked and excluded.
func TestOtherMachines(t *testing.T) {
	t.Parallel()
	s := testStudy(1, 3)
	a := newFolderOf(t, s, onNode("1"))
	a.put(a.dir, 0, 1, 1)
	xeon := onNode("2")
	xeon.CPU.Model = new("Xeon")
	b := newFolderOf(t, s, xeon)
	b.put(b.dir, 0, 2, 1)
	c := newFolderOf(t, s, onNode("3"))
	c.put(c.dir, 0, 3, 1, func(r *result.Record) { r.Backend.Version = "2.0" })
	dirs := []string{a.close(), b.close(), c.close()}
	err := refused(t, "machines that differ", dirs...)
	if text := err.Error(); !strings.Contains(text, dirs[1]+": CPU: Xeon, the first machine has EPYC") ||
		!strings.Contains(text, dirs[2]+": "+s.Experiments[0].Backend+" is version 2.0, the first folder has 1.0") {
		t.Error(text)
	}
	target := filepath.Join(t.TempDir(), "all")
	m, err := Merge(t.Context(), Options{Dirs: dirs, Target: target, AllowMixed: true, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if e := m.Result.Experiments[0]; m.Result.OK != 3 || e.Compared() != 1 || len(e.Excluded) != 1 ||
		e.Excluded[0].Code != codes.MachineMixed {
		t.Errorf("%+v", e)
	}
	if _, err := store.Open(target); err != nil {
		t.Error(err)
	}
	for _, dir := range dirs { // what was marked is still the same run
		m, _ := merged(t, target, dir)
		if len(m.Notes) != 1 || !strings.HasPrefix(m.Notes[0], "1 run found in more than one folder") {
			t.Errorf("%q", m.Notes)
		}
		if dir != dirs[0] {
			continue
		}
		if e := m.Result.Experiments[0]; e.Compared() != 1 {
			t.Errorf("the marks are gone: %+v", e)
		}
	}
	later := onNode("4")
	later.Build.Version = "v2"
	f := newFolderOf(t, s, later)
	refused(t, "with llem v2", dirs[0], f.close())
}

// TestOtherStudy: another study and other prompts are refused.
func TestOtherStudy(t *testing.T) {
	t.Parallel()
	a, b := newFolderOf(t, testStudy(2, 1), onNode("1")), newFolderOf(t, testStudy(3, 1), onNode("1"))
	err := refused(t, "have different studies", a.close(), b.close())
	if _, usage := errors.AsType[*Mistake](err); !usage {
		t.Errorf("%v is not a mistake of usage", err)
	}
	var dirs []string
	for i := range 2 {
		f := newFolderOf(t, testStudy(1, 2), onNode("1"))
		f.put(f.dir, 0, i+1, 1)
		if err := f.dir.WriteJSON("inputs.json", []map[string]string{
			{"kind": "model", "name": "m.gguf", "sha256": fmt.Sprint(i)},
			{"kind": "dataset", "name": "p.jsonl", "sha256": "1"}}); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, f.close())
	}
	m, _ := merged(t, dirs...)
	if len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "make sure that they are copies") {
		t.Errorf("%q", m.Notes)
	}
	d, _, err := store.Reopen(dirs[1])
	if err == nil {
		err = errors.Join(d.WriteJSON("inputs.json", []map[string]string{
			{"kind": "dataset", "name": "p.jsonl", "sha256": "2"}}), d.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "different prompts under one name\n  - p.jsonl", dirs...)
}

// TestLive: a folder in which a process works is refused, whichever kind it is.
func TestLive(t *testing.T) {
	t.Parallel()
	s := testStudy(2, 1)
	a, b := newFolderOf(t, s, onNode("1")), newFolderOf(t, s, onNode("1"))
	a.put(a.dir, 0, 1, 1)
	b.put(b.dir, 1, 1, 1)
	first := a.close()
	refused(t, "a process is executing the study", first, b.dir.Path())
	second := b.close()
	w, err := claim.Join(filepath.Join(second, store.ClaimsDir), claim.Options{Name: "w", Node: "n"})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "workers are executing the study in "+second+": w", first, second)
	if err := w.Leave(); err != nil {
		t.Fatal(err)
	}
	if m, _ := merged(t, first, second); m.Result.OK != 2 {
		t.Errorf("%+v", m.Result)
	}
}

// TestNothingMeasured: folders without a run have nothing to merge.
func TestNothingMeasured(t *testing.T) {
	t.Parallel()
	s := testStudy(1, 1)
	refused(t, "no folder has a run", newFolderOf(t, s, onNode("1")).close(), newFolderOf(t, s, onNode("1")).close())
}

// TestLeftovers: what a killed merge has left is removed by the next one to the same place; a running one is not
// disturbed.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	dirs := shards(t, testStudy(2, 2), 2)
	target := filepath.Join(t.TempDir(), "all")
	killed, err := begin(target)
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.lock.Close(); err != nil { // as the end of a process does
		t.Fatal(err)
	}
	running, err := begin(target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(killed.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", killed.path, err)
	}
	if _, err := Merge(t.Context(), Options{Dirs: dirs, Target: target, Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(running.path); err != nil {
		t.Errorf("the folder of a running merge was removed: %v", err)
	}
	if err := running.finish(dirs[0], target); err == nil { // the other one was faster
		t.Error("a merge replaced a folder")
	}
	if s, err := store.Open(target); err != nil || s.OK != 4 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestCancelled: a merge that is interrupted leaves nothing.
func TestCancelled(t *testing.T) {
	t.Parallel()
	dirs := shards(t, testStudy(2, 2), 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	parent := t.TempDir()
	_, err := Merge(ctx, Options{Dirs: dirs, Target: filepath.Join(parent, "all"), Now: time.Now()})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, _ := os.ReadDir(parent); len(left) > 0 {
		t.Errorf("%s is left", left[0].Name())
	}
}

// TestDiskFull: a disk that is full before or during the merge leaves no folder.
func TestDiskFull(t *testing.T) {
	dirs := shards(t, testStudy(2, 2), 2)
	for _, q := range []struct{ options, want string }{
		{"size=1m", "no room for the merged study"},
		{"size=100m,nr_inodes=12", "no space left"},
	} {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, q.options); err != nil {
			t.Skipf("it needs the right to mount a small tmpfs: %v", err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(dir, unix.MNT_DETACH) })
		_, err := Merge(t.Context(), Options{Dirs: dirs, Target: filepath.Join(dir, "all"), Now: time.Now()})
		if err == nil || !strings.Contains(err.Error(), q.want) {
			t.Errorf("%s: %v", q.options, err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: %s is left", q.options, left[0].Name())
		}
	}
}

// TestDamagedCopies: each damaged file of a folder is named, and no folder is made.
func TestDamagedCopies(t *testing.T) {
	t.Parallel()
	dirs := shards(t, testStudy(1, 2), 2)
	runs, _ := filepath.Glob(filepath.Join(dirs[1], "runs", "*"))
	for _, path := range []string{filepath.Join(runs[0], result.RecordFile), filepath.Join(runs[0], "steps.parquet"),
		filepath.Join(runs[0], store.ManifestFile), filepath.Join(dirs[1], store.StudyFile),
		filepath.Join(dirs[1], store.EnvFile), filepath.Join(dirs[1], shard.File),
		filepath.Join(dirs[1], store.JournalFile)} {
		text, err := disk.ReadFile(path, disk.MaxDocument)
		if err != nil {
			t.Fatal(err)
		}
		changed := slices.Clone(text)
		changed[len(changed)/2] ^= 1
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(dirs[1], path)
		refused(t, dirs[1]+"/"+rel, dirs...)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if m, _ := merged(t, dirs...); m.Result.OK != 2 {
		t.Errorf("%+v", m.Result)
	}
}

// TestLarge: a study of more than 200 runs is read from its journals, which know the machines and the marks.
func TestLarge(t *testing.T) {
	t.Parallel()
	s := testStudy(70, 3)
	dirs := shards(t, s, 3)
	d, _, err := store.Reopen(dirs[2])
	if err != nil {
		t.Fatal(err)
	}
	xeon := onNode("3")
	xeon.CPU.Model = new("Xeon")
	if err := errors.Join(d.WriteJSON(store.EnvFile, xeon), d.Close()); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "all")
	m, err := Merge(t.Context(), Options{Dirs: dirs, Target: target, AllowMixed: true, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if m.Result.OK != 210 || m.Result.Runs != nil {
		t.Errorf("%d ok", m.Result.OK)
	}
	opened, err := store.Open(target)
	if err != nil {
		t.Fatal(err)
	}
	workers, marked := map[string]int{}, 0
	for _, r := range opened.Rows {
		workers[r.Worker]++
		if r.Unequal() == codes.MachineMixed {
			marked++
		}
	}
	if len(workers) != 3 || workers["n3"] != 70 || marked != 70 {
		t.Errorf("workers %v, %d marked", workers, marked)
	}
}
