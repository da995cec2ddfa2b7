package study

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Set returns a setting of a key: value is a text as on the command line, where commas separate values and ranges
// are allowed (8, "1,8", "1..64 *2"), a number, a bool, a [time.Duration], or a slice of these. Several values
// make an axis. A value of another type, like an unknown key, is one of the mistakes that [New] and [Load] report.
func Set(key string, value any) Setting {
	s := Setting{Flag: fmt.Sprintf("study.Set(%q)", key), Key: key}
	v := reflect.ValueOf(value)
	if v.Kind() != reflect.Slice && v.Kind() != reflect.Array {
		s.Value, s.problem = settingText(value)
		return s
	}
	s.list = make([]string, v.Len())
	for i := range s.list {
		if s.list[i], s.problem = settingText(v.Index(i).Interface()); s.problem != "" {
			return s
		}
	}
	s.Value = strings.Join(s.list, ",")
	return s
}

// settingText returns a value in the form of study files, or what is wrong with it.
func settingText(value any) (text, problem string) {
	if d, ok := value.(time.Duration); ok {
		return d.String(), ""
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.String:
		return v.String(), ""
	case reflect.Bool:
		return strconv.FormatBool(v.Bool()), ""
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), ""
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10), ""
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits()), ""
	}
	return "", fmt.Sprintf("has a value of type %T, which no key takes", value)
}

// New returns a study from settings only. The error is [Errors] if they contain mistakes.
func New(settings ...Setting) (*Study, error) { return Load(Options{Settings: settings}) }
