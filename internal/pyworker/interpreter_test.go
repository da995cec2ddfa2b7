package pyworker

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// script writes an executable shell script and returns its path.
func script(t *testing.T, path, body string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// env returns an environment of alternating keys and values.
func env(pairs ...string) func(string) string {
	return func(key string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == key {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func class(t *testing.T, err error) note.Class {
	t.Helper()
	f, ok := errors.AsType[*note.Failure](err)
	if !ok {
		t.Fatalf("error %v is not a failure", err)
	}
	if f.Next == "" {
		t.Errorf("failure %q has no hint", f.Message)
	}
	return f.Class
}

func TestInterpreterChoice(t *testing.T) {
	dir := t.TempDir()
	answer := "echo 3.12"
	explicit := script(t, filepath.Join(dir, "mine", "python"), answer)
	venv := script(t, filepath.Join(dir, "venv", "bin", "python"), answer)
	first := script(t, filepath.Join(dir, "one", "python3"), answer)
	script(t, filepath.Join(dir, "two", "python"), answer)
	script(t, filepath.Join(dir, "two", "python3"), answer)
	onlyPython := script(t, filepath.Join(dir, "three", "python"), answer)
	path := strings.Join([]string{"relative", filepath.Join(dir, "none"), filepath.Dir(first),
		filepath.Join(dir, "two")}, ":")

	tests := []struct {
		name string
		b    Interpreter
		want string
	}{
		{"explicit", Interpreter{Python: explicit, Env: env("VIRTUAL_ENV", filepath.Join(dir, "venv"), "PATH", path)},
			explicit},
		{"explicit name", Interpreter{Python: "python3", Env: env("PATH", path)}, first},
		{"virtual environment", Interpreter{Env: env("VIRTUAL_ENV", filepath.Join(dir, "venv"), "PATH", path)}, venv},
		{"path", Interpreter{Env: env("PATH", path)}, first},
		{"python without number", Interpreter{Env: env("PATH", filepath.Dir(onlyPython))}, onlyPython},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.b.Find(t.Context())
			if err != nil || got != test.want {
				t.Errorf("Find() = %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestInterpreterFailures(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		b       Interpreter
		want    note.Class
		message string
	}{
		{"nothing in PATH", Interpreter{Env: env("PATH", dir)}, codes.ClassNotInstalled, "no python3 in PATH"},
		{"missing", Interpreter{Python: filepath.Join(dir, "absent")}, codes.ClassNotInstalled, "no such file"},
		{"missing name", Interpreter{Python: "absent", Env: env("PATH", dir)}, codes.ClassNotInstalled,
			"no absent in PATH"},
		{"folder", Interpreter{Python: dir}, codes.ClassNotInstalled, "folder"},
		{"not executable", Interpreter{Python: plain}, codes.ClassNotInstalled, "not executable"},
		{"broken environment", Interpreter{Env: env("VIRTUAL_ENV", dir)}, codes.ClassNotInstalled, "$VIRTUAL_ENV"},
		{"too old", Interpreter{Python: script(t, filepath.Join(dir, "old"), "echo 3.9")}, codes.ClassVersion,
			"Python 3.9"},
		{"python 2", Interpreter{Python: script(t, filepath.Join(dir, "two"), "echo 2.7")}, codes.ClassVersion,
			"Python 2.7"},
		{"no python", Interpreter{Python: script(t, filepath.Join(dir, "cat"), "echo meow")}, codes.ClassNotInstalled,
			"does not answer"},
		{"failing", Interpreter{Python: script(t, filepath.Join(dir, "bad"), "echo no licence >&2; exit 3")},
			codes.ClassNotInstalled, "no licence"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.b.Find(t.Context())
			if got := class(t, err); got != test.want || !strings.Contains(err.Error(), test.message) {
				t.Errorf("Find() = %v (%s), want %q (%s)", err, got, test.message, test.want)
			}
		})
	}
}
