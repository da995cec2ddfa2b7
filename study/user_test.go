package study

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	if err := os.WriteFile(path, []byte("model: random:tiny-llama\nenergy: {pue: 1.3}\nexecution: {max_failures: 3}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(Options{Path: path, Settings: []Setting{{Flag: "-s", Key: "execution.max_failures", Value: "4"}},
		User:   userFile(t, "energy: {pue: 1.1, price_per_kwh: 0.1, carbon_intensity_g_per_kwh: 100}\nexecution: {max_failures: 1, gap_seconds: 7}\n"),
		Getenv: environment("LLEM_ENERGY_PUE", "1.2", "LLEM_ENERGY_PRICE_PER_KWH", "0.2", "LLEM_EXECUTION_MAX_FAILURES", "2")})
	if err != nil {
		t.Fatal(err)
	}
	e, x := s.Experiments[0].Energy, s.Execution
	if e.PUE != 1.3 || e.PricePerKWh != 0.2 || e.CarbonIntensity != 100 || x.MaxFailures != 4 || x.Gap.Seconds != 7 || e.Sources != "auto" {
		t.Errorf("energy %+v, execution %+v", e, x)
	}
}

// TestUserFileHoldsNoStudy: what a study asks must not come from elsewhere unseen.
func TestUserFileHoldsNoStudy(t *testing.T) {
	for text, want := range map[string]string{
		"model: random:tiny-llama\n":                   "config.yaml:1:8: model belongs into a study",
		"energy: {pue: 1.1}\nexecution: {cycles: 3}\n": "config.yaml:2:21: execution.cycles belongs into a study",
		"energy: {puu: 1.1}\n":                         `unknown key "puu"`,
		"energy: {pue: 0}\n":                           "energy.pue is",
		"sweep: {embedded.threads: [1, 2]}\n":          "the axis embedded.threads belongs into a study",
		"name: x\n":                                    "name belongs into a study",
		"experiments: [{embedded.threads: 2}]\n":       "a sweep or a list of experiments belongs into a study",
		"base: other.yaml\n":                           "base belongs into a study file",
	} {
		_, err := Load(Options{User: userFile(t, text), Settings: []Setting{{Key: "model", Value: "random:tiny-llama"}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"", "# nothing yet\n", "\n\n"} {
		if _, err := Load(Options{User: userFile(t, text), Settings: []Setting{{Key: "model", Value: "random:tiny-llama"}}}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Load(Options{Getenv: environment("LLEM_ENERGY_PUE", "much"), Settings: []Setting{{Key: "model", Value: "random:tiny-llama"}}}); err == nil || !strings.Contains(err.Error(), "LLEM_ENERGY_PUE: energy.pue") {
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
		found[o.Key] = o.Value + " from " + o.From
	}
	for key, want := range map[string]string{"energy.pue": "1.5 from LLEM_ENERGY_PUE", "execution.gap_seconds": "auto from " + path + ":2",
		"execution.run_timeout": "1h30m from " + path + ":2", "pytorch.device": "auto from default", "embedded.threads": "0 from default"} {
		if found[key] != want {
			t.Errorf("%s: %q, want %q", key, found[key], want)
		}
	}
	if len(got) != len(MachineKeys()) {
		t.Errorf("%d keys, want %d", len(got), len(MachineKeys()))
	}
}

func TestUserFile(t *testing.T) {
	for want, getenv := range map[string]func(string) string{
		"/x/llem/config.yaml": environment("XDG_CONFIG_HOME", "/x", "HOME", "/home/a"), "/home/a/.config/llem/config.yaml": environment("HOME", "/home/a"),
		"/mine.yaml": environment("LLEM_CONFIG", "/mine.yaml", "HOME", "/home/a"), "": environment(),
	} {
		if got := UserFile(getenv); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
