package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// sharedStudy takes about ten seconds on one worker.
const sharedStudy = `
name: shared
model: random:tiny-llama
backend: fake
workload: {dataset: synthetic, prompts: 2, input_tokens: 16, output_tokens: 8}
warmup: {runs: 1}
baseline: {seconds: 0, resident_seconds: 0}
fake: {speed: 100}
energy: {min_window: 0.3, max_window: 0}
sweep: {fake.batch_size: [1, 2]}
execution: {cycles: 4}
`

// workerProcess is a worker that runs in a process of its own.
type workerProcess struct {
	*exec.Cmd
	out bytes.Buffer
}

// startWorker starts a worker of the study in a folder.
func startWorker(t *testing.T, root string, args ...string) *workerProcess {
	t.Helper()
	p := &workerProcess{Cmd: exec.CommandContext(t.Context(), "llem", append([]string{"run", "-q"}, args...)...)}
	p.Dir = root
	p.Env = append(os.Environ(), "LLEM_CACHE="+filepath.Join(root, "cache"), "TMPDIR="+root, "XDG_CONFIG_HOME="+root)
	p.Stdout, p.Stderr = &p.out, &p.out
	p.WaitDelay = 10 * time.Second
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

// begun waits until a worker executes a run.
func begun(t *testing.T, root, worker string) {
	t.Helper()
	waitFor(t, "a run of "+worker, func() bool {
		found, _ := filepath.Glob(filepath.Join(root, "out", "runs", "*."+worker+store.Partial))
		return len(found) > 0
	})
}

// TestWorkersKilled: of three workers, one is killed and one is stopped while they measure. The others execute what is
// left, each run once; a process that wants to work alone, and a second one of a name, are refused meanwhile.
func TestWorkersKilled(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it runs a study of some seconds")
	}
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "study.yaml"), []byte(sharedStudy), 0o600); err != nil {
		t.Fatal(err)
	}
	a := startWorker(t, root, "study.yaml", "--worker=a", "-o", "out")
	begun(t, root, "a")
	b := startWorker(t, root, "study.yaml", "--worker=b", "-o", "out")
	begun(t, root, "b")
	for want, args := range map[string][]string{
		"workers are executing the study": {"--resume=out"},
		"a worker named b is executing":   {"study.yaml", "--worker=b", "-o", "out"},
		"differs from the study in":       {"study.yaml", "--worker=c", "-o", "out", "--cycles", "3"},
	} {
		p := startWorker(t, root, args...)
		if err := p.Wait(); err == nil || !strings.Contains(p.out.String(), want) ||
			!strings.Contains(p.out.String(), "next: ") {
			t.Errorf("%v: %v\n%s", args, err, p.out.String())
		}
	}
	if err := b.Process.Signal(syscall.SIGSTOP); err != nil { // it holds its run, for its term
		t.Fatal(err)
	}
	if err := a.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = a.Wait()
	c := startWorker(t, root, "--worker=c", "--resume=out")
	begun(t, root, "c")
	time.Sleep(time.Second)
	if err := b.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*workerProcess{b, c} {
		if err := p.Wait(); err != nil {
			t.Errorf("%v\n%s", err, p.out.String())
		}
	}
	sharedIsWhole(t, filepath.Join(root, "out"), 8)
}

// sharedIsWhole checks that each run of a study was executed once, and that nothing is left of its workers.
func sharedIsWhole(t *testing.T, dir string, planned int) {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil || s.Rebuilt || !s.Complete || s.OK != planned || len(s.Rows) != planned {
		t.Fatalf("%v, %+v", err, s)
	}
	entries, err := store.ReadJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range entries {
		lines = append(lines, fmt.Sprintf("%s-c%d", e.ID, e.Cycle))
	}
	if once := slices.Compact(slices.Sorted(slices.Values(lines))); len(once) != planned || len(lines) > planned {
		t.Errorf("%d lines of %d runs", len(lines), len(once))
	}
	for _, pattern := range []string{store.ClaimsDir + "/*", result.RunsDir + "/*.try*", result.RunsDir + "/*.twice*",
		result.RunsDir + "/*" + store.Partial} {
		if left, _ := filepath.Glob(filepath.Join(dir, pattern)); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}
