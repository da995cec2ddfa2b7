package study

import (
	"encoding/json"
	"testing"

	"github.com/llenergymeasure/llem/note"
)

// TestReadsEarlierInvalid: an invalid point in the format of an earlier version, which had other keys, is read.
func TestReadsEarlierInvalid(t *testing.T) {
	want := Invalid{Point: "dtype=int2", Note: note.Note{Message: "no such type", Next: "use int4"}}
	for _, text := range []string{`{"point": "dtype=int2", "reason": "no such type", "hint": "use int4"}`,
		`{"point": "dtype=int2", "message": "no such type", "next": "use int4"}`} {
		var got Invalid
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}
