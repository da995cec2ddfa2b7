package cli

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/result"
)

// stored is where results of an earlier version lie; see its README.md.
const stored = "../../../../testdata/stored"

// llemMain runs the program in this process.
func llemMain(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = Main(Env{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Getenv: func(string) string { return "" }})
	return code, out.String(), errs.String()
}

// copyStored copies a stored study, for reading may complete it.
func copyStored(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(stored, name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fewValues are the high percentiles of latency, which the earlier version told of four values, and
// highPercentile is one that is told still.
var (
	fewValues      = regexp.MustCompile(`latency\.\w+\.p9[059]`)
	highPercentile = regexp.MustCompile(`latency\.(ttft|tpot|e2e|queue)_ms\.p9[059](\.mean|\.value)?$`)
)

// TestStoredResults: results of an earlier version keep their ids and numbers, whole
// and with their summary made again, and every number follows from the raw files.
func TestStoredResults(t *testing.T) {
	for _, name := range []string{"simulated", "ends"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyStored(t, name)
			want := readJSON(t, filepath.Join(dir, result.SummaryFile))
			records := checkRecords(t, dir)
			if len(records) == 0 {
				t.Fatal("no runs are stored")
			}
			for _, whole := range []bool{true, false} {
				if !whole {
					if err := os.Remove(filepath.Join(dir, result.SummaryFile)); err != nil {
						t.Fatal(err)
					}
				}
				got, out, errs := llemMain(t, "report", "--json", dir)
				if got != exitOK {
					t.Fatalf("report --json: exit code %d\n%s", got, errs)
				}
				var now any
				if err := json.Unmarshal([]byte(out), &now); err != nil {
					t.Fatal(err)
				}
				has := numbers(now)
				for path, was := range numbers(want) {
					if fewValues.MatchString(path) {
						continue
					}
					if diff := cmp.Diff(was, has[path]); diff != "" {
						t.Errorf("summary stored %v: %s differs (-stored +now):\n%s", whole, path, diff)
					}
				}
				for path := range has {
					if highPercentile.MatchString(path) {
						t.Errorf("summary stored %v: %s is told of so few values", whole, path)
					}
				}
			}
			got, out, errs := llemMain(t, "report", "--recompute", dir)
			if got != exitOK || strings.Count(out, "all match") == 0 {
				t.Errorf("report --recompute: exit code %d\n%s%s", got, out, errs)
			}
			for _, format := range []string{"text", "md", "csv"} {
				if got, _, errs := llemMain(t, "report", "--format", format, dir); got != exitOK {
					t.Errorf("report --format %s: exit code %d\n%s", format, got, errs)
				}
			}
		})
	}
}

// checkRecords holds that the configuration of every stored run still has its id.
func checkRecords(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, result.RunsDir, "*", result.RecordFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		var r result.Record
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		if got := r.Config.ID(); got != r.ID {
			t.Errorf("%s: the configuration's id is %s, it was %s", p, got, r.ID)
		}
		again, err := json.Marshal(r.Config)
		if err != nil {
			t.Fatal(err)
		}
		was := readJSON(t, p).(map[string]any)["config"]
		var now any
		if err := json.Unmarshal(again, &now); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(was, now); diff != "" {
			t.Errorf("%s: the configuration is written differently (-stored +now):\n%s", p, diff)
		}
	}
	return paths
}

// TestKeysOfResults: a run made now leaves at least the files and the keys that a run of
// the earlier version left, under the same id. Only the next step of a doubt or failure
// has another key.
func TestKeysOfResults(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	path, err := exec.LookPath("llem")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "run", "-m", "random:smollm2-135m", "-b", "fake", "-n", "4", "--input-tokens", "64",
		"--output-tokens", "16", "-s", "workload.dataset=synthetic", "-s", "baseline.seconds=1", "--no-gaps", "-q",
		"-o", out)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	const id = "a0ad14b62020"
	runs, err := filepath.Glob(filepath.Join(out, "*", result.RunsDir, id+"-c1"))
	if err != nil || len(runs) != 1 {
		t.Fatalf("the run of experiment %s was not found: %v %v", id, runs, err)
	}
	was, now := filepath.Join(stored, "simulated"), filepath.Dir(filepath.Dir(runs[0]))
	for _, file := range []string{"env.json", filepath.Join(result.RunsDir, id+"-c1", "result.json")} {
		kept := paths(readJSON(t, filepath.Join(now, file)))
		for p := range paths(readJSON(t, filepath.Join(was, file))) {
			if !kept[p] && !optionalKey(p) {
				t.Errorf("%s: no key %s", file, p)
			}
		}
	}
	err = fs.WalkDir(os.DirFS(filepath.Join(was, result.RunsDir, id+"-c1")), ".",
		func(path string, _ fs.DirEntry, err error) error {
			if _, statErr := os.Stat(filepath.Join(runs[0], path)); statErr != nil {
				t.Errorf("the run has no file %s", path)
			}
			return err
		})
	if err != nil {
		t.Fatal(err)
	}
}

// optionalKey reports whether a key depends on the machine and the moment: warnings, and
// how the values of more than one run are spread.
func optionalKey(path string) bool {
	for _, part := range []string{"warnings", "spread", "unknown", "half95", "reason", "phases", ".llem."} {
		if strings.Contains(path, part) {
			return true
		}
	}
	return false
}

func readJSON(t *testing.T, path string) any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// paths returns the path of every key of a document, lists as [].
func paths(v any) map[string]bool {
	all := map[string]bool{}
	walk("", v, func(path string, _ any) { all[path] = true })
	return all
}

// numbers returns every number and id of a document by its path, in order.
func numbers(v any) map[string][]any {
	all := map[string][]any{}
	walk("", v, func(path string, v any) {
		_, number := v.(float64)
		_, flag := v.(bool)
		if number || flag || strings.HasSuffix(path, ".id") || strings.HasSuffix(path, ".status") {
			all[path] = append(all[path], v)
		}
	})
	return all
}

func walk(path string, v any, visit func(path string, v any)) {
	visit(path, v)
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			walk(path+"."+k, v[k], visit)
		}
	case []any:
		for _, e := range v {
			walk(path+"[]", e, visit)
		}
	}
}
