package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// wholeStudy is a study of four runs with its summary, its series and its frozen form.
func wholeStudy(t *testing.T) (string, *study.Study) {
	t.Helper()
	dir, s := smallStudy(t, 2, 2)
	res, err := Summarize(dir, s, time.Unix(1.8e9, 0))
	if err == nil {
		d := &Dir{path: dir}
		err = errors.Join(d.WriteStudy(s), d.WriteSummary(res))
	}
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := Open(dir); err != nil || opened.Rebuilt || opened.Unchecked != 0 || len(opened.Rows) != 4 {
		t.Fatalf("undamaged: %+v, %v", opened, err)
	}
	return dir, s
}

// edit changes a file of a folder.
func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(bytes.Clone(text))
	if bytes.Equal(changed, text) {
		t.Fatalf("%s was not changed", path)
	}
	rewrite(t, path, changed)
}

// replace is an edit that replaces the first match of an expression.
func replace(expression, by string) func([]byte) []byte {
	return func(text []byte) []byte {
		at := regexp.MustCompile(expression).FindIndex(text)
		if at == nil {
			return text
		}
		return slices.Concat(text[:at[0]], []byte(by), text[at[1]:])
	}
}

// firstRun is the folder of the first run.
func firstRun(t *testing.T, dir string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, result.RunsDir, "*-c1"))
	if err != nil || len(found) != 2 {
		t.Fatalf("runs %v, %v", found, err)
	}
	return found[0]
}

