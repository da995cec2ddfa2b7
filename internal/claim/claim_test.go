package claim

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// on joins a worker on a machine of its own.
func on(t *testing.T, f folder, name string) *Worker {
	t.Helper()
	w, err := join(f, Options{Name: name}, process{Machine: name, PID: 1, Start: 1})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func mustTake(t *testing.T, w *Worker, key string) *Claim {
	t.Helper()
	c, err := w.Take(key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func held(err error) bool { _, ok := errors.AsType[*HeldError](err); return ok }

// pause ends the renewals of a worker, as SIGSTOP does, without its knowledge.
func (w *Worker) pause() { close(w.stop); w.stopped.Wait() }

func (w *Worker) resume() { w.stop = make(chan struct{}); w.stopped.Go(w.renew) }

// TestTake: one of two workers gets a key, and the other one after its release.
func TestTake(t *testing.T) {
	dir := t.TempDir()
	a, err := Join(dir, Options{Name: "a", Node: "n"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Join(dir, Options{Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Join(dir, Options{Name: "a"}); !held(err) || !strings.Contains(err.Error(), "a") {
		t.Errorf("a second worker of a name: %v", err)
	}
	if _, err := Join(dir, Options{Name: "../a"}); err == nil {
		t.Error("a name that is a path was accepted")
	}
	c := mustTake(t, a, "k-c1")
	if _, err := b.Take("k-c1"); !held(err) {
		t.Errorf("the key is held: %v", err)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	who, err := Members(dir)
	if err != nil || len(who) != 2 {
		t.Errorf("members %v, %v, want two", who, err)
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	mustTake(t, b, "k-c1")
	for _, w := range []*Worker{a, b} {
		if err := w.Leave(); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left in the folder: %v", left)
	}
}

// TestNetworkFolder: attributes and listings are a minute old, and the server's clock is five minutes off. A worker
// that works is never expired, one that is gone is, and one that was paused finds its claim gone.
func TestNetworkFolder(t *testing.T) {
	for _, skew := range []time.Duration{-5 * time.Minute, 0, 5 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(skew)
				a, b := on(t, s.client(time.Minute), "a"), on(t, s.client(time.Minute), "b")
				c := mustTake(t, a, "k")
				for range 100 {
					if _, err := b.Take("k"); !held(err) {
						t.Fatalf("taken from a worker that renews it: %v", err)
					}
					time.Sleep(13 * time.Second)
				}
				a.pause()
				start := time.Now()
				var d *Claim
				for err := error(&HeldError{}); err != nil; d, err = b.Take("k") {
					if !held(err) || time.Since(start) > 10*time.Minute {
						t.Fatalf("after %v: %v", time.Since(start), err)
					}
					time.Sleep(5 * time.Second)
				}
				if took := time.Since(start); took < DefaultTerm-DefaultBeat ||
					took > DefaultTerm+time.Minute+10*time.Second {
					t.Errorf("the claim expired after %v", took)
				}
				time.Sleep(time.Hour)
				a.resume()
				if err := c.Check(); !errors.Is(err, ErrLost) {
					t.Errorf("the paused worker: %v", err)
				}
				<-c.Lost()
				if err := c.Release(); err != nil {
					t.Error(err)
				}
				if err := d.Check(); err != nil {
					t.Errorf("the release of a lost claim harmed the new one: %v", err)
				}
				a.Leave()
				b.Leave()
				if len(s.files)+len(s.dirs) != 1 {
					t.Errorf("left: %v %v", s.files, s.dirs)
				}
			})
		})
	}
}

// TestTakeover: of many workers that see a claim expire, one gets it.
func TestTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(0)
		dead := on(t, s.client(0), "dead")
		mustTake(t, dead, "k")
		dead.pause()
		var mu sync.Mutex
		var winners []*Claim
		var all sync.WaitGroup
		var workers []*Worker
		for i := range 20 {
			w := on(t, s.client(30*time.Second), fmt.Sprint("w", i))
			workers = append(workers, w)
			all.Go(func() {
				for range 40 {
					if c, err := w.Take("k"); err == nil {
						mu.Lock()
						winners = append(winners, c)
						mu.Unlock()
						return
					} else if !held(err) {
						t.Error(err)
					}
					time.Sleep(10 * time.Second)
				}
			})
		}
		all.Wait()
		if len(winners) != 1 || winners[0].Check() != nil {
			t.Errorf("%d winners", len(winners))
		}
		for _, w := range workers {
			w.Leave()
		}
	})
}

// TestSameName: the name of an expired worker is taken over, and the earlier worker finds that it is replaced.
func TestSameName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(time.Minute)
		a := on(t, s.client(0), "a")
		c := mustTake(t, a, "k")
		a.pause()
		time.Sleep(DefaultTerm + time.Second)
		again := on(t, s.client(0), "a")
		a.resume()
		if err := c.Check(); !errors.Is(err, ErrLost) {
			t.Errorf("the replaced worker: %v", err)
		}
		mustTake(t, again, "k") // of its dead predecessor, at once
		a.Leave()
		if who, err := again.Members(); err != nil || len(who) != 1 {
			t.Errorf("members %v, %v", who, err)
		}
		again.Leave()
	})
}

