package study

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/study/terms"
)

func freeze(t *testing.T, s *Study) string {
	t.Helper()
	text, err := s.YAML()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "study.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readFrozen reads the output of freeze.
func readFrozen(path string) (*Study, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ParseFrozen(text)
}

// same reports whether two studies have the same experiments and execution.
func same(a, b *Study) bool {
	return a.Execution == b.Execution && slices.EqualFunc(a.Experiments, b.Experiments,
		func(x, y Experiment) bool { return x.ID() == y.ID() })
}

// TestParseFrozen: a written study reads back unchanged, for every backend and every key of the execution section.
func TestParseFrozen(t *testing.T) {
	s, err := Parse("s.yaml", []byte(`
name: all
model: random:tiny-llama
backend: [embedded, pytorch, fake, vllm, sglang, tensorrt, llamacpp]
sweep: {dtype: [float16, bfloat16]}
execution: {profile: publication, order: latin_square, seed: 7, gap_seconds: 2.5, run_timeout: 90s,
  study_timeout: 2h, max_failures: 3}
`))
	if err != nil {
		t.Fatal(err)
	}
	path := freeze(t, s)
	got, err := readFrozen(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Execution != s.Execution || got.Name != "all" || len(got.Experiments) != len(s.Experiments) {
		t.Errorf("read %+v, %d experiments, want %+v, %d", got.Execution, len(got.Experiments), s.Execution,
			len(s.Experiments))
	}
	for i := range s.Experiments {
		if got.Experiments[i].ID() != s.Experiments[i].ID() {
			t.Errorf("experiment %d is another one", i)
		}
	}
	s.Execution.Gap = Gap{Mode: terms.GapByCondition}
	if got, err = readFrozen(freeze(t, s)); err != nil || got.Execution.Gap != s.Execution.Gap {
		t.Errorf("gap %+v, %v", got.Execution.Gap, err)
	}
}

// TestFrozenChanged: a modified file is refused.
func TestFrozenChanged(t *testing.T) {
	s, err := Parse("s.yaml", []byte("model: random:tiny-llama\nseed: 5\n"))
	if err != nil {
		t.Fatal(err)
	}
	path := freeze(t, s)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"a value": {"seed: 5", "seed: 6"}, "the order": {"order: balanced", "order: any"},
		"the section": {"embedded:\n", "fake:\n"}, "its end": {string(text[100:]), ""}, "all of it": {string(text),
			"- 1"},
	} {
		if !strings.Contains(string(text), change[0]) {
			t.Fatalf("%s: %q is not in\n%s", name, change[0], text)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), change[0], change[1], 1)),
			0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readFrozen(path); err == nil {
			t.Errorf("%s was changed: %+v", name, got)
		}
	}
}

// TestOwnSeed: a study without a seed derives it from its experiments, whatever their order; a given seed takes
// precedence.
func TestOwnSeed(t *testing.T) {
	seed := func(text string) uint64 {
		s, err := Parse("s.yaml", []byte("model: random:tiny-llama\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		return s.Execution.Seed
	}
	a := seed("sweep: {seed: [1, 2]}\nexecution: {order: shuffle}")
	if b := seed("name: other\nsweep: {seed: [2, 1]}\nexecution: {order: shuffle, cycles: 3}"); b != a {
		t.Errorf("the same experiments have the seeds %d and %d", a, b)
	}
	if b := seed("sweep: {seed: [1, 3]}\nexecution: {order: shuffle}"); b == a || a <= 1 || a >= 1<<53 {
		t.Errorf("seeds %d and %d of different experiments", a, b)
	}
	for _, given := range []uint64{0, 1, 7} {
		if got := seed(fmt.Sprintf("execution: {order: shuffle, seed: %d}", given)); got != given {
			t.Errorf("seed %d, given was %d", got, given)
		}
	}
}

// TestFrozenLines: a large study has a line for each experiment, is still YAML, and is read without the memory of
// a YAML tree.
func TestFrozenLines(t *testing.T) {
	s, err := Parse("s.yaml", []byte("name: 'a: \"b\"'\nmodel: random:tiny-llama\nbackend: [embedded, "+
		"fake]\nsweep: {seed: 1..600}\nexecution: {cycles: 3}"))
	if err != nil {
		t.Fatal(err)
	}
	path := freeze(t, s)
	got, err := readFrozen(path)
	if err != nil {
		t.Fatal(err)
	}
	if !same(s, got) || got.Name != s.Name || len(got.Experiments) != 1200 {
		t.Errorf("%d other experiments of %q", len(got.Experiments), got.Name)
	}
	again, err := Load(Options{Path: path})
	if err != nil || !same(again, s) {
		t.Errorf("it cannot be run again: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"a value":  strings.Replace(string(text), `"seed":7,`, `"seed":7000,`, 1),
		"its end":  string(text[:len(text)-20]),
		"no dash":  strings.Replace(string(text), "\n- {\"id\"", "\n{\"id\"", 2),
		"a line":   string(text) + "more: 1\n",
		"its head": strings.Replace(string(text), "cycles: 3", "cycles: x", 1),
	} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readFrozen(path); err == nil {
			t.Errorf("%s was changed, and it was read", name)
		}
	}
}
