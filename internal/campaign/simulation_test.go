package campaign

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// clusterEnv is the size of the simulation, RUNS WORKERS; memberEnv makes the test binary one of its workers.
const (
	clusterEnv = "LLEM_TEST_CLUSTER"
	memberEnv  = "LLEM_TEST_CLUSTER_WORKER"
)

// clusterStudy has the runs of the simulation.
func clusterStudy(t *testing.T, runs int) *study.Study {
	t.Helper()
	return newStudy(t, 8, study.Execution{Cycles: runs / 8, Order: terms.Shuffle, Seed: 5,
		Restart: terms.RestartNeeded})
}

// TestClusterWorker is a worker of the simulation, whose runs take milliseconds.
func TestClusterWorker(t *testing.T) {
	var name, root string
	var runs int
	if n, _ := fmt.Sscan(os.Getenv(memberEnv), &name, &runs, &root); n != 3 {
		t.Skip("a helper of TestCluster: it runs in a process of its own")
	}
	e := &stub{failing: 99}
	if _, err := Run(t.Context(), Options{Study: clusterStudy(t, runs),
		Backends: map[string]backend.Backend{"embedded": e}, Store: model.Store{Dir: filepath.Join(root, "cache")},
		Snapshot: &host.Snapshot{SchemaVersion: 1, Unknown: map[string]string{}},
		Worker:   &Worker{Dir: filepath.Join(root, "study"), Name: name}}); err != nil {
		t.Fatal(err)
	}
}

// TestCluster executes a study on many workers, of which as many as a tenth of the runs are killed at random moments
// and replaced: every run is there once, the summary equals the summary of one worker, and nothing is left of the
// killed.
func TestCluster(t *testing.T) {
	if os.Getenv(memberEnv) != "" || os.Getenv(killEnv) != "" {
		t.Skip("this is a helper's process")
	}
	runs, workers := 40, 4
	if size := os.Getenv(clusterEnv); size != "" {
		if _, err := fmt.Sscan(size, &runs, &workers); err != nil {
			t.Fatalf("%s: %v", clusterEnv, err)
		}
	}
	seed := number(t, seedEnv, uint64(time.Now().UnixNano()))
	t.Logf("to repeat: %s=%d", seedEnv, seed)
	rng := rand.New(rand.NewPCG(2, seed))
	root := t.TempDir()
	c := &crew{t: t, root: root, runs: runs}
	for range workers {
		c.start()
	}
	killed := 0
	for deadline := time.Now().Add(5 * time.Minute); killed < runs/10 && time.Now().Before(deadline); {
		time.Sleep(time.Duration(1+rng.IntN(60)) * time.Millisecond)
		if c.kill(rng) {
			killed++
			c.start()
		}
		if s, err := result.ReadHead(filepath.Join(root, "study")); err == nil && s.Complete {
			break
		}
	}
	c.wait()
	if killed < runs/20 {
		t.Errorf("only %d workers were killed", killed)
	}
	s, err := store.Open(filepath.Join(root, "study"))
	if err != nil {
		t.Fatal(err)
	}
	got := rowsOf(s.Rows)
	if want := rowsOf(byOneWorker(t, runs)); got != want || !s.Complete || len(s.Rows) != runs {
		t.Errorf("complete %v, %d rows of %d; the summary is\n%.600s\nwant\n%.600s", s.Complete, len(s.Rows), runs,
			got, want)
	}
	// What a worker leaves that is killed after the others have finished is removed by the next one.
	c.start()
	c.wait()
	for _, pattern := range []string{store.ClaimsDir + "/*", "runs/*" + store.Partial, "runs/*.try*", "runs/*.twice*"} {
		if left, _ := filepath.Glob(filepath.Join(root, "study", pattern)); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	t.Logf("%d runs, %d workers, %d killed", runs, workers, killed)
}

// rowsOf is what the rows of a study have in common, whoever executed them.
func rowsOf(rows []result.Row) string {
	var lines []string
	for _, r := range rows {
		lines = append(lines, fmt.Sprintln(r.ID, r.Cycle, r.Status, r.WorkloadHash, r.OutputHash))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// byOneWorker are the rows of the study on one worker that is left in peace.
func byOneWorker(t *testing.T, runs int) (rows []result.Row) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		m := newTeam(t, clusterStudy(t, runs))
		r, err := Run(t.Context(), m.worker("only"))
		if err != nil {
			t.Fatal(err)
		}
		rows = r.Rows
	})
	return rows
}

// crew are the processes of a simulation.
type crew struct {
	t     *testing.T
	root  string
	runs  int
	names int
	all   []*exec.Cmd
	ended sync.WaitGroup
	mu    sync.Mutex
	dead  map[*exec.Cmd]bool
}

// start starts one more worker, with a new name.
func (c *crew) start() {
	c.names++
	cmd := exec.CommandContext(c.t.Context(), os.Args[0], "-test.run=^TestClusterWorker$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=w%d %d %s", memberEnv, c.names, c.runs, c.root), "GOMAXPROCS=1")
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.all = append(c.all, cmd)
	c.ended.Go(func() {
		err := cmd.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.dead == nil {
			c.dead = map[*exec.Cmd]bool{}
		}
		if err != nil && !c.dead[cmd] {
			c.t.Errorf("a worker failed: %v\n%s", err, out)
		}
		c.dead[cmd] = true
	})
}

// kill kills a worker, unless it has ended.
func (c *crew) kill(rng *rand.Rand) bool {
	cmd := c.all[rng.IntN(len(c.all))]
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead[cmd] {
		return false
	}
	if c.dead == nil {
		c.dead = map[*exec.Cmd]bool{}
	}
	c.dead[cmd] = true
	return cmd.Process.Kill() == nil
}

func (c *crew) wait() { c.ended.Wait() }
