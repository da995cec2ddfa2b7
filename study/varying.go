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

// Short is the key without its section.
func (k Key) Short() string { return k.Name[strings.LastIndexByte(k.Name, '.')+1:] }

// In says whether an experiment has the key: sections of other engines are not there.
func (k Key) In(e Experiment) bool {
	_, ok := k.of(reflect.ValueOf(e))
	return ok
}

// Text prints the value; empty where its section is not there, or nothing is given.
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
	different := map[int][]int{}
	for _, k := range ResolvedKeys() {
		var first any
		seen := false
		top := k.path[0]
		if different[top] == nil {
			different[top] = representatives(all, top)
		}
		for _, i := range different[top] {
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

// representatives are experiments among which every value of a field of the struct
// occurs that is a pointer: experiments of a study share equal sections. For other
// fields they are all experiments.
func representatives(all []Experiment, field int) []int {
	var out []int
	seen := map[uintptr]bool{}
	for i := range all {
		v := reflect.ValueOf(&all[i]).Elem().Field(field)
		if v.Kind() == reflect.Pointer {
			if seen[v.Pointer()] {
				continue
			}
			seen[v.Pointer()] = true
		}
		out = append(out, i)
	}
	return out
}
