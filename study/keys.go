package study

import (
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/grammar"
)

// keys is the grammar of studies over the engines that there are.
type keys struct {
	engines engine.Descriptors
	// backends are the names of the engines.
	backends []string
	// fields are all keys of an experiment, in the order of documentation.
	fields []*field
	byKey  map[string]*field
	// batch is the field that holds the batch size of each engine.
	batch map[string]*field
	// sections are the engines' sections by name.
	sections map[string]*section
	// initial are the settings of a study that says nothing.
	initial settings
}

// section is one engine's section, with the settings that were looked at last.
type section struct {
	descriptor *engine.Descriptor
	// from is the slot of its first key, followed by the others.
	from   int
	bound  engine.Section
	fields []engine.Field
	// last are the values in bound, and text is their form in an experiment.
	last []grammar.Value
	text engine.JSON
	// shared finds the text of equal sections.
	shared map[string]engine.JSON
	buffer []byte
}

// newKeys makes the grammar.
func newKeys(engines engine.Descriptors) *keys {
	k := &keys{engines: engines, backends: engines.Names(), byKey: map[string]*field{}, batch: map[string]*field{},
		sections: map[string]*section{}}
	var sampling []string
	for _, d := range engines {
		if !d.Greedy {
			sampling = append(sampling, d.Name)
		}
	}
	k.fields = common(k.backends, strings.Join(sampling, ", "))
	for i := range engines {
		d := &engines[i]
		s := &section{descriptor: d, from: len(k.initial.sections), bound: d.Section(),
			shared: map[string]engine.JSON{}}
		s.fields = s.bound.Fields()
		for j := range s.fields {
			f := sectionField(d.Name, &s.fields[j], len(k.initial.sections))
			k.fields = append(k.fields, f)
			k.initial.sections = append(k.initial.sections, s.fields[j].Get())
			if j == engine.BatchField(s.fields) {
				k.batch[d.Name] = f
			}
		}
		k.sections[d.Name] = s
	}
	for _, f := range k.fields {
		k.byKey[f.key] = f
	}
	if len(engines) > 0 {
		k.initial.Experiment = DefaultExperiment(engines[0])
	}
	k.initial.Section = ""
	k.initial.Decoding.TopP = 1
	return k
}

// sectionField is the key of a section as a key of a study.
func sectionField(name string, f *engine.Field, slot int) *field {
	return &field{key: name + "." + f.Key, help: f.Help, kind: f.Kind(), section: name, undivided: f.IsList,
		list: f.IsList, optional: f.Left(), machine: f.IsMachine(), slot: slot}
}

// lookup finds a field by its dotted key.
func (k *keys) lookup(key string) (*field, bool) {
	f, ok := k.byKey[key]
	return f, ok
}

// alias is the engine that a word stands for.
func (k *keys) alias(word string) (string, bool) {
	for _, d := range k.engines {
		if slices.Contains(d.Aliases, word) {
			return d.Name, true
		}
	}
	return "", false
}

// defaults are the settings of a study that says nothing.
func (k *keys) defaults() settings {
	var s settings
	s.copyFrom(&k.initial)
	return s
}

// load puts the values of the settings into the section, unless they are there.
func (s *section) load(all *settings) {
	values := all.sections[s.from : s.from+len(s.fields)]
	if s.last != nil && equal(values, s.last) {
		return
	}
	for i := range s.fields {
		s.fields[i].Set(values[i])
	}
	s.last = append(s.last[:0], values...)
	s.buffer = engine.Append(s.buffer[:0], s.fields)
	text, ok := s.shared[string(s.buffer)]
	if !ok {
		text = engine.JSON(s.buffer)
		s.shared[string(text)] = text
	}
	s.text = text
}

func equal(a, b []grammar.Value) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// experiment gives the settings the form of an experiment with the section of its
// backend.
func (k *keys) experiment(s *settings) Experiment {
	e := s.Experiment
	own := k.sections[e.Backend]
	own.load(s)
	e.Section = own.text
	return e
}

// Keys lists every key of an experiment with what it accepts, for documentation and help.
func Keys(engines engine.Descriptors) [][2]string {
	fields := newKeys(engines).fields
	out := make([][2]string, len(fields))
	for i, f := range fields {
		out[i] = [2]string{f.key, f.kind.Want}
	}
	return out
}

// BatchKeys lists the key of each engine that holds the batch size.
func BatchKeys(engines engine.Descriptors) []string {
	k := newKeys(engines)
	out := make([]string, len(k.backends))
	for i, name := range k.backends {
		out[i] = k.batch[name].key
	}
	return out
}
