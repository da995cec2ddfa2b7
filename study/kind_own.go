package study

import (
	"github.com/llenergymeasure/llem/grammar"
	"github.com/llenergymeasure/llem/internal/prom"
	"github.com/llenergymeasure/llem/study/internal/keys"
)

// remoteKind is a list of metrics pages. Its commas separate pages and not the values
// of an axis.
func remoteKind() grammar.Kind {
	return grammar.Kind{Want: `a list of http://host:9400/metrics or name=URL#metric{label="value"}:W`,
		Basic:  grammar.IsText,
		Schema: map[string]any{"type": "string", "minLength": 1}, Parse: func(s string) (grammar.Value, error) {
			if _, err := prom.ParseTargets(s); err != nil {
				return grammar.Value{}, err
			}
			return grammar.Value{Text: s}, nil
		}}
}

// gapKind is a number of seconds, or auto.
func gapKind() grammar.Kind {
	seconds := grammar.Float(0, 86400)
	seconds.Want += ", or " + keys.Auto
	seconds.Ranges = false
	number := seconds.Parse
	seconds.Schema = map[string]any{"anyOf": []any{seconds.Schema, map[string]any{"const": keys.Auto}}}
	seconds.Parse = func(s string) (grammar.Value, error) {
		if s == keys.Auto {
			return grammar.Value{Text: keys.Auto}, nil
		}
		v, err := number(s)
		if err != nil {
			return grammar.Value{}, grammar.NumberError(s, seconds.Want, err)
		}
		return v, nil
	}
	return seconds
}
