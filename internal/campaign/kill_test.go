package campaign

import (
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

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// killEnv makes the test binary a process that continues a study.
const killEnv = "LLEM_TEST_KILLED_STUDY"

// killsEnv is how often the study is killed, and seedEnv when: a seed that a failed test
// printed makes the same moments again.
const (
	killsEnv = "LLEM_TEST_KILLS"
	seedEnv  = "LLEM_TEST_SEED"
)

// killsByDefault make a test of a few seconds.
const killsByDefault = 10

// number is a variable of the environment, or what stands for an empty one.
func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// killedStudy has failures in it, after which nothing is repeated.
func killedStudy(t *testing.T) (*study.Study, *stub) {
	t.Helper()
	return newStudy(t, 5, study.Execution{Cycles: 8, Order: terms.Shuffle, Seed: 3}), &stub{failing: 4}
}

// TestKilledStudyProcess is the process that is killed.
func TestKilledStudyProcess(t *testing.T) {
	root := os.Getenv(killEnv)
	if root == "" {
		t.Skip("a helper of TestKilled: it runs in a process of its own")
	}
	bubble(t, func(t *testing.T) { workOn(t, root) }) // nothing waits: it is killed while it works
}

// workOn starts or resumes the study below a folder.
func workOn(t *testing.T, root string) {
	t.Helper()
	s, e := killedStudy(t)
	e.clock = tick.Virtual()
	o := Options{Study: s, Clock: e.clock, Backends: map[string]backend.Backend{"embedded": e},
		Store:   model.Store{Dir: filepath.Join(root, "cache")},
		Results: filepath.Join(root, "results"), Snapshot: &host.Snapshot{SchemaVersion: 1,
			Unknown: map[string]string{}}}
	log, err := os.OpenFile(filepath.Join(root, "started"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	o.Emit = func(e event.Event) {
		if r, ok := e.(event.RunStarted); ok {
			fmt.Fprintf(log, "%s-c%d\n", r.ID, r.Cycle)
		}
	}
	if dirs, _ := filepath.Glob(filepath.Join(o.Results, "*", store.StudyFile)); len(dirs) > 0 {
		o.Resume = filepath.Dir(dirs[0])
	}
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// TestKilled kills a study at random moments until it has been killed often enough
// and is finished: nothing is lost, a kill costs at most the run that was being made,
// and the summary equals the summary of an undisturbed study.
func TestKilled(t *testing.T) {
	if os.Getenv(killEnv) != "" {
		t.Skip("this is the helper's process")
	}
	t.Parallel()
	want := undisturbed(t)
	kills := int(number(t, killsEnv, killsByDefault))
	seed := number(t, seedEnv, uint64(time.Now().UnixNano()))
	t.Logf("%d kills at the moments of %s=%d", kills, seedEnv, seed)
	rng := rand.New(rand.NewPCG(1, seed))
	killed, studies := 0, 0
	for killed < kills {
		root := t.TempDir()
		killed += killUntilDone(t, root, rng, kills-killed)
		studies++
		dirs, err := filepath.Glob(filepath.Join(root, "results", "*", store.StudyFile))
		if err != nil || len(dirs) != 1 {
			t.Fatalf("studies %v, %v, want one", dirs, err)
		}
		if got := outline(t, filepath.Dir(dirs[0])); got != want {
			t.Fatalf("the summary is\n%s\nwant\n%s", got, want)
		}
	}
	t.Logf("%d kills in %d studies", killed, studies)
}

// undisturbed is the outline of the study that runs in peace.
func undisturbed(t *testing.T) (text string) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		s, e := killedStudy(t)
		res, err := Run(t.Context(), newCampaign(t, e, s).options)
		if err != nil {
			t.Fatal(err)
		}
		text = outline(t, res.Dir)
	})
	return text
}

// outline is what a summary says, times and paths apart.
func outline(t *testing.T, dir string) string {
	t.Helper()
	s, err := result.ReadStudy(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, s.Complete, s.Planned, s.OK, s.Failed, s.Interrupted)
	for _, r := range s.Runs {
		fmt.Fprint(&b, r.ID, " ", r.Cycle, " ", r.Status)
		if r.Failure != nil {
			fmt.Fprint(&b, " ", r.Failure.Class)
		}
		if r.Tokens != nil {
			fmt.Fprint(&b, " ", r.Tokens.Output)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// killUntilDone starts the study again and again, and kills it each time at a random
// moment, until it is finished or was killed most times. It returns the number of
// kills.
func killUntilDone(t *testing.T, root string, rng *rand.Rand, most int) int {
	t.Helper()
	killed := 0
	for before := []string(nil); ; {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledStudyProcess$")
		cmd.Env = append(os.Environ(), killEnv+"="+root)
		out := &strings.Builder{}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Late enough to get somewhere, most of the time.
		timer := time.NewTimer(time.Hour)
		if killed < most {
			timer = time.AfterFunc(time.Duration(20+rng.IntN(280))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		err := cmd.Wait()
		timer.Stop()
		after := journal(t, root)
		if len(after) < len(before) || !slices.Equal(after[:len(before)], before) {
			t.Fatalf("the journal lost lines: %v, was %v", after, before)
		}
		before = after
		if err == nil {
			started, err := os.ReadFile(filepath.Join(root, "started"))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(started), "\n"); n > len(after)+killed {
				t.Fatalf("%d runs were started for %d results and %d kills", n, len(after), killed)
			}
			return killed
		}
		if strings.Contains(out.String(), "FAIL") {
			t.Fatalf("the study failed:\n%s", out)
		}
		killed++
	}
}

// journal are the runs that the journal holds; a torn last line is none.
func journal(t *testing.T, root string) []string {
	t.Helper()
	dirs, _ := filepath.Glob(filepath.Join(root, "results", "*", store.StudyFile))
	if len(dirs) == 0 {
		return nil
	}
	entries, err := store.ReadJournal(filepath.Dir(dirs[0]))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%s-c%d", e.ID, e.Cycle))
	}
	return out
}
