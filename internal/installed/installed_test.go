package installed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

// TestProgram: a program beside an interpreter, and the error if there is none.
func TestProgram(t *testing.T) {
	dir := t.TempDir()
	python := filepath.Join(dir, "python")
	if _, err := Program("engine", python); err == nil || !strings.Contains(err.Error(), "interpreter") ||
		!strings.Contains(err.Error(), python) {
		t.Errorf("no interpreter: %v", err)
	}
	for _, path := range []string{python, filepath.Join(dir, "engine")} {
		if path != python {
			if _, err := Program("engine", python); err == nil ||
				!strings.Contains(err.Error(), "no program engine beside "+python) {
				t.Errorf("no program: %v", err)
			}
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Program("engine", python); err != nil || got != filepath.Join(dir, "engine") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestInterpreter(t *testing.T) {
	for first, want := range map[string]string{
		"#!/opt/venv/bin/python3\nimport re\n": "/opt/venv/bin/python3",
		"#!/opt/venv/bin/python3.12":           "/opt/venv/bin/python3.12",
		"#!/bin/sh\nexec /opt/python\n":        "",
		"\x7fELF":                              "", "": "",
	} {
		path := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(path, []byte(first), 0o755); err != nil {
			t.Fatal(err)
		}
		if got := Interpreter(path); got != want {
			t.Errorf("%q is run by %q, want %q", first, got, want)
		}
	}
	if got := Interpreter("/no/such/program"); got != "" {
		t.Errorf("%q", got)
	}
}

func TestPackage(t *testing.T) {
	python, err := Python("")
	if err != nil {
		t.Skip("no Python here")
	}
	_, err = PackageVersion(t.Context(), backend.Command{Path: python}, "no-such-package-of-llem")
	if f := fault.As(err); err == nil || f.Class != codes.ClassNotInstalled ||
		f.Message != python+" has no package no-such-package-of-llem" {
		t.Errorf("%v", err)
	}
}
