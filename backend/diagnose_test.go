package backend

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// TestDiagnose: testdata/failures holds the ends of engine logs, as the engines' sources
// and users' reports give them, one file per failure: the first line says class and
// decisive line, the rest is the log.
func TestDiagnose(t *testing.T) {
	files, err := filepath.Glob("testdata/failures/*.log")
	if err != nil || len(files) < 16 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	seen := map[note.Class]bool{}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		head, log, _ := strings.Cut(string(b), "\n")
		class, line, ok := strings.Cut(strings.TrimPrefix(head, "# "), ": ")
		if !ok {
			t.Fatalf("%s: first line %q", path, head)
		}
		seen[note.Class(class)] = true
		got, found := diagnoseLog(strings.NewReader(log))
		if class == "none" {
			if found {
				t.Errorf("%s: %+v, want nothing", path, got)
			}
			continue
		}
		if !found || string(got.Class) != class || !strings.Contains(got.Message, line) || got.Next == "" {
			t.Errorf("%s: %+v, want %s by %q", path, got, class, line)
		}
	}
	for _, s := range symptoms {
		if !seen[s.class] {
			t.Errorf("no log of class %s", s.class)
		}
	}
}

// TestDiagnoseFits: the length that fits is in the hint.
func TestDiagnoseFits(t *testing.T) {
	b, err := os.ReadFile("testdata/failures/vllm-kv.log")
	if err != nil {
		t.Fatal(err)
	}
	if d, _ := diagnoseLog(strings.NewReader(string(b))); !strings.Contains(d.Next, "42656 tokens fit") {
		t.Errorf("hint %q", d.Next)
	}
}

// TestExits: how a program ends says what happened only where its log does not.
func TestExits(t *testing.T) {
	for name, q := range map[string]struct {
		script string
		class  note.Class
		says   string
	}{
		"killed":                {"kill -KILL $$", codes.ClassOOMHost, "killed"},
		"killed behind a shell": {"exit 137", codes.ClassOOMHost, "killed"},
		"illegal instruction":   {"exit 132", codes.ClassIllegal, "illegal instruction"},
		"kills itself": {"echo 'RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.'; " +
			"echo 'Received sigquit from a child process. It usually means the child failed.'; kill -KILL $$",
			codes.ClassKVTooSmall, "--mem-fraction-static"},
		"kills itself, saying nothing": {"echo 'Received sigquit from a child process. It usually means the child " +
			"failed.'; kill -KILL $$", codes.ClassCrashed, "killed"},
		"says so": {"echo 'CUDA out of memory. Tried'; exit 1", codes.ClassOOMGPU,
			"exited with status 1 while loading: CUDA out of memory"},
		"says nothing": {"exit 3", codes.ClassCrashed, "exited with status 3"},
	} {
		c, err := StartChild(Command{Path: "/bin/sh", Args: []string{"-c", q.script}},
			filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		<-c.Exited()
		if f := c.Failure("x", "loading"); f.Class != q.class || !strings.Contains(f.Message, q.says) || f.Next == "" {
			t.Errorf("%s: %s, %q, hint %q, want %s and %q", name, f.Class, f.Message, f.Next, q.class, q.says)
		}
	}
}
