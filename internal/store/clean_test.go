package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// TestSecretsStayOut: what an engine printed or answered stands in no file with a token, a password or a
// command to a terminal.
func TestSecretsStayOut(t *testing.T) {
	const token = "hf_ABCDEFGHIJKLMNOPQRSTUVWX"
	d, err := Create(t.TempDir(), "s", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	run, err := d.Begin("0123456789ab", 1)
	if err != nil {
		t.Fatal(err)
	}
	log := strings.Repeat("line\n", 3) + "token " + token + "\n" + strings.Repeat("x", 2<<20) +
		"\n\x1b]0;title\a\x1b[31mhttp://me:sekret@hub/x"
	if err := os.WriteFile(run.LogPath(), []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	rec := &result.Record{SchemaVersion: 1, ID: "0123456789ab", Cycle: 1, Status: result.Failed,
		Failure: &note.Failure{Class: "engine_error", Message: "http://me:sekret@hub refused " + token,
			Next:    "use \x1b[31m" + token,
			LogTail: "a\n" + token + "\x1b]0;title\x07"},
		Warnings: note.List{{Code: "engine", Message: "uses " + token}}}
	if err := run.Commit(rec, series.All{}); err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(d.path, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for _, bad := range []string{token, "sekret", "title", "\\u001b", "\x1b"} {
			if bad == "\x1b" && filepath.Ext(path) == ".parquet" {
				bad = "\x1b[" // the byte alone is also a number of the format
			}
			if strings.Contains(string(b), bad) {
				t.Errorf("%s holds %q", path, bad)
			}
		}
		return err
	})
	if err != nil || files < 3 {
		t.Errorf("%d files, error %v", files, err)
	}
	b, err := os.ReadFile(filepath.Join(d.path, "runs", "0123456789ab-c1", "engine.log"))
	want := strings.NewReplacer(token, "[token]", "\x1b]0;title\a\x1b[31m", "", "me:sekret@", "").Replace(log)
	if err != nil || string(b) != want {
		t.Errorf("the log has %d bytes, want %d: %v", len(b), len(want), err)
	}
}

// TestRights: files and folders have the rights that the user's umask leaves.
func TestRights(t *testing.T) {
	old := setUmask(0o077)
	defer setUmask(old)
	d, err := Create(t.TempDir(), "s", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.WriteText("study.yaml", "x"); err != nil {
		t.Fatal(err)
	}
	run, err := d.Begin("0123456789ab", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Commit(&result.Record{ID: "0123456789ab", Cycle: 1, Status: result.OK}, series.All{}); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(d.path, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the rights %v under umask 077", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
