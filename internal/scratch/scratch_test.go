package scratch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/kin"
)

// leaveEnv turns the test binary into a process that creates temporary files and waits to be killed.
const leaveEnv = "LLEM_TEST_LEAVE"

// TestLeavingProcess is the process that is killed.
func TestLeavingProcess(t *testing.T) {
	if os.Getenv(leaveEnv) == "" {
		t.Skip("a helper of TestSweep: it runs in a process of its own")
	}
	dir, err := Dir("container")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "inside"), nil, 0o600)
	}
	if err == nil {
		var f *os.File
		if f, err = File("engine", ".log"); err == nil {
			fmt.Println(filepath.Base(dir), filepath.Base(f.Name()))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
}

// TestSweep: files of a killed process are removed; files of a living process, of another system or of another
// program are not.
func TestSweep(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLeavingProcess$")
	cmd.Env = append(os.Environ(), leaveEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var dir, log string
	if _, err := fmt.Fscanln(out, &dir, &log); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(dir, "llem-container-") || !strings.HasPrefix(log, "llem-engine-") ||
		!strings.HasSuffix(log, ".log") {
		t.Errorf("names %q and %q", dir, log)
	}
	own, err := Dir("simulation")
	if err != nil {
		t.Fatal(err)
	}
	self, _ := kin.Read(os.Getpid())
	kept := []string{filepath.Base(own), "llem-engine-1234.log", "other-file",
		fmt.Sprintf("llem-engine-00000000.%d.1-x.log", 1<<22+1)}
	gone := []string{fmt.Sprintf("llem-engine-%s.%d.%d-x.log", kin.System(), self.PID, self.Start+1)} // its id, reused
	for _, name := range slices.Concat(kept[1:], gone) {
		if err := os.WriteFile(filepath.Join(tmp, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	there := func() []string {
		entries, err := os.ReadDir(tmp)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	sorted := func(names ...string) []string { slices.Sort(names); return names }
	Sweep()
	if got, want := there(), sorted(append(slices.Clone(kept), dir, log)...); !slices.Equal(got, want) {
		t.Errorf("while it lives: %q, want %q", got, want)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	Sweep()
	if got, want := there(), sorted(slices.Clone(kept)...); !slices.Equal(got, want) {
		t.Errorf("after it was killed: %q, want %q", got, want)
	}
}
