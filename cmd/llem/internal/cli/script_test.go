package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/cmd/llem/internal/loads/loadstest"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/servertest"
	"github.com/llenergymeasure/llem/internal/share/sharetest"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts and tests start this binary as llem, engine included.
func TestMain(m *testing.M) {
	testscript.Main(tidy{m}, map[string]func(){
		"llama-server": func() {
			servertest.Main(map[string]servertest.Dialect{"llamacpp": servertest.LlamaCpp{}})
			os.Exit(2)
		},
		"llem": func() {
			llem.WorkerMain()
			os.Exit(Main(ProcessEnv()))
		},
	})
}

// tidy removes what all tests share when they have run.
type tidy struct{ m *testing.M }

func (t tidy) Run() int {
	defer func() { _ = os.RemoveAll(cacheFolder()) }()
	return t.m.Run()
}

// TestScripts runs testdata/script/*.txtar: what a user types and sees.
func TestScripts(t *testing.T) {
	t.Parallel()
	cache := t.TempDir() // models are generated once for all scripts
	dir, files := "testdata/script", []string(nil)
	if testing.Short() { // scripts that measure: runs, containers, resumed studies
		for _, name := range []string{"container", "fake", "resume"} {
			files = append(files, filepath.Join(dir, name+".txtar"))
		}
		dir = ""
	}
	testscript.Run(t, testscript.Params{
		Dir: dir, Files: files,
		Condition: func(name string) (bool, error) {
			if name != "embedded" { // the engine of that name is in this build
				return false, fmt.Errorf("there is no condition %q", name)
			}
			return engineBuilt(), nil
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("LLEM_CACHE", cache)
			e.Setenv("HOME", e.WorkDir)
			kept, err := filepath.Abs(stored)
			if err != nil {
				return err
			}
			e.Setenv("STORED", kept)
			e.Setenv("HF_HUB_OFFLINE", "1")
			e.Setenv("HF_HUB_CACHE", e.WorkDir+"/hub")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "head": head, "forget": forget,
			"folder": folder, "wall": wall, "visit": visit, "hub": startHub,
			"loads": makeLoads},
	})
}

// loads FOLDER CYCLES makes the study of package loadstest and puts its folder into the variable DIR.
func makeLoads(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: loads FOLDER CYCLES")
	}
	cycles, err := strconv.Atoi(args[1])
	ts.Check(err)
	dir, err := loadstest.Folder(ts.MkAbs(args[0]), cycles)
	ts.Check(err)
	ts.Setenv("DIR", dir)
}

// exits CODE COMMAND… runs a command and checks its exit code; its output is then
// there for stdout and stderr.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// head N FROM TO copies the first N bytes of a file.
func head(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	b, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), b[:min(n, len(b))], 0o644))
}

// wall NAME serves the page of a wall meter, and puts what energy.remote takes for it into the variable NAME. Its power
// goes up and down by a watt around 300 W, so that nobody takes it for frozen.
func wall(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: wall NAME")
	}
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "outlet_watts %d\n", 299+2*(asked.Add(1)%2))
	}))
	ts.Defer(s.Close)
	ts.Setenv(args[0], "wall="+s.URL+"#outlet_watts:W")
}

// hub starts a hub of data sets, and points llem at it as its owner.
func startHub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: hub")
	}
	h := sharetest.New()
	ts.Defer(h.Close)
	ts.Setenv("HF_ENDPOINT", h.URL)
	ts.Setenv("HF_TOKEN", sharetest.Token)
	ts.Setenv("HF_HUB_OFFLINE", "")
}

// visit FILE PATH TEXT fetches a path of the server whose address llem writes to a file, and checks that the answer has
// a text.
func visit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: visit FILE PATH TEXT")
	}
	var address string
	for end := time.Now().Add(20 * time.Second); !strings.HasSuffix(address, "/\n"); time.Sleep(20 * time.Millisecond) {
		text, _ := os.ReadFile(ts.MkAbs(args[0]))
		if address = string(text); time.Now().After(end) {
			ts.Fatalf("no address in %s: %q", args[0], address)
		}
	}
	resp, err := http.Get(strings.TrimSuffix(address, "/\n") + args[1])
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(text), args[2]) {
		ts.Fatalf("%s: %s, without %q:\n%s", args[1], resp.Status, args[2], text)
	}
}

func engineBuilt() bool {
	_, err := machine.Backends(nil, "")["embedded"].Probe(context.Background())
	return err == nil
}

// forget DIR makes the studies below a folder look as if their process was killed
// before its last run: no summary, and no last line in the journal.
func forget(ts *testscript.TestScript, _ bool, args []string) {
	journals, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*", "journal.jsonl"))
	ts.Check(err)
	for _, j := range journals {
		text, err := os.ReadFile(j)
		ts.Check(err)
		lines := strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
		var last struct{ Run string }
		ts.Check(json.Unmarshal([]byte(lines[len(lines)-1]), &last))
		ts.Check(os.WriteFile(j, []byte(strings.Join(lines[:len(lines)-1], "")), 0o644))
		ts.Check(os.RemoveAll(filepath.Join(filepath.Dir(j), last.Run)))
		ts.Check(os.RemoveAll(filepath.Join(filepath.Dir(j), "summary.json")))
	}
}

// folder DIR NAME sets a variable to the one study below DIR, and ID1, ID2, … to its
// experiments.
func folder(ts *testscript.TestScript, _ bool, args []string) {
	found, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*", "summary.json"))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%d studies below %s", len(found), args[0])
	}
	ts.Setenv(args[1], filepath.Dir(found[0]))
	text, err := os.ReadFile(found[0])
	ts.Check(err)
	var s struct{ Experiments []struct{ ID string } }
	ts.Check(json.Unmarshal(text, &s))
	for i, e := range s.Experiments {
		ts.Setenv("ID"+strconv.Itoa(i+1), e.ID)
	}
}
