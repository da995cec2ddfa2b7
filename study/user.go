package study

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/near"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

// machineKeys are the keys of a user's own file and of the environment: what belongs to a machine, not to a study.
var machineKeys = []string{
	"energy.price_per_kwh", "energy.currency", "energy.carbon_intensity_g_per_kwh", "energy.pue", "energy.remote",
	"baseline.max_age_seconds", ownOfEngines,
	"container.image", "container.program", "container.client",
	"execution.gap_seconds", "execution.rest.degrees", "execution.rest.power_pct", "execution.rest.at_most",
	"execution.run_timeout", "execution.study_timeout", "execution.max_failures",
}

// ownOfEngines stands for the keys of engines that belong to a machine.
const ownOfEngines = "engines"

// machineKeysOf returns the machine keys of a grammar.
func machineKeysOf(fields []*keys.Field) []string {
	var out []string
	for _, key := range machineKeys {
		if key != ownOfEngines {
			out = append(out, key)
			continue
		}
		for _, f := range fields {
			if f.Machine {
				out = append(out, f.Key)
			}
		}
	}
	return out
}

// ownKinds returns the keys that only a user's own file has.
func ownKinds() map[string]grammar.Kind {
	gigabytes := grammar.Pattern("a quantity of Kubernetes, such as 16 or 64Gi", `[0-9]+(m|[KMGT]i?)?`)
	return map[string]grammar.Kind{
		"python":                   grammar.Line("the path of a Python interpreter"),
		"slurm.partition":          grammar.Line("a partition of Slurm, or several separated by commas"),
		"slurm.account":            grammar.Line("an account of Slurm"),
		"slurm.qos":                grammar.Line("a quality of service of Slurm"),
		"slurm.constraint":         grammar.Line("features of nodes"),
		"slurm.time":               grammar.TimeSpan(),
		"slurm.gres":               grammar.Line("generic resources, such as gpu:h100:1"),
		"slurm.options":            grammar.Line("further options of sbatch"),
		"slurm.setup":              grammar.Line("a line of shell that runs before a worker"),
		"slurm.shared":             grammar.Switch(),
		"slurm.container":          grammar.Choice("pyxis", "apptainer"),
		"slurm.image":              grammar.Line("an image for workers"),
		"slurm.program":            grammar.Line("the path of llem on the nodes"),
		"kubernetes.namespace":     grammar.Line("a namespace"),
		"kubernetes.image":         grammar.Line("an image with llem and the engine"),
		"kubernetes.claim":         grammar.Line("the name of a PersistentVolumeClaim"),
		"kubernetes.mount":         grammar.Line("the folder in which workers see the claim"),
		"kubernetes.queue":         grammar.Line("a queue of Kueue"),
		"kubernetes.gpu":           grammar.Line("the name of the resource that a GPU is"),
		"kubernetes.cpu":           gigabytes,
		"kubernetes.memory":        gigabytes,
		"kubernetes.node_selector": grammar.Line("labels of nodes, NAME=VALUE separated by commas"),
		"kubernetes.rapl":          grammar.Switch(),
		"kubernetes.time":          grammar.TimeSpan(),
		"kubernetes.program":       grammar.Line("the path of llem in the image"),
	}
}

// machineKeyNames lists the keys that a user's own file and the environment may set.
func machineKeyNames(engines engine.Descriptors) []string { return newTable(engines).AllMachineKeys() }

// Variable returns the environment variable that sets a key: LLEM_ENERGY_PUE.
func Variable(key string) string { return keys.Variable(key) }

// Origin is a value with its origin.
type Origin struct {
	// Key is the dotted key.
	Key string `json:"key"`
	// Value is its text.
	Value string `json:"value"`
	// Unit of a number whose key does not have it, such as s; empty for none.
	Unit string `json:"unit,omitempty"`
	// From is the variable, the file with its line, or "default".
	From string `json:"from"`
}

