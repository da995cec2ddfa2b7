package llem_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/study"
)

// forgetfulEnv turns the test binary into a program that calls Run without calling WorkerMain first. Its
// value is a folder in which each process leaves a file.
const forgetfulEnv = "LLEM_TEST_FORGETFUL"

func TestMain(m *testing.M) {
	var err error
	dir := os.Getenv(forgetfulEnv)
	switch {
	case dir != "":
		err = forgetful(dir)
	case os.Getenv(echoEnv) != "":
		err = backend.ServeWorker(&echo{})
	default:
		llem.WorkerMain()
		err = tests(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// tests runs the tests with a separate cache.
func tests(m *testing.M) error {
	cache, err := os.MkdirTemp("", "llem-test-cache-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(cache)
	if err := os.Setenv("LLEM_CACHE", cache); err != nil {
		return err
	}
	if m.Run() != 0 {
		return errors.New("tests failed")
	}
	return nil
}

// mostStarts bounds a chain of programs that start themselves.
const mostStarts = 20

func forgetful(dir string) error {
	f, err := os.CreateTemp(dir, "start-")
	if err != nil {
		return err
	}
	f.Close()
	if starts, _ := filepath.Glob(filepath.Join(dir, "start-*")); len(starts) > mostStarts {
		return fmt.Errorf("started %d times", len(starts))
	}
	s, err := study.New(study.Set("model", "random:tiny-llama"), study.Set("backend", "fake"),
		study.Set("execution.cycles", 1), study.Set("baseline.seconds", 0))
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	r, err := llem.Run(ctx, s, llem.Options{Results: filepath.Join(dir, "results"), NoGaps: true})
	if err != nil {
		return err
	}
	for _, row := range r.Rows {
		if row.Class != "" {
			fmt.Fprintln(os.Stderr, row.Message)
		}
	}
	return nil
}

// TestForgottenWorkerMain: a program that does not call WorkerMain starts itself only once, and the run's
// failure explains why.
func TestForgottenWorkerMain(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var out bytes.Buffer
	program := exec.CommandContext(t.Context(), path)
	program.Env = append(os.Environ(), forgetfulEnv+"="+dir, "LLEM_CACHE="+filepath.Join(dir, "cache"))
	program.Stdout, program.Stderr = &out, &out
	program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := program.Run(); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	if starts, _ := filepath.Glob(filepath.Join(dir, "start-*")); len(starts) != 2 {
		t.Errorf("%d processes, want the program and one that should have been its engine", len(starts))
	}
	if folders, _ := filepath.Glob(filepath.Join(dir, "results", "*")); len(folders) != 1 {
		t.Errorf("folders of results: %q, want one", folders)
	}
	if !strings.Contains(out.String(), "call llem.WorkerMain first in main") {
		t.Errorf("output %s\nwant the next step", &out)
	}
}
