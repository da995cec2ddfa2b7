package keys

import (
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/prom"
)

// RemotePages accepts a list of metrics pages. Its commas separate pages, not values of an axis.
func RemotePages() grammar.Kind {
	return grammar.Kind{Want: `a list of http://host:9400/metrics or name=URL#metric{label="value"}:W`,
		Basic:  grammar.IsText,
		Schema: map[string]any{"type": "string", "minLength": 1}, Parse: func(s string) (grammar.Value, error) {
			if _, err := prom.ParseTargets(s); err != nil {
				return grammar.Value{}, err
			}
			return grammar.Value{Text: s}, nil
		}}
}

// Gap accepts a number of seconds, or auto.
func Gap() grammar.Kind {
	seconds := grammar.Float(0, 86400)
	seconds.Want += ", or " + Auto
	seconds.Ranges = false
	number := seconds.Parse
	seconds.Schema = map[string]any{"anyOf": []any{seconds.Schema, map[string]any{"const": Auto}}}
	seconds.Parse = func(s string) (grammar.Value, error) {
		if s == Auto {
			return grammar.Value{Text: Auto}, nil
		}
		v, err := number(s)
		if err != nil {
			return grammar.Value{}, grammar.NumberError(s, seconds.Want, err)
		}
		return v, nil
	}
	return seconds
}
