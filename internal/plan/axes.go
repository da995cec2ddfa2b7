package plan

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/llenergymeasure/llem/study"
)

// field is a value inside an experiment, by its key.
type field struct {
	key  string
	path []int // through structs and pointers to structs
}

// fields lists every value of an experiment, in the order of the struct.
func fields(t reflect.Type, prefix string, path []int) []field {
	var out []field
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
			out = append(out, fields(inner, prefix+name+".", at)...)
			continue
		}
		out = append(out, field{prefix + name, at})
	}
	return out
}

// of is the value in an experiment; false where its section is not there.
func (f field) of(v reflect.Value) (reflect.Value, bool) {
	for _, i := range f.path {
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

// text prints the value; empty where its section is not there.
func (f field) text(e study.Experiment) string {
	v, ok := f.of(reflect.ValueOf(e))
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

// varying are the fields that are not the same in all experiments that have them.
func varying(all []study.Experiment) []field {
	if len(all) == 0 {
		return nil
	}
	var out []field
	different := map[int][]int{}
	for _, f := range fields(reflect.TypeFor[study.Experiment](), "", nil) {
		var first any
		seen := false
		top := f.path[0]
		if different[top] == nil {
			different[top] = representatives(all, top)
		}
		for _, i := range different[top] {
			v, ok := f.of(reflect.ValueOf(&all[i]).Elem())
			if !ok {
				continue
			}
			if !seen {
				first, seen = v.Interface(), true
			} else if !reflect.DeepEqual(first, v.Interface()) {
				out = append(out, f)
				break
			}
		}
	}
	return out
}

// representatives are experiments among which every value of a field of the struct
// occurs that is a pointer: experiments of a study share equal sections. For other
// fields they are all experiments.
func representatives(all []study.Experiment, field int) []int {
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

// mostValues is how many values of an axis are named.
const mostValues = 12

// describe lists the values of the axes.
func describe(axes []field, all []study.Experiment) []Axis {
	out := []Axis{}
	for _, f := range axes {
		a := Axis{Key: f.key, Values: []string{}}
		seen := map[string]bool{}
		for i := range all {
			if text := f.text(all[i]); text != "" && !seen[text] {
				seen[text] = true
				if a.Count++; a.Count <= mostValues {
					a.Values = append(a.Values, text)
				}
			}
		}
		out = append(out, a)
	}
	return out
}

// matches says whether a label or a value, as key=value, contains the text.
func (p Point) matches(text string) bool {
	if strings.Contains(p.Label, text) {
		return true
	}
	for k, v := range p.Values {
		if strings.Contains(k+"="+v, text) {
			return true
		}
	}
	return false
}
