package store

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// createEnv makes the test binary a process that makes the folder of a study.
const createEnv = "LLEM_TEST_CREATE"

// TestCreateProcess is one of the processes of TestNamesAtOnce.
func TestCreateProcess(t *testing.T) {
	parent := os.Getenv(createEnv)
	if parent == "" {
		t.Skip("a helper of TestNamesAtOnce: it runs in a process of its own")
	}
	fmt.Println("ready")
	_, _ = io.ReadAll(os.Stdin) // until all are
	d, err := Create(parent, "same", time.Unix(1.8e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

// names are the folders below parent, and the ones that n studies of one second get.
func names(t *testing.T, parent string, n int) (got, want []string) {
	t.Helper()
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, e.Name())
		if _, err := os.Stat(filepath.Join(parent, e.Name(), JournalFile)); err != nil {
			t.Error(err)
		}
	}
	const base = "same-20270115T080000Z"
	want = []string{base}
	for i := 2; i <= n; i++ {
		want = append(want, fmt.Sprintf("%s-%d", base, i))
	}
	slices.Sort(want)
	return got, want
}

// TestNamesAtOnce: studies that are started in the same second, by goroutines and by processes, have a folder each.
func TestNamesAtOnce(t *testing.T) {
	t.Parallel()
	const n = 8
	parent := filepath.Join(t.TempDir(), "of", "goroutines")
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			d, err := Create(parent, "same", time.Unix(1.8e9, 0))
			if err != nil {
				t.Error(err)
				return
			}
			d.Close()
		})
	}
	all.Wait()
	if got, want := names(t, parent, n); !slices.Equal(got, want) {
		t.Errorf("folders of goroutines %q, want %q", got, want)
	}
	parent = filepath.Join(t.TempDir(), "of", "processes")
	var commands []*exec.Cmd
	var starts []io.Closer
	for range n {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCreateProcess$")
		cmd.Env = append(os.Environ(), createEnv+"="+parent)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err == nil {
			_, err = bufio.NewReader(out).ReadString('\n')
		}
		if err != nil {
			t.Fatal(err)
		}
		commands, starts = append(commands, cmd), append(starts, in)
	}
	for _, s := range starts {
		s.Close()
	}
	for _, cmd := range commands {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if got, want := names(t, parent, n); !slices.Equal(got, want) {
		t.Errorf("folders of processes %q, want %q", got, want)
	}
}
