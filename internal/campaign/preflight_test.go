package campaign

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/study"
)

// TestPreflight: every mistake of a study at once, and each once.
func TestPreflight(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	short := file("short.jsonl", "{\"prompt\": \"one\"}\n")
	bad := file("bad.jsonl", "{\"prompt\": \"one\"}\n{\"prompt\": \n")
	enough := file("enough.jsonl", "{\"prompt\": \"one\"}\n{\"prompt\": \"two\"}\n")
	for name, q := range map[string]struct {
		change func(e []study.Experiment)
		want   []string // one per mistake
	}{
		"nothing wrong": {func([]study.Experiment) {}, nil},
		"data set":      {func(e []study.Experiment) { e[0].Workload.Dataset = enough }, nil},
		"no such shape, twice": {func(e []study.Experiment) {
			e[0].Model, e[1].Model = "random:tiny-lama",
				"random:tiny-lama"
		},
			[]string{"tiny-lama"}},
		"no such file": {func(e []study.Experiment) { e[0].Model = filepath.Join(dir, "none.gguf") },
			[]string{"none.gguf"}},
		"no such data set": {func(e []study.Experiment) { e[0].Workload.Dataset = filepath.Join(dir, "none.jsonl") },
			[]string{"none.jsonl"}},
		"bad line":  {func(e []study.Experiment) { e[0].Workload.Dataset = bad }, []string{"bad.jsonl:2"}},
		"too short": {func(e []study.Experiment) { e[0].Workload.Dataset = short }, []string{"short.jsonl"}},
		"two things": {func(e []study.Experiment) { e[0].Model, e[1].Workload.Dataset = "random:x", short },
			[]string{"\"x\"", "short.jsonl"}},
	} {
		s := newStudy(t, 2, study.DefaultExecution())
		q.change(s.Experiments)
		err := Preflight(s)
		got, _ := errors.AsType[study.Errors](err)
		if len(got) != len(q.want) {
			t.Errorf("%s: %v, want %d mistakes", name, err, len(q.want))
			continue
		}
		for i, want := range q.want {
			if !strings.Contains(got[i].Error(), want) {
				t.Errorf("%s: mistake %d is %q, want it to name %q", name, i+1, got[i].Error(), want)
			}
		}
	}
}
