// Package pyjson reads JSON as Python's json module writes it: with NaN, Infinity and -Infinity
// as bare words, which JSON itself does not have. Such a value is read as null.
package pyjson

import (
	"bytes"
	"encoding/json"
)

// words are the numbers that Python writes and JSON does not have, longest first where one
// begins like another.
var words = [][]byte{[]byte("-Infinity"), []byte("Infinity"), []byte("NaN")}

// Unmarshal is [json.Unmarshal] for JSON as Python writes it.
func Unmarshal(data []byte, v any) error { return json.Unmarshal(Plain(data), v) }

// Plain returns data with null in place of the numbers that JSON does not have. Data without
// them is returned as it is.
func Plain(data []byte) []byte {
	if !bytes.Contains(data, words[1]) && !bytes.Contains(data, words[2]) {
		return data
	}
	out := make([]byte, 0, len(data))
	quoted := false
	for i := 0; i < len(data); i++ {
		c := data[i]
		switch {
		case quoted && c == '\\' && i+1 < len(data):
			out = append(out, c)
			i++
			c = data[i]
		case c == '"':
			quoted = !quoted
		case !quoted:
			if n := word(data[i:]); n > 0 {
				out = append(out, "null"...)
				i += n - 1
				continue
			}
		}
		out = append(out, c)
	}
	return out
}

// word returns the length of the number at the start of data that JSON does not have; 0 if
// there is none.
func word(data []byte) int {
	for _, w := range words {
		if bytes.HasPrefix(data, w) {
			return len(w)
		}
	}
	return 0
}
