package engines

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/note"
)

// fails starts a program that prints a log, except its first line, and ends like an engine.
func fails(t *testing.T, log, end string, symptoms []backend.Symptom) *note.Failure {
	t.Helper()
	script := "tail -n +2 \"$0\"; " + end
	c, err := backend.StartChild(backend.Command{Path: "/bin/sh", Args: []string{"-c", script, log},
		Symptoms: symptoms}, filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	<-c.Exited()
	return c.Failure("x", "loading")
}

// TestSymptoms: testdata/failures in the folder of an engine holds the ends of logs that only it prints, in the
// same form as in package backend. Only its own symptoms recognise them, and each class of symptoms has a log of
// some engine.
func TestSymptoms(t *testing.T) {
	seen, listed := map[note.Class]bool{}, map[note.Class]string{}
	for _, d := range All() {
		for _, s := range d.Symptoms {
			listed[s.Class] = d.Name
		}
		logs, err := filepath.Glob(filepath.Join("..", d.Name, "testdata", "failures", "*.log"))
		if err != nil {
			t.Fatal(err)
		}
		for _, log := range logs {
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			head, rest, _ := strings.Cut(string(text), "\n")
			class, says, _ := strings.Cut(strings.TrimPrefix(head, "# "), ": ")
			end := "exit 1"
			if strings.Contains(rest, "sigquit") {
				end = "kill -KILL $$"
				seen[""] = true
			}
			seen[note.Class(class)] = true
			f := fails(t, log, end, d.Symptoms)
			if string(f.Class) != class || !strings.Contains(f.Message, says) || f.Next == "" {
				t.Errorf("%s: %+v, want %s and %q", log, f, class, says)
			}
			if g := fails(t, log, end, nil); g.Class == f.Class && g.Message == f.Message {
				t.Errorf("%s: %s by %q without the engine's symptoms, too", log, class, g.Message)
			}
		}
	}
	for class, name := range listed {
		if !seen[class] {
			t.Errorf("no log of class %q, which %s lists", class, name)
		}
	}
}

// TestFits: the hint contains the length that fits a cache of vLLM.
func TestFits(t *testing.T) {
	f := fails(t, "../vllm/testdata/failures/kv.log", "exit 1", Find(nil, "vllm").Symptoms)
	if !strings.Contains(f.Next, "42656 tokens fit") {
		t.Errorf("hint %q", f.Next)
	}
}
