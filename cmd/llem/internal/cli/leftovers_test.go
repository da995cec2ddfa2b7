package cli

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/result"
)

// TestNothingIsLeft: of a llem that is killed in the middle of a run nothing is left in $TMPDIR after the next start,
// and one whose readers are gone ends as after SIGTERM: its summary is there, and nothing is left at all.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	llem, err := exec.LookPath("llem") // testscript.Main put it there
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	tmp := filepath.Join(root, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	start := func(output string, cycles string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), llem, "run", "-b", "fake", "-m", "random:tiny-llama", "-n", "2",
			"--input-tokens", "8", "--output-tokens", "64", "-s", "workload.dataset=synthetic", "-s", "warmup.runs=0",
			"-s", "baseline.seconds=0", "-s", "baseline.resident_seconds=0", "-s", "fake.speed=1", "-s",
			"energy.min_window=1",
			"--cycles", cycles, "-v", "-o", filepath.Join(root, output))
		cmd.Env = append(os.Environ(), "LLEM_CACHE="+sharedCache(t), "TMPDIR="+tmp)
		return cmd
	}
	left := func() []string {
		all, err := filepath.Glob(filepath.Join(tmp, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	killed := start("killed", "9")
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "temporary files and a run", func() bool {
		made, _ := filepath.Glob(filepath.Join(root, "killed", "*", result.RunsDir, "*-c1"))
		return len(left()) > 0 && len(made) > 0
	})
	_ = killed.Process.Kill()
	_ = killed.Wait()
	next := start("next", "1")
	if out, err := next.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	waitFor(t, "an empty $TMPDIR after the next start", func() bool { return len(left()) == 0 })

	// As after `2>&1 | head -n 1`.
	cut := start("cut", "9")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cut.Stdout, cut.Stderr = w, w
	if err := errors.Join(cut.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	r.Close()
	began := time.Now()
	err = cut.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitInterrupted {
		t.Errorf("%v after %v, want exit code %d", err, time.Since(began), exitInterrupted)
	}
	waitFor(t, "an empty $TMPDIR", func() bool { return len(left()) == 0 })
	dirs, _ := filepath.Glob(filepath.Join(root, "cut", "*", result.SummaryFile))
	if len(dirs) != 1 {
		t.Fatalf("summaries %v, want one", dirs)
	}
	if s, err := result.ReadStudy(filepath.Dir(dirs[0])); err != nil || s.Ended != result.EndInterrupted {
		t.Errorf("%v, ended %s", err, s.Ended)
	}
}
