package grammar

import (
	"fmt"
	"time"
)

// Seconds accepts a number of seconds, or a time span with units, such as 90, 90s or 1m30s.
func Seconds(low, high float64) Kind {
	k := Float(low, high)
	number := k.Parse
	k.Want += " in seconds, or a time span such as 90s or 1m30s"
	want := k.Want
	k.Schema = map[string]any{"anyOf": []map[string]any{k.Schema, {"type": "string", "pattern": durationPattern}}}
	k.Parse = func(s string) (Value, error) {
		if !durationRE.MatchString(s) {
			return number(s)
		}
		d, err := time.ParseDuration(s)
		if err != nil || d.Seconds() < low || d.Seconds() > high {
			return Value{}, fmt.Errorf("is %q; want %s", s, want)
		}
		return Value{Number: d.Seconds()}, nil
	}
	return k
}