// TestDamage: what was changed, cut or taken away in a folder is named with what to do, whoever reads it, and the
// rest of the results is still there.
func TestDamage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		// want is in the error of a report; unread means that there is no result with it.
		want   string
		unread bool
		// resume is in the error of a study that is resumed, or in its notes.
		resume string
	}{
		"a value in the summary": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, result.SummaryFile), replace(`"mean": [0-9.]+`, `"mean": 1e-9`))
		}, "summary.json does not match the runs", false, ""},
		"an interval in the summary": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, result.SummaryFile), replace(`"sd": [0-9.]+`, `"sd": 0.5`))
		}, " differs", false, ""},
		"runs of a configuration in the summary": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, result.SummaryFile), replace(`      "ok": 2`, `      "ok": 3`))
		}, " is 3 and should be 2", false, ""},
		"a standing in the summary": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, result.SummaryFile), replace(`"status": "(front|uncertain|dominated)"`,
				`"status": "excluded"`))
		}, "the standing of ", false, ""},
		"a value of a row in the summary": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, result.SummaryFile),
				replace(`"energy.total_j": [0-9.]+,`, `"energy.total_j": 7,`))
		}, "-c1 differs", false, ""},
		"a value of a record in the summary": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, result.SummaryFile), replace(`"gain95": [0-9.]+`, `"gain95": 1`))
		}, "-c1 differs", false, ""},
		"a count in the summary": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, result.SummaryFile), replace(`"ok": 4`, `"ok": 5`))
		}, "ok is 5 and should be 4", false, ""},
		"runs planned in the summary": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, result.SummaryFile), replace(`"planned": 4`, `"planned": 0`))
		}, "planned is 0, but there are 4 runs", false, ""},
		"an empty summary": {func(t *testing.T, dir string) {
			rewrite(t, filepath.Join(dir, result.SummaryFile), []byte("{}"))
		}, "has schema version 0; this version of llem reads version 1", true, ""},
		"another version of the summary": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, result.SummaryFile), replace(`"schema_version": 1`, `"schema_version": 999`))
		}, "has schema version 999", true, ""},
		"garbage behind the summary": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, result.SummaryFile), func(b []byte) []byte { return append(b, "{}"...) })
		}, "there is text after the JSON object", true, ""},
		"a summary that lacks a run": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, result.SummaryFile), func(b []byte) []byte {
				var s map[string]any
				if err := json.Unmarshal(b, &s); err != nil {
					t.Fatal(err)
				}
				s["rows"] = s["rows"].([]any)[1:]
				b, _ = json.Marshal(s)
				return b
			})
		}, "it lacks ", false, ""},
		"a value in the journal": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, JournalFile), replace(`"energy.total_j":[0-9.]+`, `"energy.total_j":1e-9`))
		}, "journal.jsonl:1 cannot be used: it has changed since it was written", false,
			"journal.jsonl:1 cannot be used"},
		"an empty line in the journal": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, JournalFile), func(b []byte) []byte { return append([]byte("{}\n"), b...) })
		}, "journal.jsonl:1 cannot be used: it names no run", false, "it names no run"},
		"a sum cut off a line of the journal": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, JournalFile), replace(`,"line_sha256":"[0-9a-f]*"`, ``))
		}, "it has changed since it was written", false, "it has changed since it was written"},
		"a configuration in the summary": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, result.SummaryFile), replace(`"speed": 1`, `"speed": 2`))
		}, "the configuration of ", false, ""},
		"a journal that ends early": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, JournalFile), func(b []byte) []byte { return b[:len(b)/3] })
		}, "journal.jsonl lacks the lines of 3 existing runs", false, "journal.jsonl lacked the lines of 3 runs"},
		"no journal": {func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, JournalFile))
		}, "journal.jsonl is missing, although there are runs", false, "was rebuilt from the records of 4 runs"},
		"no folder of a run": {func(t *testing.T, dir string) {
			os.RemoveAll(firstRun(t, dir))
		}, "is missing, but listed in journal.jsonl", false, "lists runs that are missing and will be repeated: runs/"},
		"no record of a run": {func(t *testing.T, dir string) {
			os.Remove(filepath.Join(firstRun(t, dir), result.RecordFile))
		}, "result.json is missing", false, "lists runs that are missing and will be repeated: runs/"},
		"a value in a record": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(firstRun(t, dir), result.RecordFile), replace(`"took_s": 12.5`, `"took_s": 12.6`))
		}, "result.json has changed since it was written", false, "result.json has changed since it was written"},
		"a record that is cut": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(firstRun(t, dir), result.RecordFile), func(b []byte) []byte { return b[:len(b)/2] })
		}, "result.json has changed since it was written", false, "result.json has changed since it was written"},
		"a manifest that fits a changed record": {func(t *testing.T, dir string) {
			run := firstRun(t, dir)
			edit(t, filepath.Join(run, result.RecordFile), replace(`"took_s": 12.5`, `"took_s": 12.6`))
			if _, err := WriteManifest(run); err != nil {
				t.Fatal(err)
			}
		}, "manifest.sha256 has changed since it was written", false,
			"manifest.sha256 has changed since it was written"},
		"no manifest": {func(t *testing.T, dir string) {
			os.Remove(filepath.Join(firstRun(t, dir), ManifestFile))
		}, "manifest.sha256 is missing, but listed in journal.jsonl", false, "manifest.sha256 is missing"},
		"a study that is cut": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, StudyFile), func(b []byte) []byte { return b[:len(b)-10] })
		}, "study.yaml has changed since it was written", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _ := wholeStudy(t)
			c.damage(t, dir)
			opened, err := Open(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("opened: %v, want an error with %q", err, c.want)
			}
			if damage, ok := errors.AsType[*DamageError](err); ok && damage.NextStep() == "" {
				t.Errorf("%v: no next step", err)
			}
			if (opened == nil) != c.unread {
				t.Errorf("result %v, want none: %v", opened, c.unread)
			}
			summary := filepath.Join(dir, result.SummaryFile)
			text, readErr := os.ReadFile(summary)
			os.Remove(summary)
			// Without the summary the same damage is seen, unless it was in the summary.
			if strings.Contains(name, "summary") {
				if rebuilt, err := Open(dir); err != nil || len(rebuilt.Rows) != 4 {
					t.Errorf("without the summary: %v", err)
				}
			} else if rebuilt, err := Open(dir); err == nil {
				t.Errorf("without the summary nothing is wrong, of %d runs", len(rebuilt.Rows))
			}
			if readErr == nil {
				rewrite(t, summary, text)
			}
			d, made, err := Reopen(dir)
			said := ""
			if err == nil {
				for _, n := range d.Repairs() {
					said += n.Message + "\n"
				}
				d.Close()
				if _, err := os.Stat(summary); err == nil {
					t.Error("the summary of the part before is still there")
				}
			} else {
				said = err.Error()
			}
			if !strings.Contains(said, c.resume) || (c.resume == "") != (said == "") {
				t.Errorf("resumed: %q with %d runs, want %q", said, len(made), c.resume)
			}
		})
	}
}