// Machine lists the settings that apply to studies on this machine unless they set their own.
func Machine(o Options) ([]Origin, error) {
	b := newReading(o.Engines)
	b.Machine(o.User, o.Getenv)
	if len(b.Errs) > 0 {
		return nil, mistakes(b.Mistakes())
	}
	return append(b.ownOrigins(), b.machineOrigins()...), nil
}

// Interpreter returns the Python interpreter that the user's file or the environment names, or nothing. Mistakes
// are reported by [Load].
func Interpreter(o Options) string {
	b := newReading(o.Engines)
	b.Machine(o.User, o.Getenv)
	return b.Own["python"].Text
}

func (b reading) ownOrigins() []Origin {
	var out []Origin
	for _, key := range slices.Sorted(maps.Keys(b.OwnKinds)) {
		o := Origin{Key: key, From: "default"}
		if v, ok := b.Own[key]; ok {
			o.Value, o.From = v.Text, v.At.Place()
		}
		out = append(out, o)
	}
	return out
}

func (b reading) machineOrigins() []Origin {
	var out []Origin
	initial := b.Initial
	for _, key := range b.Set.Machine {
		origin := Origin{Key: key, From: "default"}
		if f, ok := b.Lookup(key); ok {
			origin.Value, origin.Unit = f.Kind.Format(f.Get(initial)), f.Unit
			for _, p := range b.Fixed {
				if p.F == f {
					origin.Value, origin.From = f.Kind.Format(p.V), p.At.Place()
				}
			}
		}
		if s, ok := b.Execution[key]; ok {
			origin.Value, origin.From = s.F.Kind.Format(s.V), s.At.Place()
		}
		out = append(out, origin)
	}
	return out
}

// otherVariables are variables that are not keys.
var otherVariables = []string{keys.ConfigVariable, "LLEM_RESULTS", "LLEM_NODE", "LLEM_CACHE", "LLEM_SIM", "LLEM_WORKER",
	"LLEM_RUN", "LLEM_NVML_LIBRARY"}

// UnknownVariables returns a line for each variable of an environment (NAME=VALUE) that begins with LLEM_ but is
// unknown, with the variable that was probably meant. Variables of tests begin with LLEM_TEST_.
func UnknownVariables(engines engine.Descriptors, environ []string) []string {
	k := newTable(engines)
	known := slices.Clone(otherVariables)
	for _, d := range engines {
		if d.Variable != "" {
			known = append(known, d.Variable)
		}
	}
	for _, key := range k.AllMachineKeys() {
		known = append(known, Variable(key))
	}
	var out []string
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if text == "" || !strings.HasPrefix(name, "LLEM_") || strings.HasPrefix(name, "LLEM_TEST_") ||
			slices.Contains(known, name) {
			continue
		}
		line := "unknown variable " + name
		if meant := near.Best(name, known); meant != "" && near.Distance(name, meant) <= 3 {
			line += fmt.Sprintf(": did you mean %s?", meant)
		} else if key := k.studyKey(name); key != "" {
			line += fmt.Sprintf(": %s belongs in a study (-s %s=VALUE)", key, key)
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// studyKey returns the study key that a variable resembles, or nothing.
func (k *table) studyKey(variable string) string {
	for _, f := range k.Fields {
		if Variable(f.Key) == variable {
			return f.Key
		}
	}
	for _, f := range executionFields() {
		if Variable(f.Key) == variable {
			return f.Key
		}
	}
	return ""
}

// UserFile returns the path of the user's own file: LLEM_CONFIG, or llem/config.yaml in the folder for settings
// (XDG_CONFIG_HOME, or ~/.config).
func UserFile(getenv func(string) string) string {
	if path := getenv(keys.ConfigVariable); path != "" {
		return path
	}
	dir := getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home := getenv("HOME")
		if home == "" {
			return ""
		}
		dir = home + string(os.PathSeparator) + ".config"
	}
	return dir + "/llem/config.yaml"
}
