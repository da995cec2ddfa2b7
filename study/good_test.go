package study

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGood: one file per form of the grammar, with its points.
func TestGood(t *testing.T) {
	files, err := filepath.Glob("testdata/*.good.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := parseTestdata("study.yaml", data)
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, strings.TrimSuffix(file, ".yaml")+".txt", summary(t, s))
		})
	}
}

func checkGolden(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// summary describes a study, one line for each experiment.
func summary(t *testing.T, s *Study) string {
	t.Helper()
	var b strings.Builder
	execution, err := json.Marshal(s.Execution)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "name %q, %d experiments, %d merged, %d refused, %d filtered, unused %v, backend named "+
		"%t\nexecution %s\n",
		s.Name, len(s.Experiments), s.Merged, s.Refused, s.Filtered, s.Unused, s.BackendNamed, execution)
	for _, e := range s.Experiments {
		fmt.Fprintf(&b, "%s %s %s %s %d/%d/%d warmup %d baseline %g/%g/%g seed %d %s\n", e.ID(), e.Model, e.DType,
			e.Workload.Dataset, e.Workload.Prompts,
			e.Workload.InputTokens, e.Workload.OutputTokens, e.Warmup.Runs, e.Baseline.Seconds,
			e.Baseline.ResidentSeconds, e.Baseline.MaxAgeSeconds, e.Seed, e.Backend+string(e.Section))
	}
	for _, d := range s.Duplicates {
		fmt.Fprintf(&b, "duplicate of %s: %s\n", d.ID, d.Point)
	}
	for _, i := range s.Invalid {
		fmt.Fprintf(&b, "invalid: %s: %s; %s\n", i.Point, i.Message, i.Next)
	}
	return b.String()
}

// TestExamples: the studies of the repository load.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		s, err := Load(Options{Path: file})
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if s.Refused > 0 || s.Merged > 0 {
			t.Errorf("%s: %d refused, %d merged", file, s.Refused, s.Merged)
		}
	}
}

// TestFrozen: a written study reads back as the same study.
func TestFrozen(t *testing.T) {
	good, _ := filepath.Glob("testdata/*.good.yaml")
	for _, file := range good {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := parseTestdata("study.yaml", data)
		if err != nil {
			t.Fatal(err)
		}
		text, err := s.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("frozen.yaml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v\n%s", file, err, text)
			continue
		}
		if diff := cmp.Diff(s.Experiments, again.Experiments); diff != "" {
			t.Errorf("%s: experiments (-want +got):\n%s", file, diff)
		}
		if again.Name != s.Name || again.Execution != s.Execution {
			t.Errorf("%s: read back %q %+v, want %q %+v", file, again.Name, again.Execution, s.Name, s.Execution)
		}
	}
}

// TestFrozenTexts: texts that YAML could read as another type stay texts.
func TestFrozenTexts(t *testing.T) {
	for _, text := range []string{"010", "1e3", "12e456789012", "123456789012", "0x10", "1_000", "yes", "~", "null",
		"true", "1:30", "=", "<<", "2024-01-01", "- a", "a: b", "#x", "*x", "&x", "!x", "%x", "@x", "'", "\"", "[a",
		"{}", "größe", "-", "?", ".nan", "|", ">"} {
		s := &Study{Name: text, Execution: defaultExecution(), Experiments: []Experiment{defaultExperiment(Embedded)}}
		s.Experiments[0].Model = text
		out, err := s.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("frozen.yaml", []byte(out))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if again.Name != text || again.Experiments[0].Model != text {
			t.Errorf("%q is read back as %q and %q", text, again.Name, again.Experiments[0].Model)
		}
	}
}
