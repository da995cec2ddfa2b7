package source

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

// Machine reads the settings of the machine, which everything in a study overrides: the user's file, and over it
// the environment.
func (b *Source) Machine(path string, getenv func(string) string) {
	if path != "" {
		b.userFile(path, getenv != nil && getenv(keys.ConfigVariable) == path)
	}
	if getenv == nil {
		return
	}
	for _, key := range b.AllMachineKeys() {
		text := getenv(keys.Variable(key))
		if text == "" {
			continue
		}
		l := newLayer(keys.Variable(key))
		if _, own := b.OwnKinds[key]; own {
			b.fix(&l, key, Value{Text: text, At: &grammar.Error{Source: keys.Variable(key)}})
		} else {
			b.setting(&l, Setting{Flag: keys.Variable(key), Key: key, Value: text})
		}
		b.onlyMachine(&l, &grammar.Error{Source: keys.Variable(key)})
		b.merge(l)
	}
}

// userFile reads the user's own file, if it exists. A file named by the user must exist.
func (b *Source) userFile(path string, named bool) {
	data, err := b.Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && named:
		b.Fail(&grammar.Error{Source: keys.ConfigVariable}, "create the file, or unset "+keys.ConfigVariable,
			"no such file: %s", path)
		return
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		b.Fail(&grammar.Error{Source: path}, "fix or remove the file, or name another one with LLEM_CONFIG",
			"cannot read your own settings: %s", readProblem(err))
		return
	case !says(data):
		return
	}
	r := &reader{Source: b, out: newLayer(path), machine: true}
	root := r.parse(path, data)
	if root == nil {
		return
	}
	r.top(root)
	for _, base := range r.bases {
		b.Fail(base.At, "put the keys into the file itself",
			"base belongs in a study file, not in your own settings")
	}
	b.onlyMachine(&r.out, &grammar.Error{Source: path})
	b.merge(r.out)
}

// says reports whether a YAML file holds more than comments.
func says(data []byte) bool {
	for line := range bytes.Lines(bytes.TrimPrefix(data, byteOrderMark)) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return true
		}
	}
	return false
}

// onlyMachine refuses what belongs in a study, and removes it from the layer.
func (b *Source) onlyMachine(l *Layer, whole *grammar.Error) {
	hint := "allowed keys: " + strings.Join(b.AllMachineKeys(), ", ")
	refuse := func(at *grammar.Error, what string) {
		b.Fail(at, hint, "%s belongs in a study, not in the settings of a machine", what)
	}
	l.Fixed = slices.DeleteFunc(l.Fixed, func(p Placed) bool {
		foreign := !slices.Contains(b.Set.Machine, p.F.Key)
		if foreign {
			refuse(p.At, p.F.Key)
		}
		return foreign
	})
	for key, s := range l.Execution {
		if !slices.Contains(b.Set.Machine, key) {
			refuse(s.At, key)
			delete(l.Execution, key)
		}
	}
	for _, a := range l.Axes {
		refuse(a.At, a.String())
	}
	for _, k := range l.Links {
		refuse(k.At, "a link")
	}
	if l.Name != "" {
		refuse(whole, "name")
	}
	if l.Where != nil || l.Points != nil || l.hasZips || l.zips != nil {
		refuse(whole, "a sweep or a list of experiments")
	}
	l.Name, l.Axes, l.Links, l.Where, l.Points, l.zips, l.hasZips = "", nil, nil, nil, nil, nil, false
}
