package study

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// loadText reads a study file with settings over it.
func loadText(t *testing.T, text string, settings ...string) (*Study, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	o := Options{Path: path}
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		o.Settings = append(o.Settings, Setting{Flag: "--set " + s, Key: key, Value: value})
	}
	return Load(o)
}

// TestCommandLine: the sweep grammar in settings, and what they override.
func TestCommandLine(t *testing.T) {
	const grid = "model: m/n\nsweep: {dtype: [float16, float32], embedded.batch_size: [1, 2, 4]}\n"
	const groups = "model: m/n\nsweep:\n  groups: {g: [{}, {embedded.batch_size: 8, dtype: float32}]}\n  zip: " +
		"{seed: [1, 2], warmup.runs: [3, 4]}\n"
	const points = "model: m/n\nbackend: [embedded, fake]\nexperiments:\n  - {backend: fake, fake.speed: 2, seed: " +
		"5}\n  - {backend: embedded, seed: 6}\n  - {embedded.threads: 3}\n"
	for _, test := range []struct {
		name, text     string
		settings       []string
		want, filtered int
		check          func(Experiment) bool
	}{
		{"one value ends an axis", grid, []string{"dtype=float16"}, 3, 0,
			func(e Experiment) bool { return e.DType == "float16" }},
		{"a list replaces an axis", grid, []string{"dtype=q8_0,q4_0,float32"}, 9, 0, nil},
		{"a range", grid, []string{"embedded.batch_size=1..8*2"}, 8, 0, nil},
		{"spaces", grid, []string{"embedded.batch_size=1, 2"}, 4, 0, nil},
		{"a new axis", grid, []string{"seed=1..3"}, 18, 0, nil},
		{"sweep. in front", grid, []string{"sweep.seed=1..3"}, 18, 0, nil},
		{"the later one wins", grid, []string{"dtype=q8_0,q4_0", "dtype=float32"}, 3, 0,
			func(e Experiment) bool { return e.DType == "float32" }},
		{"a condition", grid, []string{"sweep.where=batch < 3"}, 4, 2,
			func(e Experiment) bool { return e.BatchSize() < 3 }},
		{"conditions add up", grid, []string{"sweep.where=batch < 3", "sweep.where=dtype == 'float16'"}, 2, 4, nil},
		{"a zip", grid, []string{"seed=1,2,3", "sweep.zip=seed,embedded.batch_size"}, 6, 0, func(e Experiment) bool {
			return e.BatchSize() == map[uint64]int{1: 1, 2: 2, 3: 4}[e.Seed]
		}},
		{"a link", grid, []string{"sweep.link.workload.prompts=batch * 2"}, 6, 0,
			func(e Experiment) bool { return e.Workload.Prompts == 2*e.BatchSize() }},
		{"over a group", groups, []string{"embedded.batch_size=3"}, 4, 0,
			func(e Experiment) bool { return e.BatchSize() == 3 }},
		{"over a whole group", groups, []string{"embedded.batch_size=3", "dtype=float16"}, 2, 0, nil},
		{"over a zip", groups, []string{"seed=9"}, 4, 0, func(e Experiment) bool { return e.Seed == 9 }},
		{"over entries", points, []string{"seed=9"}, 3, 0, func(e Experiment) bool { return e.Seed == 9 }},
		{"an axis over entries", points, []string{"seed=1,2"}, 6, 0, nil},
		{"a condition over entries", points, []string{"sweep.where=seed > 5"}, 1, 2, nil},
		{"some backends", points, []string{"backend=embedded"}, 2, 1,
			func(e Experiment) bool { return e.Backend == Embedded }},
		{"another backend", points, []string{"backend=fake"}, 1, 2,
			func(e Experiment) bool { return e.Backend == Fake && strings.Contains(string(e.Section), `"speed":2`) }},
		{"an axis of a section over entries", points, []string{"fake.batch_size=1,2,3"}, 5, 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := loadText(t, test.text, test.settings...)
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Experiments) != test.want || s.Filtered != test.filtered {
				t.Errorf("%d experiments, %d filtered, want %d and %d", len(s.Experiments), s.Filtered, test.want,
					test.filtered)
			}
			for _, e := range s.Experiments {
				if test.check != nil && !test.check(e) {
					t.Errorf("unexpected %s %+v", e.Label(), e)
				}
			}
		})
	}
}