// TestLostReply: the server made the link, and its reply was lost: the client's second try finds its own file.
func TestLostReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(0)
		a := on(t, s.client(0), "a")
		defer a.Leave()
		s.lost = true
		c := mustTake(t, a, "k")
		if c.number != 1 || c.Check() != nil {
			t.Errorf("claim %d", c.number)
		}
	})
}

// TestSweepsJoiners: what a worker left that was killed while it joined is removed at once if its process has ended,
// and not while it may go on.
func TestSweepsJoiners(t *testing.T) {
	dir := t.TempDir()
	w, err := Join(dir, Options{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	alive := w.own
	ended := alive
	ended.Process.PID, ended.Process.Start = 1<<30, 1
	for _, name := range []string{alive.joining(), ended.joining()} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Sweep(); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, joinPrefix+"*"))
	if len(left) != 1 || filepath.Base(left[0]) != alive.joining() {
		t.Errorf("left: %q", left)
	}
	if err := w.Leave(); err != nil {
		t.Error(err)
	}
}

// TestSweep removes what the dead left, and nothing of the living.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(0)
		a, b, dead := on(t, s.client(0), "a"), on(t, s.client(0), "b"), on(t, s.client(0), "dead")
		mustTake(t, dead, "k1")
		c := mustTake(t, b, "k2")
		dead.pause()
		_ = a.folder.mkdir("empty")
		_ = a.folder.create(".new-x", nil)
		time.Sleep(DefaultTerm + time.Second)
		if err := a.Sweep(); err != nil {
			t.Fatal(err)
		}
		names, _ := a.folder.list(".")
		slices.Sort(names)
		if got := strings.Join(names, " "); got != "@a @b k2" {
			t.Errorf("left: %s", got)
		}
		if err := c.Check(); err != nil {
			t.Error(err)
		}
		a.Leave()
		b.Leave()
	})
}

// TestEndedProcess: a worker of this machine that was killed holds nothing, at once.
func TestEndedProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := helper(t, dir, "dead")
	cmd.Env = append(cmd.Env, "LLEM_TEST_CLAIM_KEYS=1", "LLEM_TEST_CLAIM_WAIT=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = out.Read(make([]byte, 1)) // it has its claim
	w, err := Join(dir, Options{Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Leave()
	if _, err := w.Take("k0"); !held(err) {
		t.Errorf("taken from a live process: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	mustTake(t, w, "k0")
}

// helper is a process that takes claims.
func helper(t *testing.T, dir, name string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelper$")
	cmd.Env = append(os.Environ(), "LLEM_TEST_CLAIMS="+dir, "LLEM_TEST_CLAIM_NAME="+name)
	return cmd
}

// TestHelper is such a process: it writes the keys that it got to a file of its own.
func TestHelper(t *testing.T) {
	dir := os.Getenv("LLEM_TEST_CLAIMS")
	if dir == "" {
		t.Skip("a helper of other tests: it runs in a process of its own")
	}
	name := os.Getenv("LLEM_TEST_CLAIM_NAME")
	w, err := Join(dir, Options{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := strconv.Atoi(os.Getenv("LLEM_TEST_CLAIM_KEYS"))
	log, err := os.Create(filepath.Join(filepath.Dir(dir), name))
	if err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		if _, err := w.Take(fmt.Sprint("k", i)); err == nil {
			fmt.Fprintln(log, i)
		} else if !held(err) {
			t.Fatal(err)
		}
	}
	fmt.Println("taken")
	if os.Getenv("LLEM_TEST_CLAIM_WAIT") != "" {
		time.Sleep(time.Minute)
	}
	// It ends without releasing anything: its test counts what each process got, while all are there.
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// TestProcesses: many processes take the same keys; each key goes to one of them.
func TestProcesses(t *testing.T) {
	const processes, keys = 8, 200
	root := t.TempDir()
	dir := filepath.Join(root, "claims")
	var ends []func()
	for i := range processes {
		cmd := helper(t, dir, fmt.Sprint("p", i))
		cmd.Env = append(cmd.Env, fmt.Sprint("LLEM_TEST_CLAIM_KEYS=", keys))
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, func() { in.Close(); _ = cmd.Wait() })
		defer func() { _ = cmd.Process.Kill() }()
		ends = append(ends, func() { _, _ = out.Read(make([]byte, 1)) })
	}
	for i := 1; i < len(ends); i += 2 {
		ends[i]() // all have taken what they get
	}
	seen := map[string]string{}
	for i := range processes {
		name := fmt.Sprint("p", i)
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for key := range strings.FieldsSeq(string(text)) {
			if other, twice := seen[key]; twice {
				t.Errorf("%s went to %s and %s", key, other, name)
			}
			seen[key] = name
		}
	}
	if len(seen) != keys {
		t.Errorf("%d of %d keys were taken", len(seen), keys)
	}
	for i := 0; i < len(ends); i += 2 {
		ends[i]()
	}
}

// BenchmarkTake claims and keeps the runs of a study of 10,000 in one folder.
func BenchmarkTake(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w, err := Join(b.TempDir(), Options{Name: "w"})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		start := time.Now()
		for i := range 10_000 {
			if _, err := w.Take(fmt.Sprint("0123456789ab-c", i)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(time.Since(start).Microseconds())/10_000, "µs/claim")
		b.StopTimer()
		if err := w.Leave(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
