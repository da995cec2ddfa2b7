package load

import (
	"fmt"
	"testing"
)

// TestParseSpan: parts of a trace.
func TestParseSpan(t *testing.T) {
	for text, want := range map[string]string{"10m..20m": "10m0s 20m0s", "10m..": "10m0s 0s", "..1h30m": "0s 1h30m0s",
		"..": "", "10m": "", "20m..10m": "", "-1m..2m": "", "1..2": "", "1m...2m": ""} {
		from, to, err := ParseSpan(text)
		if got := fmt.Sprint(from, " ", to); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
}
