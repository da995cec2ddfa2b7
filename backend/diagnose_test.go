package backend

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// TestDiagnose: testdata/failures holds the ends of engine logs, from the engines' sources and users' reports, one
// file per failure: the first line holds the class and the decisive line, the rest is the log. Logs that only one
// engine prints are in the folder of that engine, see package engines.
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
		got, found := diagnoseLog(strings.NewReader(log), nil)
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
	for _, s := range common {
		if !seen[s.Class] {
			t.Errorf("no log of class %s", s.Class)
		}
	}
}

// TestExits: the exit status is used only if the log does not show the cause.
func TestExits(t *testing.T) {
	for name, q := range map[string]struct {
		script string
		class  note.Class
		says   string
		next   string
	}{
		"killed":                {"kill -KILL $$", codes.ClassOOMHost, "killed", ""},
		"killed behind a shell": {"exit 137", codes.ClassOOMHost, "killed", ""},
		"illegal instruction":   {"exit 132", codes.ClassIllegal, "illegal instruction", ""},
		"kills itself": {"echo 'RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.'; " +
			"echo 'Received sigquit from a child process. It usually means the child failed.'; kill -KILL $$",
			codes.ClassKVTooSmall, "--mem-fraction-static", "share of memory"},
		"kills itself, prints nothing": {"echo 'Received sigquit from a child process. It usually means the child " +
			"failed.'; kill -KILL $$", codes.ClassCrashed, "killed", ""},
		"prints its reason": {"echo 'CUDA out of memory. Tried'; exit 1", codes.ClassOOMGPU,
			"exited with status 1 while loading: CUDA out of memory", "nvidia-smi"},
		"prints nothing": {"exit 3", codes.ClassCrashed, "exited with status 3", ""},
		"advises":        {"echo 'It is FULL: make room for 5 GB'; exit 1", codes.ClassDiskFull, "FULL", "5 gb"},
		"cannot advise":  {"echo 'It is FULL'; exit 1", codes.ClassDiskFull, "FULL", "x"},
	} {
		c, err := StartChild(Command{Path: "/bin/sh", Args: []string{"-c", q.script}, Symptoms: []Symptom{
			{Class: codes.ClassKVTooSmall, Texts: []string{"not enough MEMORY…try"}},
			{Texts: []string{"Received sigquit"}},
			{Class: codes.ClassDiskFull, Next: "x", Texts: []string{"full"}, Advise: func(line string) string {
				_, size, _ := strings.Cut(line, "make room for ")
				return size
			}}}},
			filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		<-c.Exited()
		if f := c.Failure("x", "loading"); f.Class != q.class || !strings.Contains(f.Message, q.says) ||
			f.Next == "" || !strings.Contains(f.Next, q.next) {
			t.Errorf("%s: %s, %q, hint %q, want %s and %q", name, f.Class, f.Message, f.Next, q.class, q.says)
		}
	}
}

// TestWithinHasSymptoms: a command that runs for a spec has the symptoms of both.
func TestWithinHasSymptoms(t *testing.T) {
	own, engine := Symptom{Class: codes.ClassOffline}, Symptom{Class: codes.ClassGated}
	for _, box := range []*Container{nil, {Program: "x"}} {
		got := Command{Symptoms: []Symptom{own}}.Within(Spec{Symptoms: []Symptom{engine}, Container: box}).Symptoms
		if len(got) != 2 || got[0].Class != own.Class || got[1].Class != engine.Class {
			t.Errorf("symptoms %+v", got)
		}
	}
}
