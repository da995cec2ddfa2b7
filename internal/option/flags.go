package option

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Section reads an engine's section of the study; keys that are not given are absent.
func Section(options json.RawMessage) (map[string]any, error) {
	section := map[string]any{}
	if len(options) == 0 {
		return section, nil
	}
	d := json.NewDecoder(bytes.NewReader(options))
	d.UseNumber()
	if err := d.Decode(&section); err != nil {
		return nil, fmt.Errorf("read the settings of the engine: %w", err)
	}
	maps.DeleteFunc(section, func(_ string, v any) bool { return v == nil })
	return section, nil
}

// Flags turn settings into options of a program. A key that is not in the map becomes --its-name VALUE, or
// --its-name and --no-its-name for a switch.
type Flags map[string]func(v any) []string

// Of returns the options of a section, in the order of its keys.
func (f Flags) Of(section map[string]any) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(section)) {
		v := section[key]
		if special, ok := f[key]; ok {
			out = append(out, special(v)...)
			continue
		}
		out = append(out, Flag(strings.ReplaceAll(key, "_", "-"), v)...)
	}
	return out
}

// Flag returns one option in the usual form. An object is given as JSON.
func Flag(name string, v any) []string {
	switch v := v.(type) {
	case bool:
		if v {
			return []string{"--" + name}
		}
		return []string{"--no-" + name}
	case map[string]any:
		text, err := json.Marshal(v)
		if err != nil {
			panic(err) // a value that was read from JSON
		}
		return []string{"--" + name, string(text)}
	}
	return []string{"--" + name, fmt.Sprint(v)}
}
