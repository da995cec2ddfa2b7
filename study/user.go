package study

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/grammar"
	"github.com/llenergymeasure/llem/internal/near"
)

// machineKeys are the keys of a user's own file and of the environment: what belongs
// to a machine, and not to what a study asks.
var machineKeys = []string{
	"energy.price_per_kwh", "energy.carbon_intensity_g_per_kwh", "energy.pue", "energy.remote",
	"baseline.max_age_seconds", ownOfEngines,
	"container.image", "container.program", "container.client",
	"execution.gap_seconds", "execution.rest.degrees", "execution.rest.power_pct", "execution.rest.at_most",
	"execution.run_timeout", "execution.study_timeout", "execution.max_failures",
}

// ownOfEngines stands for the keys of engines that belong to a machine.
const ownOfEngines = "engines"

// machineKeys are those of a grammar.
func (k *keys) machineKeys() []string {
	var out []string
	for _, key := range machineKeys {
		if key != ownOfEngines {
			out = append(out, key)
			continue
		}
		for _, f := range k.fields {
			if f.machine {
				out = append(out, f.key)
			}
		}
	}
	return out
}

// ownKeys are keys of a user's own file that no study has.
var ownKeys = map[string]grammar.Kind{
	"python": grammar.Line("the path of a Python interpreter"),
}

// MachineKeys lists the keys that a user's own file and the environment may set.
func MachineKeys(engines engine.Descriptors) []string { return newKeys(engines).allMachineKeys() }

func (k *keys) allMachineKeys() []string {
	return append(slices.Sorted(maps.Keys(ownKeys)), k.machineKeys()...)
}

// Variable is the environment variable that sets a key: LLEM_ENERGY_PUE.
func Variable(key string) string {
	return "LLEM_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// machine reads what belongs to the machine, below everything that a study says: the
// user's file, and over it the environment.
func (b *builder) machine(path string, getenv func(string) string) {
	if path != "" {
		b.userFile(path, getenv != nil && getenv(configVariable) == path)
	}
	if getenv == nil {
		return
	}
	for _, key := range b.allMachineKeys() {
		text := getenv(Variable(key))
		if text == "" {
			continue
		}
		l := newLayer(Variable(key))
		if _, own := ownKeys[key]; own {
			b.fix(&l, key, value{text: text, at: &Error{Source: Variable(key)}})
		} else {
			b.setting(&l, Setting{Flag: Variable(key), Key: key, Value: text})
		}
		b.onlyMachine(&l, &Error{Source: Variable(key)})
		b.merge(l)
	}
}

// userFile reads the user's own file, if there is one. One that is named must be there.
func (b *builder) userFile(path string, named bool) {
	data, err := b.read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && named:
		b.fail(&Error{Source: configVariable}, "make the file, or unset "+configVariable, "there is no file %s", path)
		return
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		b.fail(&Error{Source: path}, "mend or remove the file, or name another one with LLEM_CONFIG",
			"cannot read your own settings: %s", readProblem(err))
		return
	case !says(data):
		return
	}
	r := &reader{builder: b, out: newLayer(path), machine: true}
	root := r.parse(path, data)
	if root == nil {
		return
	}
	r.top(root)
	for _, base := range r.bases {
		b.fail(base.at, "put the keys into the file itself",
			"base belongs into a study file, not into your own settings")
	}
	b.onlyMachine(&r.out, &Error{Source: path})
	b.merge(r.out)
}

// says tells whether a YAML file holds more than comments.
func says(data []byte) bool {
	for line := range bytes.Lines(bytes.TrimPrefix(data, byteOrderMark)) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return true
		}
	}
	return false
}

// onlyMachine refuses what belongs into a study, and takes it out of the layer.
func (b *builder) onlyMachine(l *layer, whole *Error) {
	hint := "possible are " + strings.Join(b.allMachineKeys(), ", ")
	refuse := func(at *Error, what string) {
		b.fail(at, hint, "%s belongs into a study, not into the settings of a machine", what)
	}
	l.fixed = slices.DeleteFunc(l.fixed, func(p placed) bool {
		foreign := !slices.Contains(b.machineKeys(), p.f.key)
		if foreign {
			refuse(p.at, p.f.key)
		}
		return foreign
	})
	for key, s := range l.execution {
		if !slices.Contains(b.machineKeys(), key) {
			refuse(s.at, key)
			delete(l.execution, key)
		}
	}
	for _, a := range l.axes {
		refuse(a.at, a.String())
	}
	for _, k := range l.links {
		refuse(k.at, "a link")
	}
	if l.name != "" {
		refuse(whole, "name")
	}
	if l.where != nil || l.points != nil || l.hasZips || l.zips != nil {
		refuse(whole, "a sweep or a list of experiments")
	}
	l.name, l.axes, l.links, l.where, l.points, l.zips, l.hasZips = "", nil, nil, nil, nil, nil, false
}

