// Package intern keeps one copy of equal texts and of equal lists: the rows of a large study repeat a few of them
// a hundred thousand times.
package intern

import (
	"fmt"
	"reflect"
)

// Pool holds the texts and lists seen so far. The zero value is ready to use.
type Pool struct {
	texts map[string]string
	// lists are keyed by their type and content.
	lists map[string]reflect.Value
}

// Keep returns the first text that was equal to s.
func (p *Pool) Keep(s string) string {
	if s == "" {
		return s
	}
	old, ok := p.texts[s]
	if !ok {
		if p.texts == nil {
			p.texts = map[string]string{}
		}
		p.texts[s] = s
		return s
	}
	return old
}

// Share replaces the texts of a struct, and its lists of texts and of structs, by shared copies, which must not be
// modified. v is a pointer to the struct.
func (p *Pool) Share(v any) { p.share(reflect.ValueOf(v).Elem()) }

func (p *Pool) share(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(p.Keep(v.String()))
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			p.share(field)
		}
	case reflect.Slice:
		if k := v.Type().Elem().Kind(); k == reflect.String || k == reflect.Struct {
			p.shareList(v)
		}
	}
}

// shareList replaces a list by an equal earlier one, or shares its elements.
func (p *Pool) shareList(v reflect.Value) {
	if v.Len() == 0 || !v.CanSet() {
		return
	}
	key := fmt.Sprintf("%v%q", v.Type(), v.Interface())
	if old, ok := p.lists[key]; ok {
		v.Set(old)
		return
	}
	for i := range v.Len() {
		p.share(v.Index(i))
	}
	if p.lists == nil {
		p.lists = map[string]reflect.Value{}
	}
	p.lists[key] = reflect.ValueOf(v.Slice3(0, v.Len(), v.Len()).Interface())
}