// TestTakenAwayMeanwhile: what is deleted or changed under a study that runs is found at its end.
func TestTakenAwayMeanwhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   string
	}{
		"nothing": {func(*testing.T, string) {}, ""},
		"the journal": {func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, JournalFile)) },
			"was deleted while"},
		"a journal that was saved by an editor": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, JournalFile)
			text, _ := os.ReadFile(path)
			os.Remove(path)
			rewrite(t, path, text)
		}, "was replaced while"},
		"lines of the journal": {func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, JournalFile), 0); err != nil {
				t.Fatal(err)
			}
		}, "has lost the line of"},
		"a value in the journal": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, JournalFile), replace(`"energy.total_j":[0-9.]+`, `"energy.total_j":1e-9`))
		}, "it has changed since it was written"},
		"a run": {func(t *testing.T, dir string) { os.RemoveAll(firstRun(t, dir)) },
			"-c1 was finished but is missing"},
		"journal and run": {func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, JournalFile))
			os.RemoveAll(firstRun(t, dir))
		}, "-c1 was finished but is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := wholeStudy(t)
			d, _, err := Reopen(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			c.damage(t, dir)
			err = d.Check()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestJournalBytes: no byte of a line can change unseen.
func TestJournalBytes(t *testing.T) {
	t.Parallel()
	dir, _ := wholeStudy(t)
	path := filepath.Join(dir, JournalFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(text, '\n')
	for i := range first + 1 {
		changed := bytes.Clone(text)
		changed[i] ^= 1 << (i % 7)
		rewrite(t, path, changed)
		if entries, err := ReadJournal(dir); err == nil {
			t.Errorf("byte %d (%q) was changed: %d entries are read", i, text[i], len(entries))
		}
	}
}

// TestManifest: sha256sum takes the manifest of a run, every bit of every file is covered, and one of an earlier
// version, without a manifest, is read.
func TestManifest(t *testing.T) {
	t.Parallel()
	dir, _ := wholeStudy(t)
	run := firstRun(t, dir)
	if tool, err := exec.LookPath("sha256sum"); err == nil {
		cmd := exec.Command(tool, "-c", "--strict", ManifestFile)
		cmd.Dir = run
		if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), ": OK") != 6 {
			t.Errorf("sha256sum: %v\n%s, want 6 files", err, out)
		}
	}
	if problems, unchecked := VerifyRun(run, ""); len(problems) > 0 || unchecked {
		t.Fatalf("undamaged: %+v, unchecked %v", problems, unchecked)
	}
	files, err := os.ReadDir(run)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		path := filepath.Join(run, f.Name())
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(text); i += 1 + len(text)/100 {
			changed := bytes.Clone(text)
			changed[i] ^= 1 << (i % 8)
			rewrite(t, path, changed)
			if problems, unchecked := VerifyRun(run, ""); len(problems) == 0 || unchecked {
				t.Errorf("bit %d of byte %d of %s was flipped unseen", i%8, i, f.Name())
			}
		}
		rewrite(t, path, text)
	}
	if err := os.Remove(filepath.Join(run, ManifestFile)); err != nil {
		t.Fatal(err)
	}
	if problems, unchecked := VerifyRun(run, ""); len(problems) > 0 || !unchecked {
		t.Errorf("without a manifest: %+v, unchecked %v", problems, unchecked)
	}
}

// TestReopenSweeps: what a killed process was writing is removed, and nothing else.
func TestReopenSweeps(t *testing.T) {
	t.Parallel()
	dir, _ := wholeStudy(t)
	half := []string{".summary.json-12345", ".summary.json-ABCDEFGH27", ".manifest.sha256-QWERTYUIOP",
		".study.yaml-1", ".env-2.json-77",
		"runs/0123456789ab-c1.partial/engine.log"}
	kept := []string{".notes", "notes.json-1", ".summary.json-x", "runs/0123456789ab-c1.mine/engine.log"}
	for _, name := range slices.Concat(half, kept) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		rewrite(t, path, []byte("half"))
	}
	d, made, err := Reopen(dir)
	if err != nil || len(made) != 4 {
		t.Fatalf("%d runs, %v", len(made), err)
	}
	d.Close()
	for _, name := range half {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want it gone", name, err)
		}
	}
	for _, name := range kept {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestEarlierFolder: a folder without sums is read and resumed, and it is told once.
func TestEarlierFolder(t *testing.T) {
	t.Parallel()
	stored := filepath.Join("..", "..", "testdata", "stored", "simulated")
	dir := filepath.Join(t.TempDir(), "earlier")
	if err := os.CopyFS(dir, os.DirFS(stored)); err != nil {
		t.Fatal(err)
	}
	opened, err := Open(dir)
	if err != nil || opened.Unchecked != 4 || opened.Rebuilt {
		t.Fatalf("%+v, %v", opened, err)
	}
	d, made, err := Reopen(dir)
	if err != nil || len(made) != 4 || len(d.Repairs()) != 1 ||
		!strings.Contains(d.Repairs()[0].Message, "4 runs were stored by an earlier version") {
		t.Fatalf("%d runs, %v", len(made), err)
	}
	d.Close()
	// What its journal says is compared with its runs, since it has no sums.
	edit(t, filepath.Join(dir, JournalFile), replace(`"energy.total_j":[0-9.]+`, `"energy.total_j":1e-9`))
	if _, _, err := Reopen(dir); err == nil || !strings.Contains(err.Error(), "does not match the numbers of runs/") {
		t.Errorf("resumed with another number in the journal: %v", err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "does not match the numbers of runs/") {
		t.Errorf("opened with another number in the journal: %v", err)
	}
}
