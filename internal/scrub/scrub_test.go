package scrub

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result/series"
)

// stored is a study with checksums, earlier one without them.
const (
	stored  = "../../testdata/stored/queued"
	earlier = "../../testdata/stored/simulated"
)

// filesOf are the files of a folder.
func filesOf(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(at string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, at)
			out = append(out, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// copied makes a copy with options.
func copied(t *testing.T, dir string, o Options) (*Copy, string) {
	t.Helper()
	o.Dir, o.To, o.Files = dir, t.TempDir(), filesOf(t, dir)
	c, err := Make(o)
	if err != nil {
		t.Fatal(err)
	}
	return c, o.To
}

// intact checks that all checksums of a copy fit.
func intact(t *testing.T, dir string) {
	t.Helper()
	if err := store.VerifyStudy(dir, true); err != nil {
		t.Error(err)
	}
	sums, err := store.Manifests(dir)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := filepath.Glob(filepath.Join(dir, "runs", "*"))
	if err != nil || len(runs) == 0 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	for _, r := range runs {
		if _, known := sums[filepath.Base(r)]; !known {
			t.Errorf("the journal does not name %s", r)
		}
		if problems, _ := store.VerifyRun(r, sums[filepath.Base(r)]); len(problems) > 0 {
			t.Error(problems)
		}
	}
	if _, err := store.Open(dir); err != nil {
		t.Error(err)
	}
}

// everything is the text of all files of a copy.
func everything(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	for _, name := range filesOf(t, dir) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(name + "\n" + string(text))
	}
	return out.String()
}

// TestCopy: a text is replaced in every file, in Parquet too, and the checksums are of the copy.
func TestCopy(t *testing.T) {
	for _, dir := range []string{stored, earlier} {
		c, to := copied(t, dir, Options{Hosts: []string{"gpu0.example.org"}})
		if text := everything(t, to); strings.Contains(text, "gpu0") || !strings.Contains(text, "REDACTED_HOST") {
			t.Errorf("%s: the name of the machine is there", dir)
		}
		intact(t, to)
		files, err := filepath.Glob(filepath.Join(to, "runs", "*", "power.parquet"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%v, %v", files, err)
		}
		rows, err := series.ReadFile[series.Power](files[0])
		if err != nil || len(rows) == 0 || rows[0].Device != "REDACTED_HOST" {
			t.Errorf("%d rows, error %v", len(rows), err)
		}
		i := slices.IndexFunc(c.Replaced, func(f Finding) bool { return f.With == "REDACTED_HOST" })
		if i < 0 || c.Replaced[i].Files < 3 || c.Replaced[i].Times < c.Replaced[i].Files {
			t.Errorf("replaced %+v", c.Replaced)
		}
		for name, sum := range c.Original {
			if own, err := disk.SumFile(filepath.Join(dir, name)); err != nil || own != sum {
				t.Errorf("the original of %s: %s, error %v", name, own, err)
			}
		}
	}
}

// TestUnchanged: a study without private texts is sent as it is.
func TestUnchanged(t *testing.T) {
	first, to := copied(t, stored, Options{})
	// What names the folder in which it was measured is replaced in the first copy.
	second, again := copied(t, to, Options{})
	if len(first.Original) != len(second.Original) || everything(t, to) != everything(t, again) {
		t.Errorf("a copy of a copy has other files: %v and %v", first.Original, second.Original)
	}
	intact(t, again)
}

// TestIDs: a configuration in which a text is replaced gets the id of its new settings, everywhere.
func TestIDs(t *testing.T) {
	c, to := copied(t, stored, Options{Also: []string{"smollm2-135m"}})
	if len(c.IDs) == 0 {
		t.Fatal("no id was replaced")
	}
	text := everything(t, to)
	for old, id := range c.IDs {
		if list, _, _ := strings.Cut(text, `"ids"`); strings.Contains(list, old) ||
			!strings.Contains(text, "runs/"+id) {
			t.Errorf("%s became %s, but is still there", old, id)
		}
	}
	intact(t, to)
}

// TestEqual: configurations that differ in replaced texts only cannot be told apart.
func TestEqual(t *testing.T) {
	c := &copier{Options: Options{Dir: stored}, copy: &Copy{}}
	c.rules = append(c.rules, rule{what: "a value", with: `"static"`, pattern: batching})
	if err := c.rename(); err == nil || !strings.Contains(err.Error(), "differs from another one only in texts") {
		t.Errorf("error %v", err)
	}
}

// TestWorkers: journals of workers get other names, and each keeps its own.
func TestWorkers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "study")
	if err := os.CopyFS(dir, os.DirFS(stored)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alpha", "beta-1"} {
		if err := os.WriteFile(filepath.Join(dir, store.JournalOf(name)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, _ := copied(t, dir, Options{Also: []string{"alpha", "beta-1"}})
	for _, want := range []string{"journal-REDACTED.jsonl", "journal-REDACTED_2.jsonl"} {
		if !slices.Contains(c.Files, want) {
			t.Errorf("%s is not in %v", want, c.Files)
		}
	}
	_, err := Make(Options{Dir: dir, To: t.TempDir(), Files: filesOf(t, dir), Hosts: []string{"alpha", "beta-1"}})
	if err == nil || !strings.Contains(err.Error(), "the name of the file journal-") {
		t.Errorf("two journals of one name: %v", err)
	}
}

// batching matches the values in which the stored configurations differ.
var batching = regexp.MustCompile(`"(static|continuous)"`)

// TestRules: what is replaced, and what looks like it and is not.
func TestRules(t *testing.T) {
	c := &copier{}
	var err error
	c.rules, err = rulesOf(Options{Dir: t.TempDir(), Hosts: []string{"node-17.cluster.example", "energy"},
		Home: "/home/alice",
		Environ: []string{"MY_TOKEN=very-secret-1", "PROXY=http://bob:hunter2hunter2@proxy:80", "X_KEY=short",
			"PLAIN=public-value",
			`A_SECRET=with"quote&more`}, Also: []string{"Project X"}})
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"the token very-secret-1":                    "the token REDACTED_MY_TOKEN",
		"hunter2hunter2":                             "REDACTED_PROXY",
		"short public-value":                         "short public-value",
		`"with\"quote\u0026more"`:                    `"REDACTED_A_SECRET"`,
		"hf_ABCDEFGHIJKLMNOPQRSTUVWX":                "REDACTED_TOKEN",
		"sk-abcdefghijklmnopqrstuvwx":                "REDACTED_KEY",
		"ghp_abcdefghijklmnopqrstuvwx":               "REDACTED_TOKEN",
		"AKIAABCDEFGHIJKLMNOP":                       "REDACTED_KEY",
		"Authorization: Bearer abcdefghijklmnop1234": "Authorization: Bearer REDACTED_TOKEN",
		"http://u:p@host/x":                          "http://host/x",
		"on node-17: up":                             "on REDACTED_HOST: up",
		"NODE-17.cluster.example":                    "REDACTED_HOST",
		"node-170 and anode-17":                      "node-170 and anode-17",
		`{"energy": 1}`:                              `{"energy": 1}`,
		"/home/alice/m.gguf":                         "/home/user/m.gguf",
		`"/Users/bob/x y"`:                           `"/Users/user/x y"`,
		"see /home/user/x":                           "see /home/user/x",
		"a Project X file":                           "a REDACTED file",
		"/data/home/x":                               "/data/home/x",
	} {
		if got := c.replace(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if _, err := rulesOf(Options{Dir: t.TempDir(), Also: []string{"a"}}); err == nil {
		t.Error("one letter would be replaced everywhere")
	}
}

// TestFileOfCopy: scrubbed.json is a document that others can read.
func TestFileOfCopy(t *testing.T) {
	_, to := copied(t, stored, Options{Hosts: []string{"gpu0"}})
	text, err := os.ReadFile(filepath.Join(to, File))
	if err != nil {
		t.Fatal(err)
	}
	var doc Copy
	if err := json.Unmarshal(text, &doc); err != nil || doc.SchemaVersion != 1 || len(doc.Original) == 0 {
		t.Errorf("%s: %v", text, err)
	}
	sums, err := os.ReadFile(filepath.Join(to, manifestFile))
	if err != nil || !strings.Contains(string(sums), "  "+File+"\n") {
		t.Errorf("the manifest does not have %s: %s", File, sums)
	}
}

// TestOrdinaryNames: a machine that has the name of an engine, or another word of results, keeps it: replacing it would
// change what results say.
func TestOrdinaryNames(t *testing.T) {
	hosts := append([]string{"Node", "server.example.org", "gpu-rack-7.example.org"}, engines.All().Names()...)
	want := []string{"gpu-rack-7.example.org", "server.example.org", "gpu-rack-7"}
	if got := names(hosts); !slices.Equal(got, want) {
		t.Errorf("%q are replaced, want %q", got, want)
	}
}
