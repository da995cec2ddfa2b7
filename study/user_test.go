package study

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/engine/engines"
)

func userFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// TestPrecedence: flags over the study over the environment over the user's file over
// the defaults.
func TestPrecedence(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s.yaml")
	if err := os.WriteFile(path,
		[]byte("model: random:tiny-llama\nenergy: {pue: 1.3}\nexecution: {max_failures: 3}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(Options{Path: path, Settings: []Setting{{Flag: "-s", Key: "execution.max_failures", Value: "4"}},
		User: userFile(t, "energy: {pue: 1.1, price_per_kwh: 0.1, carbon_intensity_g_per_kwh: 100}\nexecution: "+
			"{max_failures: 1, gap_seconds: 7}\n"),
		Getenv: environment("LLEM_ENERGY_PUE", "1.2", "LLEM_ENERGY_PRICE_PER_KWH", "0.2",
			"LLEM_EXECUTION_MAX_FAILURES", "2")})
	if err != nil {
		t.Fatal(err)
	}
	e, x := s.Experiments[0].Energy, s.Execution
	if e.PUE != 1.3 || e.PricePerKWh != 0.2 || e.CarbonIntensity != 100 || x.MaxFailures != 4 || x.Gap.Seconds != 7 ||
		e.Sources != "auto" {
		t.Errorf("energy %+v, execution %+v", e, x)
	}
}

