// Package intern keeps one copy of equal texts: the rows of a large study repeat a few
// of them a hundred thousand times.
package intern

import "reflect"

// Pool holds the texts that were seen.
type Pool map[string]string

// Keep returns the first text that was equal to s.
func (p Pool) Keep(s string) string {
	if s == "" {
		return s
	}
	old, ok := p[s]
	if !ok {
		p[s] = s
		return s
	}
	return old
}

// Share replaces the texts of a struct, and of its lists of texts, by the copies that are kept. v is
// a pointer to the struct.
func (p Pool) Share(v any) { p.share(reflect.ValueOf(v).Elem()) }

func (p Pool) share(v reflect.Value) {
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
		if v.Type().Elem().Kind() == reflect.String {
			for i := range v.Len() {
				p.share(v.Index(i))
			}
		}
	}
}
