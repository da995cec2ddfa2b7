package cli

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// killsEnv asks for more kills than the ordinary tests have time for.
const killsEnv = "LLEM_TEST_KILLS"

// killedStudy has a worker process, a power series and energy in every run.
const killedStudy = `
name: killed
model: random:tiny-llama
backend: fake
workload: {dataset: synthetic, prompts: 2, input_tokens: 16, output_tokens: 8}
warmup: {runs: 1}
baseline: {seconds: 0, resident_seconds: 0}
fake: {speed: 100}
energy: {min_window: 0.3, max_window: 0}
sweep: {fake.batch_size: [1, 2]}
execution: {cycles: 3, order: shuffle}
`

// TestKilledProgram kills the program, engine and sensors included, at random moments
// of a study on the simulated GPU, until it has been killed often enough, and then lets it
// finish. Nothing is lost, no finished run is repeated, no worker survives, and
// the summary equals the summary of an undisturbed study.
func TestKilledProgram(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it kills a program again and again")
	}
	kills := 8
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		kills = n
	}
	seed := seed(t)
	const studies = 4 // beside each other, as waiting is most of it
	undisturbed := newKilled(t)
	if err := undisturbed.run(0); err != nil {
		t.Fatalf("the study failed without being killed: %v\n%s", err, undisturbed.out.String())
	}
	want := undisturbed.outline()
	for i := range studies {
		t.Run(fmt.Sprint("study ", i), func(t *testing.T) {
			t.Parallel()
			k := newKilled(t)
			k.killUntil((kills+i)/studies, rand.New(rand.NewPCG(seed, uint64(i))))
			if got := k.outline(); got != want {
				t.Errorf("the summary is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// seedEnv gives a random test the seed of a run that failed.
const seedEnv = "LLEM_TEST_SEED"

// seed is the seed of a random test, which prints it when it fails.
func seed(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(os.Getenv(seedEnv), 10, 64)
	if err != nil {
		n = uint64(time.Now().UnixNano())
	}
	t.Logf("to repeat: %s=%d", seedEnv, n)
	return n
}

// killed is a study in a folder of its own.
type killed struct {
	t    *testing.T
	root string
	out  bytes.Buffer
}

func newKilled(t *testing.T) *killed {
	t.Helper()
	k := &killed{t: t, root: t.TempDir()}
	if err := os.WriteFile(filepath.Join(k.root, "study.yaml"), []byte(killedStudy), 0o600); err != nil {
		t.Fatal(err)
	}
	return k
}

// run starts or resumes the study and kills it after a time; 0 lets it finish.
func (k *killed) run(after time.Duration) error {
	k.t.Helper()
	args := []string{"run", "study.yaml", "-q", "-o", "results"}
	if k.folder() != "" {
		args = append(args, "--resume")
	}
	cmd := exec.CommandContext(k.t.Context(), "llem", args...) // testscript.Main put it there
	cmd.Dir = k.root
	cmd.Env = append(os.Environ(), "LLEM_CACHE="+filepath.Join(k.root, "cache"), "TMPDIR="+k.root,
		"XDG_CONFIG_HOME="+k.root)
	k.out.Reset()
	cmd.Stdout, cmd.Stderr = &k.out, &k.out
	// The pipe must not be waited for longer than the program: a worker may hold it.
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	if after > 0 {
		timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
	}
	err := cmd.Wait()
	waitFor(k.t, "the workers to be gone", func() bool { return len(k.workers()) == 0 })
	return err
}

// workers are the processes that were started for this study.
func (k *killed) workers() []string {
	var out []string
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte("LLEM_CACHE="+k.root+"/cache\x00")) {
			out = append(out, filepath.Base(filepath.Dir(path)))
		}
	}
	return out
}

// killUntil kills the program n times, at moments by rng, and lets it finish.
func (k *killed) killUntil(n int, rng *rand.Rand) {
	k.t.Helper()
	killed := 0
	for before := []string(nil); ; {
		var after time.Duration
		if killed < n {
			after = time.Duration(20+rng.IntN(1200)) * time.Millisecond
		}
		err := k.run(after)
		now := k.journal()
		if len(now) < len(before) || !slices.Equal(now[:len(before)], before) {
			k.t.Fatalf("the journal lost lines: %v, was %v", now, before)
		}
		before = now
		if err != nil && !strings.Contains(err.Error(), "killed") {
			k.t.Fatalf("the study failed: %v\n%s", err, k.out.String())
		}
		if err != nil {
			killed++
		}
		head, headErr := result.ReadHead(k.folder())
		switch done := headErr == nil && head.Complete; {
		case err == nil && !done:
			k.t.Fatalf("llem ended and the study is not complete: %+v, %v", head, headErr)
		case done && killed >= n:
			return
		case done:
			// The rest of the kills are for a new study.
			k.finished()
			if err := os.RemoveAll(filepath.Join(k.root, "results")); err != nil {
				k.t.Fatal(err)
			}
			before = nil
		}
	}
}

// folder returns the folder of the study; empty if there is none yet.
func (k *killed) folder() string {
	dirs, err := filepath.Glob(filepath.Join(k.root, "results", "*", store.StudyFile))
	if err != nil || len(dirs) > 1 {
		k.t.Fatalf("studies %v, %v, want one", dirs, err)
	}
	if len(dirs) == 0 {
		return ""
	}
	return filepath.Dir(dirs[0])
}

// journal are the runs that the journal holds.
func (k *killed) journal() []string {
	k.t.Helper()
	dir := k.folder()
	if dir == "" {
		return nil
	}
	entries, err := store.ReadJournal(dir)
	if err != nil {
		k.t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%s-c%d %s", e.ID, e.Cycle, e.Status))
	}
	return out
}

// finished checks that the journal lists every run once and that every run ran once: an
// earlier try of a run would have been set aside.
func (k *killed) finished() {
	k.t.Helper()
	lines := k.journal()
	if once := slices.Compact(slices.Sorted(slices.Values(lines))); len(once) != len(lines) {
		k.t.Errorf("runs were repeated: %v", lines)
	}
	for _, pattern := range []string{"*.try*", "*" + store.Partial} {
		if left, _ := filepath.Glob(filepath.Join(k.folder(), result.RunsDir, pattern)); len(left) > 0 {
			k.t.Errorf("left behind: %v", left)
		}
	}
}

// outline is what the summary says, times, paths and what is measured apart.
func (k *killed) outline() string {
	k.t.Helper()
	k.finished()
	s, err := result.ReadStudy(k.folder())
	if err != nil {
		k.t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, s.Complete, s.Ended, s.Planned, s.Left, s.OK, s.Failed, s.Interrupted)
	for i, r := range s.Runs {
		fmt.Fprintln(&b, r.ID, r.Cycle, r.Status, r.Tokens.Output/int64(r.Window.Repeats), r.WorkloadHash,
			len(r.Energy.Devices), r.Files["power"])
		if row := store.RowOf(r); !row.Values.Equal(s.Rows[i].Values) {
			fmt.Fprintln(&b, "its row is of another run")
		}
	}
	for _, e := range s.Experiments {
		fmt.Fprint(&b, e.ID, " ", e.OK, " ", e.Failed)
		for _, m := range result.Metrics() {
			if v, ok := e.Metrics.Get(m.Name); ok && !perJoule(m.Name) && !tail(m.Name) {
				fmt.Fprint(&b, " ", m.Name, " ", v.N)
			}
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// tail reports whether a metric is a percentile that takes many requests: how often the workload is repeated in
// the window, and so how many there are, is a matter of time.
func tail(metric string) bool {
	return strings.HasSuffix(metric, ".p90") || strings.HasSuffix(metric, ".p95") || strings.HasSuffix(metric, ".p99")
}

// perJoule reports whether a metric needs energy, or the state of the machine around it. In windows as short as
// these noise decides whether there is any.
func perJoule(metric string) bool {
	return strings.HasPrefix(metric, "energy.") || strings.HasPrefix(metric, "harness.") ||
		strings.HasSuffix(metric, "_per_j")
}
