package secret

import (
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// shortest is the minimum length of a secret value: a shorter one occurs in ordinary words.
const shortest = 8

// known replaces the secret values of this process's environment, longest first.
var known = sync.OnceValue(func() *strings.Replacer { return replacer(os.Environ()) })

func replacer(environ []string) *strings.Replacer {
	type pair struct{ value, name string }
	var all []pair
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if IsSecret(name) && len(value) >= shortest {
			all = append(all, pair{value, name})
		}
		if u, err := url.Parse(value); err == nil && u.User != nil {
			if p, ok := u.User.Password(); ok && len(p) >= shortest {
				all = append(all, pair{p, name})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b pair) int { return len(b.value) - len(a.value) })
	var list []string
	for _, p := range all {
		list = append(list, p.value, "["+p.name+"]")
	}
	return strings.NewReplacer(list...)
}

var (
	userinfo = regexp.MustCompile(`(://)[^/\s"'@]+@`)
	hubToken = regexp.MustCompile(`hf_[A-Za-z0-9]{20,}`)
	// sequence matches terminal commands: CSI, OSC and similar, and other two-letter ones.
	sequence = regexp.MustCompile("\x1b(\\[[0-?]*[ -/]*[@-~]?|[\\]PX^_][^\x07\x1b]*(\x07|\x1b\\\\)?|[ -~])?")
)

// Text returns text from outside without secrets and without terminal commands. Line breaks and tabs stay.
func Text(s string) string {
	return hide(Plain(s))
}

// hide returns a text without secrets; terminal commands stay.
func hide(s string) string {
	s = known().Replace(s)
	if strings.Contains(s, "://") {
		s = userinfo.ReplaceAllString(s, "$1")
	}
	if strings.Contains(s, "hf_") {
		s = hubToken.ReplaceAllString(s, "[token]")
	}
	return s
}

// Plain returns a text without terminal commands: escape sequences, control characters other than line breaks and
// tabs, and characters that change the direction of text.
func Plain(s string) string {
	if !strings.ContainsFunc(s, control) {
		return s
	}
	s = strings.ReplaceAll(sequence.ReplaceAllString(s, ""), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case control(r):
			return -1
		}
		return r
	}, s)
}

// control reports whether a terminal treats a character as more than text.
func control(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 ||
		r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// Clean applies [Text] in place to every string that a pointer leads to: fields, elements and values of maps. Keys
// of maps stay.
func Clean(v any) { clean(reflect.ValueOf(v), Text) }

// CleanPlain applies [Plain] in the same way: for data read from a file that others may have written.
func CleanPlain(v any) { clean(reflect.ValueOf(v), Plain) }

func clean(v reflect.Value, text func(string) string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			clean(v.Elem(), text)
		}
	case reflect.Interface:
		if s, ok := reflect.TypeAssert[string](v); ok && v.CanSet() {
			v.Set(reflect.ValueOf(text(s)))
		} else if !v.IsNil() {
			clean(v.Elem(), text)
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString(text(v.String()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				clean(v.Field(i), text)
			}
		}
	case reflect.Slice, reflect.Array:
		if k := v.Type().Elem().Kind(); k == reflect.String || k > reflect.Complex128 {
			for i := range v.Len() {
				clean(v.Index(i), text)
			}
		}
	case reflect.Map:
		if v.Type().Elem().Kind() != reflect.String {
			return
		}
		for _, key := range v.MapKeys() {
			v.SetMapIndex(key, reflect.ValueOf(text(v.MapIndex(key).String())).Convert(v.Type().Elem()))
		}
	}
}
