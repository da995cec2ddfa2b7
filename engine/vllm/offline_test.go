package vllm

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/pyworker"
	"github.com/llenergymeasure/llem/internal/servertest"
)

// TestOfflineMissing: the worker's own scripts run in an interpreter without packages, and report what is missing.
func TestOfflineMissing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	python, err := pyworker.Interpreter{}.Find(t.Context())
	if err != nil {
		t.Skip(err)
	}
	bare := filepath.Join(t.TempDir(), "python3")
	if err := os.WriteFile(bare, []byte("#!/bin/sh\nexec '"+python+"' -S -I \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := servertest.Spec(t)
	s.Options = []byte(`{"mode":"offline"}`)
	_, err = newBackend(bare).Start(t.Context(), s)
	f := fault.As(err)
	if f.Class != codes.ClassNotInstalled || !strings.Contains(f.Error(), "cannot import vllm") ||
		f.Next != install {
		t.Errorf("Start() = %v (%s, %q)", err, f.Class, f.Next)
	}
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "llem-vllm-*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestOfflineScripts runs the worker's own tests, which need only Python.
func TestOfflineScripts(t *testing.T) {
	python, err := pyworker.Interpreter{}.Find(t.Context())
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-B", "-m", "unittest", "discover", "-p", "*_test.py")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
