package study

import (
	"fmt"
	"reflect"
	"strings"
)

// Key is a value inside an experiment, by its dotted name.
type Key struct {
	Name string
	path []int // through structs and pointers to structs
}

// ResolvedKeys lists every value of an experiment, in the order of the struct.
func ResolvedKeys() []Key { return keysOf(reflect.TypeFor[Experiment](), "", nil) }

func keysOf(t reflect.Type, prefix string, path []int) []Key {
	var out []Key
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		at, inner := append(append([]int{}, path...), i), f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			out = append(out, keysOf(inner, prefix+name+".", at)...)
			continue
		}
		out = append(out, Key{prefix + name, at})
	}
	return out
}

// of is the value in an experiment; false where its section is not there.
func (k Key) of(v reflect.Value) (reflect.Value, bool) {
	for _, i := range k.path {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, true
}

// Text prints the value; empty where its section is not there.
func (k Key) Text(e Experiment) string {
	v, ok := k.of(reflect.ValueOf(e))
	if !ok {
		return ""
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	return fmt.Sprint(v.Interface())
}

// Varying are the keys whose values are not the same in all experiments that have them.
func Varying(all []Experiment) []Key {
	if len(all) == 0 {
		return nil
	}
	var out []Key
	for _, k := range ResolvedKeys() {
		var first any
		seen := false
		for i := range all {
			v, ok := k.of(reflect.ValueOf(&all[i]).Elem())
			if !ok {
				continue
			}
			if !seen {
				first, seen = v.Interface(), true
			} else if !reflect.DeepEqual(first, v.Interface()) {
				out = append(out, k)
				break
			}
		}
	}
	return out
}
