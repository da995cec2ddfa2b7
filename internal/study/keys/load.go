package keys

import (
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/load"
)

// RatesKind accepts rates that each hold for some time.
func RatesKind() grammar.Kind {
	return checked("DURATION:RATE separated by spaces, such as 30s:2 1m:8.5 30s:0", func(s string) error {
		_, err := load.ParseRates(s)
		return err
	})
}

// SpanKind accepts a part of a recorded time.
func SpanKind() grammar.Kind {
	return checked("FROM..TO, such as 10m..20m, or 10m.. up to the end", func(s string) error {
		_, _, err := load.ParseSpan(s)
		return err
	})
}

// checked accepts a line that a function accepts.
func checked(want string, check func(string) error) grammar.Kind {
	k := grammar.Line(want)
	line := k.Parse
	k.Parse = func(s string) (grammar.Value, error) {
		v, err := line(s)
		if err == nil && check(s) != nil {
			return v, grammar.ValueError(s, want, "")
		}
		return v, err
	}
	return k
}