// TestUserFileHoldsNoStudy: a study's own values must not come unnoticed from elsewhere.
func TestUserFileHoldsNoStudy(t *testing.T) {
	for text, want := range map[string]string{
		"model: random:tiny-llama\n":                   "config.yaml:1:8: model belongs in a study",
		"energy: {pue: 1.1}\nexecution: {cycles: 3}\n": "config.yaml:2:21: execution.cycles belongs in a study",
		"energy: {puu: 1.1}\n":                         `unknown key "puu"`,
		"energy: {pue: 0}\n":                           "energy.pue is",
		"sweep: {embedded.threads: [1, 2]}\n":          "the axis embedded.threads belongs in a study",
		"name: x\n":                                    "name belongs in a study",
		"experiments: [{embedded.threads: 2}]\n":       "a sweep or a list of experiments belongs in a study",
		"base: other.yaml\n":                           "base belongs in a study file",
	} {
		_, err := Load(Options{User: userFile(t, text),
			Settings: []Setting{{Key: "model", Value: "random:tiny-llama"}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"", "# nothing yet\n", "\n\n"} {
		if _, err := Load(Options{User: userFile(t, text),
			Settings: []Setting{{Key: "model", Value: "random:tiny-llama"}}}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Load(Options{Getenv: environment("LLEM_ENERGY_PUE", "much"),
		Settings: []Setting{{Key: "model", Value: "random:tiny-llama"}}}); err == nil ||
		!strings.Contains(err.Error(), "LLEM_ENERGY_PUE: energy.pue") {
		t.Errorf("a bad variable: %v", err)
	}
}

func TestMachine(t *testing.T) {
	path := userFile(t, "# mine\nexecution: {gap_seconds: auto, run_timeout: 90m}\n")
	got, err := Machine(Options{User: path, Getenv: environment("LLEM_ENERGY_PUE", "1.5")})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, o := range got {
		found[o.Key] = strings.TrimSuffix(o.Value+" "+o.Unit, " ") + " from " + o.From
	}
	for key, want := range map[string]string{"energy.pue": "1.5 from LLEM_ENERGY_PUE",
		"execution.gap_seconds": "auto from " + path + ":2",
		"execution.run_timeout": "1h30m from " + path +
			":2", "pytorch.device": "auto from default", "embedded.threads": "0 from default"} {
		if found[key] != want {
			t.Errorf("%s: %q, want %q", key, found[key], want)
		}
	}
	if len(got) != len(machineKeyNames(engines.All())) {
		t.Errorf("%d keys, want %d", len(got), len(machineKeyNames(engines.All())))
	}
}

// TestInterpreter: the interpreter is set only in the user's file or a variable.
func TestInterpreter(t *testing.T) {
	path := userFile(t, "python: /opt/venv/bin/python\nenergy: {pue: 1.2}\n")
	if got := Interpreter(Options{User: path}); got != "/opt/venv/bin/python" {
		t.Errorf("from the file: %q", got)
	}
	if got := Interpreter(Options{User: path,
		Getenv: environment("LLEM_PYTHON", "/usr/bin/python3")}); got != "/usr/bin/python3" {
		t.Errorf("from the environment: %q", got)
	}
	if _, err := Load(Options{User: path,
		Settings: []Setting{{Key: "model", Value: "random:tiny-llama"}}}); err != nil {
		t.Errorf("a study beside it: %v", err)
	}
	for _, err := range []error{
		func() error { _, err := Parse("s.yaml", []byte("model: m\npython: /x\n")); return err }(),
		func() error {
			_, err := Load(Options{Settings: []Setting{{Flag: "-s", Key: "python", Value: "/x"}}})
			return err
		}(),
	} {
		if err == nil || !strings.Contains(err.Error(), `unknown key "python"`) ||
			!strings.Contains(err.Error(), "LLEM_PYTHON") {
			t.Errorf("in a study: %v", err)
		}
	}
}

// TestNamedFileMustExist: a file that LLEM_CONFIG names must exist.
func TestNamedFileMustExist(t *testing.T) {
	getenv := environment("LLEM_CONFIG", "/nowhere/c.yaml")
	if _, err := Machine(Options{User: UserFile(getenv), Getenv: getenv}); err == nil ||
		!strings.Contains(err.Error(), "LLEM_CONFIG: no such file: /nowhere/c.yaml") {
		t.Errorf("named: %v", err)
	}
	if _, err := Machine(Options{User: "/nowhere/c.yaml", Getenv: environment()}); err != nil {
		t.Errorf("the usual place: %v", err)
	}
}

func TestUnknownVariables(t *testing.T) {
	got := UnknownVariables(engines.All(), []string{"LLEM_ENERGY_PEU=1.2", "LLEM_ENERGY_PUE=1.2", "LLEM_CACHE=/x",
		"LLEM_PYTHON_VLLM=/x", "LLEM_LLAMA_SERVER=/x", "LLEM_TEST_X=1", "PATH=/bin", "LLEM_EMPTY=",
		"LLEM_EXECUTION_CYCLES=3", "LLEM_FROBNICATE=1"})
	want := []string{
		"unknown variable LLEM_ENERGY_PEU: did you mean LLEM_ENERGY_PUE?",
		"unknown variable LLEM_EXECUTION_CYCLES: execution.cycles belongs in a study (-s " +
			"execution.cycles=VALUE)",
		"unknown variable LLEM_FROBNICATE",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

// TestOrigins: every value of a study has its origin.
func TestOrigins(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s.yaml")
	text := "base: base.yaml\nmodel: random:tiny-llama\nbackend: [embedded, vllm]\nsweep:\n  vllm.max_num_seqs: " +
		"8..512*2\n  link: {workload.prompts: batch}\nexecution: {profile: standard, order: shuffle}\n"
	for name, text := range map[string]string{"s.yaml": text, "base.yaml": "warmup: {runs: 4}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	user := userFile(t, "energy: {price_per_kwh: 0.1}\n")
	s, got, err := Origins(Options{Path: path, User: user, Getenv: environment("LLEM_ENERGY_PUE", "1.5"),
		Settings: []Setting{{Flag: "--dtype", Key: "dtype", Value: "float16,bfloat16"}}})
	if err != nil || len(s.Experiments) == 0 {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, o := range got {
		found[o.Key] = strings.TrimSuffix(o.Value+" "+o.Unit, " ") + " from " + o.From
	}
	for key, want := range map[string]string{
		"model": "random:tiny-llama from " + path + ":2", "backend": "embedded, vllm from " + path +
			":3", "warmup.runs": "4 from " + filepath.Join(dir, "base.yaml") + ":1",
		"dtype": "float16, bfloat16 from --dtype", "vllm.max_num_seqs": "8, 16, 32, 64, 128, 256, 512 from " + path +
			":5",
		"workload.prompts": "follows other keys from " + path + ":6", "energy.price_per_kwh": "0.1 from " + user +
			":1", "energy.pue": "1.5 from LLEM_ENERGY_PUE",
		"seed": "1 from default", "energy.max_window": "30 s from default",
		"vllm.block_size":  " from the engine's default",
		"execution.cycles": "3 from profile standard (" + path + ":7)",
		"execution.order": "shuffle from " + path +
			":7", "execution.seed": strconv.FormatUint(s.Execution.Seed, 10) +
			" from the experiments of the study", "execution.gap_seconds": "auto from profile standard (" + path +
			":7)",
	} {
		if found[key] != want {
			t.Errorf("%s: %q, want %q", key, found[key], want)
		}
	}
	if _, ok := found["pytorch.device"]; ok {
		t.Error("a key of a backend that the study does not run")
	}
	if _, _, err := Origins(Options{Settings: []Setting{{Key: "dtype", Value: "x"}}}); err == nil {
		t.Error("a mistake is not a study")
	}
}

func TestUserFile(t *testing.T) {
	for want, getenv := range map[string]func(string) string{
		"/x/llem/config.yaml": environment("XDG_CONFIG_HOME", "/x", "HOME",
			"/home/a"), "/home/a/.config/llem/config.yaml": environment("HOME", "/home/a"),
		"/mine.yaml": environment("LLEM_CONFIG", "/mine.yaml", "HOME", "/home/a"), "": environment(),
	} {
		if got := UserFile(getenv); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
