package backend

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDiagnose: testdata/failures holds the ends of engine logs, as the engines' sources
// and users' reports give them, one file per failure: the first line says class and
// decisive line, the rest is the log.
func TestDiagnose(t *testing.T) {
	files, err := filepath.Glob("testdata/failures/*.log")
	if err != nil || len(files) < 16 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	seen := map[Class]bool{}
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
		seen[Class(class)] = true
		got, found := Diagnose(strings.NewReader(log))
		if class == "none" {
			if found {
				t.Errorf("%s: %+v, want nothing", path, got)
			}
			continue
		}
		if !found || string(got.Class) != class || !strings.Contains(got.Line, line) || got.Hint == "" {
			t.Errorf("%s: %+v, want %s by %q", path, got, class, line)
		}
	}
	for _, s := range symptoms {
		if !seen[s.class] {
			t.Errorf("no log of class %s", s.class)
		}
	}
}
