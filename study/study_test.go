package study

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/internal/study/terms"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestDefaults(t *testing.T) {
	s, err := Load(Options{Settings: []Setting{{Flag: "--model", Key: "model", Value: "random:smollm2-135m"}}})
	if err != nil {
		t.Fatal(err)
	}
	want := defaultExperiment(Embedded)
	want.Model = "random:smollm2-135m"
	if diff := cmp.Diff([]Experiment{want}, s.Experiments); diff != "" {
		t.Errorf("experiments (-want +got):\n%s", diff)
	}
	if s.BackendNamed {
		t.Error("BackendNamed = true for a study that names none")
	}
}

func TestSweepIsAProduct(t *testing.T) {
	s, err := Parse("s.yaml", []byte(`
model: random:tiny-llama
backend: [pytorch, embedded]
workload: {prompts: 4}
sweep:
  dtype: [float32, float16]
  embedded.batch_size: 1..4*2
  pytorch: {batch_size: [3]}
execution: {cycles: 2, order: interleave}
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range s.Experiments {
		got = append(got, e.Label())
	}
	want := []string{
		"random:tiny-llama pytorch float32 batch 3", "random:tiny-llama pytorch float16 batch 3",
		"random:tiny-llama embedded float32 batch 1", "random:tiny-llama embedded float32 batch 2",
		"random:tiny-llama embedded float32 batch 4", "random:tiny-llama embedded float16 batch 1",
		"random:tiny-llama embedded float16 batch 2", "random:tiny-llama embedded float16 batch 4",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if s.Execution != (Execution{Cycles: 2, Order: "interleave", Seed: 1, Restart: terms.RestartNeeded}) {
		t.Errorf("execution = %+v", s.Execution)
	}
}

func TestSettingsOverrideTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.WriteFile(path, []byte("model: a/b\nsweep: {embedded.batch_size: [1, 2, 4]}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Load(Options{Path: path, Settings: []Setting{
		{Flag: "--set", Key: "embedded.batch_size", Value: "8"}, {Flag: "--set", Key: "workload.prompts",
			Value: "1..3"}, {Flag: "--cycles", Key: "execution.cycles", Value: "5"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Experiments) != 3 || s.Experiments[2].Workload.Prompts != 3 || s.Experiments[0].BatchSize() != 8 ||
		s.Execution.Cycles != 5 {
		t.Errorf("study = %+v", s)
	}
}

// TestIdentity: equal meanings have one ID, different meanings have different IDs.
func TestIdentity(t *testing.T) {
	id := func(text string) string {
		t.Helper()
		s, err := Parse("s.yaml", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return s.Experiments[0].ID()
	}
	base := id("model: m/n")
	for _, same := range []string{
		"model: m/n\nbackend: embedded", "embedded: {batch_size: 1}\nmodel: m/n", "model: m/n\nembedded: {}",
		"model: m/n\npytorch: {batch_size: 8}", "model: m/n\nbaseline: {seconds: 5.0}",
		"model: m/n\nname: other\nexecution: {cycles: 9}", "model: m/n\nenergy: {price_per_kwh: 0.3}",
		"model: m/n\nenergy: {remote: 'http://node1:9400/metrics'}",
		"model: m/n\ndecoding: {temperature: -0}",
	} {
		if got := id(same); got != base {
			t.Errorf("%q has id %s, want %s", same, got, base)
		}
	}
	seen := map[string]string{base: "base"}
	for _, other := range []string{
		"model: m/o", "model: m/n\nbackend: pytorch", "model: m/n\nembedded: {batch_size: 2}",
		"model: m/n\ndtype: float16",
		"model: m/n\nwarmup: {runs: 2}", "model: m/n\nenergy: {sources: none}", "model: m/n\nseed: 2",
	} {
		got := id(other)
		if first, dup := seen[got]; dup {
			t.Errorf("%q and %q share the id %s", other, first, got)
		}
		seen[got] = other
	}
	if len(base) != 12 {
		t.Errorf("id %q, want 12 digits", base)
	}
}

// TestRemoteIsOneValue: its commas do not make an axis, not even on the command line.
func TestRemoteIsOneValue(t *testing.T) {
	const list = `http://node1:9400/metrics,wall=http://plug/metrics#power{channel="0",device="a"}:W`
	fromFile, err := Parse("s.yaml", []byte("model: m/n\nenergy:\n  remote: "+list+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	fromFlag, err := Load(Options{Settings: []Setting{{Key: "model", Value: "m/n", Flag: "--model"},
		{Key: "energy.remote", Value: list, Flag: "--set"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Study{fromFile, fromFlag} {
		if len(s.Experiments) != 1 || s.Experiments[0].Energy.Remote != list {
			t.Errorf("experiments %+v", s.Experiments)
		}
	}
}

func TestEqualPointsAreMerged(t *testing.T) {
	s, err := Parse("s.yaml", []byte("model: m/n\nsweep: {embedded.batch_size: [1, 2, 1]}"))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Experiments) != 2 || s.Merged != 1 {
		t.Errorf("%d experiments, %d merged, want 2 and 1", len(s.Experiments), s.Merged)
	}
}

// TestMistakes: one file per mistake, each with its exact message.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) < 100 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = parseTestdata("study.yaml", data)
			if err == nil {
				t.Fatal("no error")
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			got := err.Error() + "\n"
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
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

// parseTestdata reads a study as if it were in testdata.
func parseTestdata(name string, data []byte) (*Study, error) {
	b := newReading(nil)
	read := b.Read
	b.Read = func(path string) ([]byte, error) { return read(filepath.Join("testdata", path)) }
	b.Text(name, data)
	return b.build()
}
