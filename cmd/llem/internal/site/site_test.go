package site

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stored are studies of earlier versions in the repository.
const stored = "../../../../testdata/stored"

// TestStored: a site of the stored studies has them all, with measured and modelled energy in tables of their own.
func TestStored(t *testing.T) {
	out := filepath.Join(t.TempDir(), "site")
	made, err := Write(Options{Dirs: []string{stored}, Out: out, Title: `<script>alert("t")</script>`, Raw: true,
		Now: time.Unix(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(out, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	html := string(text)
	if n := strings.Count(html, "<tr data-gpu="); n != made.Configurations || n < 3 {
		t.Errorf("%d rows of %d configurations", n, made.Configurations)
	}
	if strings.Contains(html, `<script>alert`) {
		t.Error("the title is not escaped")
	}
	if strings.Count(html, "<section id=") < 2 {
		t.Error("energies of several kinds share a table")
	}
	if !strings.Contains(html, "recomputed 1970-01-01: ") {
		t.Error("no verification")
	}
}

// TestClean: what tells of a machine leaves a text, and the rest stays.
func TestClean(t *testing.T) {
	b := builder{private: []string{"node17.cluster"}}
	for in, want := range map[string]string{
		"model /home/me/models/llama-8b on node17.cluster": "model llama-8b on …",
		`"/scratch/x/y.gguf", 12 J/token`:                  `"y.gguf", 12 J/token`,
		"no such file: /sys/class/powercap/rapl":           "no such file: /sys/class/powercap/rapl",
		"https://example.org/a/b and a/b/c </td></tr>":     "https://example.org/a/b and a/b/c </td></tr>",
		"in /results/mine/study/runs":                      "in study/runs",
		"token hf_abcdefghijklmnopqrstuvwxyz0123":          "token [token]",
	} {
		if got := b.clean(in, "/results/mine/study"); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestSlug: names of folders are of letters, digits and hyphens.
func TestSlug(t *testing.T) {
	for in, want := range map[string]string{"../../etc/passwd": "etc-passwd-", "": "", "Ünï": "n-", "A b": "a-b-",
		"<script>\u202e'\"": "script-", strings.Repeat("x", 10000): strings.Repeat("x", 40) + "-"} {
		if got := slugOf(in); got != want {
			t.Errorf("slugOf(%.20q) = %q, want %q", in, got, want)
		}
	}
}

// TestRefused: a folder that is not a site stays, and no site holds its own studies.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine")
	if err := os.MkdirAll(filepath.Join(mine, "studies"), 0o755); err != nil {
		t.Fatal(err)
	}
	for out, dirs := range map[string][]string{mine: {stored}, dir: {filepath.Join(mine, "studies")}} {
		_, err := Write(Options{Dirs: dirs, Out: out})
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%s: %v", out, err)
		}
	}
	if _, err := os.Stat(filepath.Join(mine, "studies")); err != nil {
		t.Error(err)
	}
}

// TestLinks: a study with a link among its files is left out, because a link can publish any file.
func TestLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "summary.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "study.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := contents(dir); err == nil || !strings.Contains(err.Error(), "study.yaml is a link") {
		t.Errorf("got %v", err)
	}
}
