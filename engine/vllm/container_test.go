package vllm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/enginefake"
	"github.com/llenergymeasure/llem/internal/servertest"
)

func TestContainer(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	servertest.Container(t, name, stub, servertest.Spec(t))
}

// pythonEnv turns this test's program into an interpreter that runs the worker with an engine that computes
// nothing.
const pythonEnv = "LLEM_TEST_VLLM_INTERPRETER"

func pythonMain(args []string) int {
	if len(args) != 1 {
		return 1
	}
	_, err := os.Stat(filepath.Join(args[0], "llem_vllm", "engine.py"))
	if err != nil || backend.ServeWorker(&enginefake.FakeEngine{}) != nil {
		return 1
	}
	return 0
}

// TestOfflineContainer runs the worker in a container: its interpreter belongs to the image's program, wherever
// that is, and the worker's files are visible inside.
func TestOfflineContainer(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		// program returns the image's program for the path of its interpreter.
		program func(t *testing.T, python string) string
	}{
		{"its first line", func(t *testing.T, python string) string {
			path := filepath.Join(t.TempDir(), "vllm")
			if err := os.WriteFile(path, []byte("#!"+python+"\nimport vllm\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			return path
		}},
		{"through env", func(t *testing.T, python string) string {
			path := filepath.Join(t.TempDir(), "vllm")
			if err := os.WriteFile(path, []byte("#!/usr/bin/env "+filepath.Base(python)+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", filepath.Dir(python)+":"+os.Getenv("PATH"))
			return path
		}},
		{"an interpreter", func(_ *testing.T, python string) string { return python }},
		{"in PATH", func(t *testing.T, python string) string {
			t.Setenv("PATH", filepath.Dir(python)+":"+os.Getenv("PATH"))
			return "/bin/sh"
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			python := filepath.Join(t.TempDir(), "python3")
			if err := os.WriteFile(python, fmt.Appendf(nil, "#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", pythonEnv, self),
				0o755); err != nil {
				t.Fatal(err)
			}
			s := servertest.Spec(t)
			s.MaxContext, s.Options = 64, []byte(`{"mode":"offline"}`)
			var state string
			state, s.Container = servertest.Docker(t, test.program(t, python))
			session, err := newBackend("/absent").Start(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			log, err := session.Run(t.Context(),
				backend.Workload{OutputTokens: 8, Requests: []backend.Prompt{{ID: 1, Tokens: []int32{5, 6}}}})
			l := session.Loaded()
			if err = errors.Join(err, session.Close()); err != nil {
				t.Fatal(err)
			}
			if l.Image == nil || l.PID == 0 || !l.SharedClock || log.Requests[0].OutputTokens != 8 {
				t.Errorf("loaded %+v, request %+v", l, log.Requests[0])
			}
			mounted := slices.ContainsFunc(servertest.Lines(t, state, "arguments"), func(a string) bool {
				return strings.Contains(a, "llem-vllm-") && strings.HasSuffix(a, ",readonly")
			})
			if !mounted {
				t.Error("the worker's folder is not visible inside")
			}
			if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "llem-*")); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}