// TestCommandLineMistakes: each is one message that begins with the flag.
func TestCommandLineMistakes(t *testing.T) {
	for setting, want := range map[string]string{
		"dtyp=float16":                  `unknown key "dtyp"`,
		"workload=3":                    "workload holds keys, not a value",
		"experiments=3":                 "experiments is allowed in a study file only",
		"sweep=3":                       "sweep is allowed in a study file only",
		"sweep.groups=3":                "sweep.groups is allowed in a study file only",
		"base=x.yaml":                   "base is allowed in a study file only",
		"sweep.where=batch":             "sweep.where=batch: where: batch: it is a number",
		"sweep.where=batch > x":         `it has the unknown key "x"`,
		"sweep.zip=seed":                "seed is not an axis of the sweep",
		"sweep.zip=sed,dtype":           `zip: unknown key "sed"`,
		"sweep.link.seed=dtype":         "link: seed takes a number, but dtype is a text",
		"sweep.link.sede=dtype":         `unknown key "sweep.link.sede"`,
		"energy.pue=1,2":                "energy.pue cannot be an axis",
		"execution.cycles=1,2":          `execution.cycles is "1,2"; want a whole number`,
		"dtype=float16,,x":              `dtype is ""`,
		"embedded.batch_size=4..1":      "descends and is empty",
		"execution.until.max_cycles=1":  "want a whole number from 2",
		"execution.gap_seconds=forever": "want a number from 0 to 86400, or auto",
		"backend=vllm, emeded":          `did you mean "embedded"?`,
	} {
		_, err := loadText(t, "model: m/n\n", setting)
		if err == nil || !strings.Contains(err.Error(), want) ||
			!strings.HasPrefix(err.Error(), "--set "+setting+": ") {
			t.Errorf("%s: %v\nwant %s", setting, err, want)
		}
	}
}

// TestBase: files are laid over one another.
func TestBase(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"base.yaml": "model: m/n\nname: base\nseed: 4\nworkload: {prompts: 3, output_tokens: 5}\nsweep: " +
			"{dtype: [float16, float32], warmup.runs: [1, 2], where: warmup.runs < 2}\nexperiments: [{seed: 9}]\n",
		"other.yaml": "seed: 6\nworkload: {output_tokens: 7}\n",
		"sub/child.yaml": "base: [../base.yaml, ../other.yaml]\nsweep: {warmup.runs: [0, 3], where: [], dtype: " +
			"[bfloat16]}\n",
		"sub/fixed.yaml":   "base: ../base.yaml\ndtype: bfloat16\nexperiments: []\n",
		"diamond.yaml":     "base: [sub/fixed.yaml, base.yaml, other.yaml]\n",
		"self.yaml":        "base: self.yaml\nmodel: m/n\n",
		"link-circle.yaml": "base: ./sub/../link-circle.yaml\nmodel: m/n\n",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) *Study {
		t.Helper()
		s, err := Load(Options{Path: filepath.Join(dir, name)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	child := at("sub/child.yaml")
	if len(child.Experiments) != 3 || child.Name != "base" {
		t.Errorf("child = %+v", child)
	}
	for _, e := range child.Experiments[:2] {
		if e.Seed != 6 || e.Workload.Prompts != 3 || e.Workload.OutputTokens != 7 || e.DType != "bfloat16" {
			t.Errorf("child has %+v", e)
		}
	}
	fixed := at("sub/fixed.yaml")
	if len(fixed.Experiments) != 1 || fixed.Experiments[0].DType != "bfloat16" ||
		fixed.Experiments[0].Warmup.Runs != 1 || fixed.Filtered != 1 {
		t.Errorf("fixed = %+v", fixed)
	}
	if diamond := at("diamond.yaml"); diamond.Experiments[0].Seed != 6 {
		t.Errorf("diamond = %+v", diamond)
	}
	for _, name := range []string{"self.yaml", "link-circle.yaml"} {
		if _, err := Load(Options{Path: filepath.Join(dir, name)}); err == nil ||
			!strings.Contains(err.Error(), "form a circle") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBaseReadsFilesOnly: reading a device or a pipe may never end.
func TestBaseReadsFilesOnly(t *testing.T) {
	for _, path := range []string{"/dev/zero", "/dev/stdin", "/", "/proc/self/mem"} {
		_, err := Parse("s.yaml", []byte("model: m/n\nbase: "+path+"\n"))
		if err == nil || !strings.Contains(err.Error(), "cannot read the base file") &&
			!strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestManyBases: files that multiply are refused.
func TestManyBases(t *testing.T) {
	dir := t.TempDir()
	for i := range 12 {
		text := "model: m/n\n"
		if i < 11 {
			text += "base: [" + string(rune('a'+i+1)) + ".yaml, " + string(rune('a'+i+1)) + ".yaml]\n"
		}
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i))+".yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Load(Options{Path: filepath.Join(dir, "a.yaml")})
	if err == nil || !strings.Contains(err.Error(), "more than 100 base files") {
		t.Errorf("%v", err)
	}
}
