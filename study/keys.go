package study

import (
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

// table is the grammar of studies over the available engines.
type table struct {
	*keys.Set
	engines engine.Descriptors
	// common are the keys that every experiment has; their slots are their indexes.
	common []commonKey
	able   able
	// preset and class are the keys that are shorthand for decoding and for an objective.
	preset, class *keys.Field
	// sections are the engines' sections by name.
	sections map[string]*section
}

// section is one engine's section, with the most recent settings.
type section struct {
	descriptor *engine.Descriptor
	span       keys.Span
	bound      engine.Section
	fields     []grammar.Slot
	// last are the values in bound, and text is their form in an experiment.
	last []grammar.Value
	text engine.JSON
	// shared finds the text of equal sections.
	shared map[string]engine.JSON
	buffer []byte
}

// newTable returns the grammar.
func newTable(list engine.Descriptors) *table {
	k := &table{engines: list, sections: map[string]*section{}, Set: &keys.Set{Backends: list.Names(),
		Aliases: map[string]string{}, Batch: map[string]*keys.Field{}, Spans: map[string]keys.Span{},
		OwnKinds: ownKinds()}}
	var templates []string
	for _, d := range list {
		if d.Chats {
			templates = append(templates, d.Name)
		}
		for _, word := range d.Aliases {
			k.Aliases[word] = d.Name
		}
	}
	k.able = able{strings.Join(templates, ", "), decodingOf(list)}
	k.addCommon()
	for i := range list {
		k.addSection(&list[i])
	}
	for _, f := range executionFields() {
		k.ExecutionFields = append(k.ExecutionFields, f.Field)
	}
	k.Lacks = lacksOf(list, k.Fields)
	k.Machine = machineKeysOf(k.Fields)
	k.Index()
	k.preset, _ = k.Lookup(presetKey)
	k.class, _ = k.Lookup(sloClass)
	return k
}

// decodingOf returns which engines have each decoding setting, and which lack it.
func decodingOf(list engine.Descriptors) map[string]havers {
	out := map[string]havers{}
	for _, setting := range grammar.DecodingKeys() {
		var with, without []string
		for _, d := range list {
			if _, ok := d.Decoding[setting]; ok {
				with = append(with, d.Name)
			} else {
				without = append(without, d.Name)
			}
		}
		out[setting] = havers{strings.Join(with, ", "), strings.Join(without, ", ")}
	}
	return out
}

// lacksOf are the keys that engines do not have and others do.
func lacksOf(list engine.Descriptors, fields []*keys.Field) map[string]keys.Lack {
	out := map[string]keys.Lack{}
	for _, d := range list {
		for key, why := range d.Lacks {
			if strings.HasPrefix(key, grammar.DecodingPrefix) { // see decodingConflict
				continue
			}
			var with []string
			for _, f := range fields {
				if f.Section != "" && f.Key == f.Section+"."+key {
					with = append(with, f.Section)
				}
			}
			out[d.Name+"."+key] = keys.Lack{Why: why,
				Next: "leave it out, or use one of the backends " + strings.Join(with, ", ")}
		}
	}
	return out
}

// addCommon adds the keys of every experiment, with the values of a study that says
// nothing.
func (k *table) addCommon() {
	var initial Experiment
	if len(k.engines) > 0 {
		initial = DefaultExperiment(k.engines[0])
	}
	initial.Decoding.TopP = 1
	k.common = common(k.Backends, k.able)
	k.Common = len(k.common)
	for i, f := range k.common {
		f.Slot = i
		k.Fields = append(k.Fields, f.Field)
		k.Initial = append(k.Initial, f.read(&initial))
	}
}

// addSection adds the keys of an engine.
func (k *table) addSection(d *engine.Descriptor) {
	s := &section{descriptor: d, bound: d.Section(), shared: map[string]engine.JSON{}}
	for _, f := range s.bound.Fields() {
		s.fields = append(s.fields, grammar.Slot(f))
	}
	s.span.From = len(k.Initial)
	for j := range s.fields {
		f := sectionField(d.Name, &s.fields[j], len(k.Initial))
		k.Fields = append(k.Fields, f)
		k.Initial = append(k.Initial, s.fields[j].Get())
		if slices.Contains(grammar.BatchKeys(), s.fields[j].Key) {
			k.Batch[d.Name] = f
		}
	}
	s.span.To = len(k.Initial)
	k.Spans[d.Name], k.sections[d.Name] = s.span, s
}

// sectionField returns the key of a section as a key of a study.
func sectionField(name string, f *grammar.Slot, slot int) *keys.Field {
	return &keys.Field{Key: name + "." + f.Key, Help: f.Help, Kind: f.Kind(), Section: name, Undivided: f.IsList,
		List: f.IsList, Optional: f.IsOptional, Machine: f.IsMachine, Slot: slot}
}

// load stores the values of a point in the section, unless they are there.
func (s *section) load(all keys.Values) {
	values := all[s.span.From:s.span.To]
	if s.last != nil && equal(values, s.last) {
		return
	}
	for i := range s.fields {
		s.fields[i].Set(values[i])
	}
	s.last = append(s.last[:0], values...)
	s.buffer = grammar.Append(s.buffer[:0], s.fields)
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

// fill gives an experiment the values of a point, with the section of its backend.
func (k *table) fill(e *Experiment, v keys.Values) {
	for i := range k.common {
		k.common[i].write(e, v[i])
	}
	if p := presetOf(k.preset.Get(v).Text); p.Temperature > 0 {
		// A value given beside a preset takes precedence.
		if e.Decoding.Temperature == 0 {
			e.Decoding.Temperature = p.Temperature
		}
		if e.Decoding.TopP == 1 && p.TopP > 0 {
			e.Decoding.TopP = p.TopP
		}
	}
	e.Decoding = e.Decoding.canonical()
	e.fillSLO(k.class.Get(v).Text)
	own := k.sections[e.Backend]
	own.load(v)
	e.Section = own.text
}

// BatchKeys returns the key of each engine that holds the batch size.
func BatchKeys(engines engine.Descriptors) []string {
	k := newTable(engines)
	out := make([]string, len(k.Backends))
	for i, name := range k.Backends {
		out[i] = k.Batch[name].Key
	}
	return out
}
