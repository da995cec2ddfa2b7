package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProgram: a program beside an interpreter, and the error if there is none.
func TestProgram(t *testing.T) {
	dir := t.TempDir()
	python := filepath.Join(dir, "python")
	if _, err := program("engine", python); err == nil || !strings.Contains(err.Error(), "interpreter") ||
		!strings.Contains(err.Error(), python) {
		t.Errorf("no interpreter: %v", err)
	}
	for _, path := range []string{python, filepath.Join(dir, "engine")} {
		if path != python {
			if _, err := program("engine", python); err == nil ||
				!strings.Contains(err.Error(), "no program engine beside "+python) {
				t.Errorf("no program: %v", err)
			}
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := program("engine", python); err != nil || got != filepath.Join(dir, "engine") {
		t.Errorf("%q, %v", got, err)
	}
}
