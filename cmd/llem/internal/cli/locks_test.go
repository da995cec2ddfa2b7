package cli

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/sim"
)

// TestOneGPUTwoRuns: of two programs on one GPU the second is refused at once and told
// who has it, whatever its TMPDIR is; afterwards the GPU is free.
func TestOneGPUTwoRuns(t *testing.T) {
	t.Parallel()
	first := measured(t, sim.DefaultSensors())
	waitFor(t, "the first engine to run", func() bool { return first.file.Runs() > 0 })
	path, err := exec.LookPath("llem")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run", "-b", "fake", "-m", "random:tiny-llama", "-o", t.TempDir()},
		{"doctor", "--quick"}} {
		cmd := first.llem(path, imitatedNVML(t), t.TempDir())
		cmd.Args = append(cmd.Args[:1], args...)
		cmd.Env = append(cmd.Env, "TMPDIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != exitFailed {
			t.Errorf("%s ended with %v, want exit code %d:\n%s", args[0], err, exitFailed, out)
		}
		for _, want := range []string{fmt.Sprintf("gpu0 is in use by another llem process (process %d ",
			first.cmd.Process.Pid), "next: wait"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s does not say %q:\n%s", args[0], want, out)
			}
		}
	}
	if o, _ := first.finish(t); o.Status != "ok" || strings.Contains(o.doubts(), "gpu_shared") {
		t.Errorf("the first run: %+v", o)
	}
	again := first.llem(path, imitatedNVML(t), sharedCache(t), "-n", "8")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("after the first run: %v\n%s", err, out)
	}
}
