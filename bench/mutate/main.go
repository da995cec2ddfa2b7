// Command mutate tests the tests: it changes one place of the code at a time, runs the tests of the package,
// and lists the changes that no test detects. The code itself stays unchanged; the compiler gets the changed
// file as an overlay. Tests that fail without a change are an error, because they would detect every change.
//
//	go run ./bench/mutate              # all of list.txt: an hour on two processors
//	go run ./bench/mutate internal/attribute/   # the files below a path
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed list.txt
var list string

// mutation is one change.
type mutation struct {
	file, old, new string
	tests          []string // packages in addition to the file's own
	survives       string   // why no test detects it; empty if a test must
}

func main() {
	under := ""
	if len(os.Args) > 1 {
		under = os.Args[1]
	}
	survivors, err := run(under)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	}
	if survivors > 0 {
		fmt.Println(survivors, "survived")
		os.Exit(1)
	}
}

func run(under string) (survivors int, err error) {
	all, err := parse(list)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "llem-mutate-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	all = slices.DeleteFunc(all, func(m mutation) bool { return !strings.HasPrefix(m.file, under) })
	if err := whole(all); err != nil {
		return 0, err
	}
	broken := 0
	for _, m := range all {
		seen, err := m.seen(dir)
		if err != nil {
			fmt.Println(err)
			broken++
			continue
		}
		word := "seen"
		switch {
		case !seen && m.survives != "":
			word = "survives: " + m.survives + ":"
		case !seen:
			survivors++
			word = "SURVIVED"
		case m.survives != "":
			return 0, fmt.Errorf("%s: %q => %q is detected, but the list marks it as surviving", m.file, m.old, m.new)
		}
		fmt.Printf("%s %s: %s => %s\n", word, m.file, m.old, m.new)
	}
	if broken > 0 {
		return 0, fmt.Errorf("%d changes of the list cannot be applied", broken)
	}
	return survivors, nil
}

// parse reads a list: a line that does not begin a mutation continues the previous one.
func parse(text string) ([]mutation, error) {
	var blocks []string
	for line := range strings.Lines(text) {
		switch file, _, _ := strings.Cut(line, ": "); {
		case strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "":
		case strings.HasSuffix(file, ".go"):
			blocks = append(blocks, line)
		case len(blocks) == 0:
			return nil, fmt.Errorf("%q names no file", line)
		default:
			blocks[len(blocks)-1] += line
		}
	}
	var out []mutation
	for _, b := range blocks {
		file, change, _ := strings.Cut(strings.TrimSuffix(b, "\n"), ": ")
		change, survives, _ := strings.Cut(change, " survives: ")
		change, tests, _ := strings.Cut(change, " tests: ")
		before, after, ok := strings.Cut(change, " => ")
		if !ok {
			return nil, fmt.Errorf("%q has no =>", b)
		}
		out = append(out, mutation{file: file, old: before, new: after, tests: strings.Fields(tests),
			survives: survives})
	}
	return out, nil
}

// patience bounds tests that a mutation makes wait for ever.
const patience = 3 * time.Minute

// whole returns an error if the tests fail without a mutation, because they would detect every mutation.
func whole(all []mutation) error {
	tested := map[string]bool{}
	for _, m := range all {
		for _, pkg := range m.packages() {
			if tested[pkg] {
				continue
			}
			tested[pkg] = true
			if out, err := test(context.Background(), "-short", pkg).CombinedOutput(); err != nil {
				return fmt.Errorf("the tests of %s fail without a mutation: %w\n%s", pkg, err, out)
			}
		}
	}
	return nil
}

// packages returns the packages whose tests must detect the mutation.
func (m mutation) packages() []string {
	return append([]string{"./" + filepath.Dir(m.file)}, m.tests...)
}

// test runs tests the same way for all mutations. Without cgo it is seconds faster.
func test(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "go", append([]string{"test", "-failfast", "-vet=off", "-parallel", "8", "-timeout",
		"2m"}, args...)...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	return c
}

// apply returns the mutated text of the mutation's file. root is the folder of the module.
func (m mutation) apply(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s: %q occurs %d times, want once: correct the list", m.file, m.old, n)
	}
	return bytes.Replace(text, []byte(m.old), []byte(m.new), 1), nil
}

// seen reports whether the tests of the file's package fail with the mutation.
func (m mutation) seen(dir string) (bool, error) {
	text, err := m.apply(".")
	if err != nil {
		return false, err
	}
	path, err := filepath.Abs(m.file)
	if err != nil {
		return false, err
	}
	changed, overlay := filepath.Join(dir, "mutation.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		return false, err
	}
	if err := errors.Join(os.WriteFile(changed, text, 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return false, err
	}
	fails, err := m.fails(overlay, "-short")
	// Run the long tests, if there are any, only if necessary.
	if err == nil && !fails && m.survives == "" && m.hasLong() {
		return m.fails(overlay, "-short=false")
	}
	return fails, err
}

// hasLong reports whether -short skips some tests of the mutation.
func (m mutation) hasLong() bool {
	for _, pkg := range m.packages() {
		files, _ := filepath.Glob(filepath.Join(pkg, "*_test.go"))
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil && bytes.Contains(text, []byte("testing.Short()")) {
				return true
			}
		}
	}
	return false
}

// fails reports whether the tests fail with a mutation. It is an error if the mutation does not compile.
func (m mutation) fails(overlay, how string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// Each test has little time: a test that waits for ever also detects the mutation.
	out, err := test(ctx, append([]string{how, "-overlay", overlay}, m.packages()...)...).CombinedOutput()
	if bytes.Contains(out, []byte("[build failed]")) {
		return false, fmt.Errorf("%s with %q does not build: %w\n%s", m.file, m.new, err, out)
	}
	return err != nil, nil
}