// Origin is a value that holds for the machine and where it comes from.
type Origin struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	// From is the variable, the file with its line, or "default".
	From string `json:"from"`
}

// Machine lists what holds for studies on this machine unless they say otherwise.
func Machine(o Options) ([]Origin, error) {
	b := newBuilder(o.Engines)
	b.machine(o.User, o.Getenv)
	if len(b.errs) > 0 {
		return nil, b.errs.sorted()
	}
	return append(b.ownOrigins(), b.machineOrigins()...), nil
}

// Interpreter is the Python interpreter that the user's file or the environment names, or
// nothing. Mistakes are reported by [Load].
func Interpreter(o Options) string {
	b := newBuilder(o.Engines)
	b.machine(o.User, o.Getenv)
	return b.own["python"].text
}

func (b *builder) ownOrigins() []Origin {
	var out []Origin
	for _, key := range slices.Sorted(maps.Keys(ownKeys)) {
		o := Origin{Key: key, From: "default"}
		if v, ok := b.own[key]; ok {
			o.Value, o.From = v.text, v.at.place()
		}
		out = append(out, o)
	}
	return out
}

func (b *builder) machineOrigins() []Origin {
	var out []Origin
	initial := b.defaults()
	for _, key := range b.machineKeys() {
		origin := Origin{Key: key, From: "default"}
		if f, ok := b.lookup(key); ok {
			origin.Value = f.kind.Format(f.get(&initial))
			for _, p := range b.fixed {
				if p.f == f {
					origin.Value, origin.From = f.kind.Format(p.v), p.at.place()
				}
			}
		}
		if s, ok := b.execution[key]; ok {
			origin.Value, origin.From = s.f.kind.Format(s.v), s.at.place()
		}
		out = append(out, origin)
	}
	return out
}

// place is where a value stands, without a message.
func (e *Error) place() string {
	if e.Line == 0 {
		return e.Source
	}
	return fmt.Sprintf("%s:%d", e.Source, e.Line)
}

// configVariable names the user's own file.
const configVariable = "LLEM_CONFIG"

// otherVariables are those that are no keys.
var otherVariables = []string{configVariable, "LLEM_RESULTS", "LLEM_CACHE", "LLEM_SIM", "LLEM_WORKER",
	"LLEM_NVML_LIBRARY"}

// UnknownVariables says of variables in an environment (NAME=VALUE) that begin with LLEM_
// and mean nothing what was probably meant, one line each. Those of tests begin with
// LLEM_TEST_.
func UnknownVariables(engines engine.Descriptors, environ []string) []string {
	k := newKeys(engines)
	known := slices.Clone(otherVariables)
	for _, d := range engines {
		if d.Variable != "" {
			known = append(known, d.Variable)
		}
	}
	for _, key := range k.allMachineKeys() {
		known = append(known, Variable(key))
	}
	var out []string
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if text == "" || !strings.HasPrefix(name, "LLEM_") || strings.HasPrefix(name, "LLEM_TEST_") ||
			slices.Contains(known, name) {
			continue
		}
		line := "the variable " + name + " means nothing to llem"
		if meant := near.Best(name, known); meant != "" && near.Distance(name, meant) <= 3 {
			line += fmt.Sprintf(": did you mean %s?", meant)
		} else if key := k.studyKey(name); key != "" {
			line += fmt.Sprintf(": %s belongs into a study (-s %s=VALUE)", key, key)
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// studyKey is the key of a study that a variable looks like, or nothing.
func (k *keys) studyKey(variable string) string {
	for _, f := range k.fields {
		if Variable(f.key) == variable {
			return f.key
		}
	}
	for _, f := range executionFields {
		if Variable(f.key) == variable {
			return f.key
		}
	}
	return ""
}

// UserFile is the path of the user's own file: LLEM_CONFIG, or llem/config.yaml in the
// folder for settings (XDG_CONFIG_HOME, else ~/.config).
func UserFile(getenv func(string) string) string {
	if path := getenv(configVariable); path != "" {
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
