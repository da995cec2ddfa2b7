package naming

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/study"
)

// Key is a value inside an experiment, by its dotted name.
type Key struct {
	// Name is the dotted name.
	Name string
	path []int // field indexes, through nested structs
	// backend is the engine whose section has the key, if any; zero is the value if it is not given.
	backend, zero string
	// open reports that a number that is not given is left to the engine or to the program, so that it has no text.
	open bool
}

// resolvedKeys lists every value of some experiments, in the order of their JSON.
func resolvedKeys(all ...study.Experiment) []Key {
	return keysOf(reflect.TypeFor[study.Experiment](), "", nil, sectionKeys(all))
}

// keysOf lists the values of a struct in an experiment. The keys of the section are given.
func keysOf(t reflect.Type, prefix string, path []int, section []Key) []Key {
	var out []Key
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		at := append(slices.Clone(path), i)
		switch {
		case f.Type == reflect.TypeFor[engine.JSON]():
			out = append(out, section...)
		case name == "-": // not a key
		case f.Type.Kind() == reflect.Struct:
			out = append(out, keysOf(f.Type, prefix+name+".", at, nil)...)
		default:
			key := prefix + name
			out = append(out, Key{Name: key, path: at, zero: empty(key), open: key == terms.WarmupSecondsKey})
		}
	}
	return out
}

// empty returns what an experiment's empty text or zero stands for, in the study's words; empty for itself.
func empty(key string) string {
	switch key {
	case terms.TemplateKey:
		return terms.TemplateNone
	case terms.CoverKey:
		return terms.CoverAll
	case terms.LoadKey + "kind":
		return load.Closed
	case terms.LoadKey + "speed":
		return "1"
	case terms.LoadKey + "longer":
		return load.Drop
	case terms.TopPKey:
		return strconv.Itoa(terms.TopPAll)
	case terms.PenaltyKey:
		return strconv.Itoa(terms.PenaltyNone)
	}
	return ""
}

// setting is one value of a section.
type setting struct {
	key, text string
	number    bool
}

// settingsOf splits a section into its settings, in order.
func settingsOf(section engine.JSON) []setting {
	d := json.NewDecoder(strings.NewReader(string(section)))
	d.UseNumber()
	var out []setting
	if _, err := d.Token(); err != nil {
		return nil
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return out
		}
		s := setting{key: fmt.Sprint(key)}
		var v any
		if err := d.Decode(&v); err != nil {
			return out
		}
		switch v := v.(type) {
		case nil:
		case json.Number:
			s.text, s.number = v.String(), true
			if f, err := v.Float64(); err == nil && strings.ContainsAny(s.text, ".eE") {
				s.text = fmt.Sprint(f)
			}
		default:
			s.text = fmt.Sprint(v)
		}
		out = append(out, s)
	}
	return out
}

// sectionKeys lists the keys of all sections. A key that only some sections give precedes the key that follows it
// there.
func sectionKeys(all []study.Experiment) []Key {
	var backends []string
	byBackend := map[string][]Key{}
	for _, e := range distinct(all) {
		keys, known := byBackend[e.Backend]
		if !known {
			backends = append(backends, e.Backend)
		}
		settings := settingsOf(e.Section)
		at := len(keys)
		for _, s := range slices.Backward(settings) {
			name := e.Backend + "." + s.key
			if j := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name }); j >= 0 {
				at = j
				continue
			}
			k := Key{Name: name, backend: e.Backend}
			k.zero, k.open = zeroOf(e.Backend, s.key)
			if s.number && k.zero == "" && !k.open {
				k.zero = "0"
			}
			keys = slices.Insert(keys, at, k)
		}
		byBackend[e.Backend] = keys
	}
	var out []Key
	for _, b := range backends {
		out = append(out, byBackend[b]...)
	}
	return out
}

// zeroOf returns what an engine takes where a key of its section is not given, and whether the engine itself decides;
// neither if the key or engine is of another version.
func zeroOf(backend, key string) (zero string, open bool) {
	d, known := engines.All().Find(backend)
	if !known {
		return "", false
	}
	for _, f := range d.Section().Fields() {
		if f.Key == key {
			return f.Zero, f.IsOptional && f.Zero == ""
		}
	}
	return "", false
}

// distinct returns experiments among which every section occurs once.
func distinct(all []study.Experiment) []study.Experiment {
	type own struct {
		backend string
		section engine.JSON
	}
	seen := map[own]bool{}
	var out []study.Experiment
	for i := range all {
		e := &all[i]
		if k := (own{e.Backend, e.Section}); !seen[k] {
			seen[k] = true
			out = append(out, *e)
		}
	}
	return out
}

// section returns the engine whose section has the key, or empty.
func (k Key) section() string { return k.backend }

// short returns the key without its section.
func (k Key) short() string { return k.Name[strings.LastIndexByte(k.Name, '.')+1:] }

// in reports whether an experiment has the key: sections of other engines do not.
func (k Key) in(e study.Experiment) bool { return k.backend == "" || k.backend == e.Backend }

// Text formats the value; empty if the experiment does not have the section, or nothing is given.
func (k Key) Text(e study.Experiment) string {
	if !k.in(e) {
		return ""
	}
	if k.backend == "" {
		if v := reflect.ValueOf(e).FieldByIndex(k.path); !v.IsZero() || k.zero == "" && !k.open {
			return fmt.Sprint(v.Interface())
		}
		return k.zero
	}
	name := k.Name[len(k.backend)+1:]
	// A quoted key with a colon cannot be part of a text, whose quotes have a backslash.
	_, rest, given := strings.Cut(string(e.Section), `"`+name+`":`)
	if end := strings.IndexAny(rest, ",}"); !given {
		return k.zero
	} else if end > 0 && strings.Trim(rest[:end], "0123456789") == "" {
		return rest[:end] // a whole number, as most values are
	}
	for _, s := range settingsOf(e.Section) {
		if s.key == name {
			return s.text
		}
	}
	return k.zero
}

// Varying returns the keys whose values are not the same in all experiments that have them.
func Varying(all []study.Experiment) []Key {
	if len(all) == 0 {
		return nil
	}
	var out []Key
	few := distinct(all)
	for _, k := range resolvedKeys(few...) {
		if k.backend != "" && varies(k, few) || k.backend == "" && k.variesIn(all) {
			out = append(out, k)
		}
	}
	return out
}

// varies reports whether a key of a section has several values.
func varies(k Key, all []study.Experiment) bool {
	first := ""
	seen := false
	for _, e := range all {
		if !k.in(e) {
			continue
		}
		text := k.Text(e)
		if seen && text != first {
			return true
		}
		first, seen = text, true
	}
	return false
}

// variesIn reports whether a key that every experiment has takes several values.
func (k Key) variesIn(all []study.Experiment) bool {
	first := reflect.ValueOf(&all[0]).Elem().FieldByIndex(k.path).Interface()
	for i := range all {
		if reflect.ValueOf(&all[i]).Elem().FieldByIndex(k.path).Interface() != first {
			return true
		}
	}
	return false
}
