package vllm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/backend"
)

// TestInterpreter: which interpreter steps the engine, and what is said where there is none.
func TestInterpreter(t *testing.T) {
	write := func(path, text string) string {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	elsewhere := write(filepath.Join(t.TempDir(), "python3.12"), "#!/bin/sh\n")
	for name, q := range map[string]struct {
		first, beside string
		named         string
		want          string // the end of the path, or what the failure says
		fails         bool
	}{
		"of the program":   {first: "#!" + elsewhere, want: elsewhere},
		"beside":           {first: "#!/bin/sh", beside: "python3", want: "/python3"},
		"gone, and beside": {first: "#!/nowhere/python3", beside: "python3", want: "/python3"},
		"none":             {first: "#!/nowhere/python3", want: "does not say which interpreter", fails: true},
		"named":            {first: "#!/bin/sh", named: elsewhere, want: elsewhere},
		"named, not there": {first: "#!/bin/sh", named: "/nowhere/python", want: "/nowhere/python", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if q.beside != "" {
				write(filepath.Join(dir, q.beside), "#!/bin/sh\n")
			}
			b := Backend{Command: &backend.Command{Path: write(filepath.Join(dir, "vllm"), q.first+"\n")},
				Python: q.named}
			got, err := b.interpreter()
			if !q.fails {
				if err != nil || !strings.HasSuffix(got, q.want) {
					t.Errorf("%q, %v, want %q", got, err, q.want)
				}
				return
			}
			if f := backend.AsFailure(err); f == nil || f.Class != backend.ClassNotInstalled ||
				!strings.Contains(f.Error(), q.want) || f.Hint == "" {
				t.Errorf("%q, %v, want a failure with %q", got, err, q.want)
			}
		})
	}
}
