package source

import (
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

func TestRanges(t *testing.T) {
	for text, want := range map[string][]string{
		"1..4":          {"1", "2", "3", "4"},
		"8..64*2":       {"8", "16", "32", "64"},
		"8..63*2":       {"8", "16", "32"},
		"1..9+2":        {"1", "3", "5", "7", "9"},
		"1..9+3":        {"1", "4", "7"},
		"3..3":          {"3"},
		"-2..2+2":       {"-2", "0", "2"},
		"0.5..1.5+0.5":  {"0.5", "1.0", "1.5"},
		"0.1..0.3+0.1":  {"0.1", "0.2", "0.3"},
		"1..2+0.5":      {"1.0", "1.5", "2.0"},
		"0.25..2.25+1":  {"0.25", "1.25", "2.25"},
		"0.25..2*2":     {"0.25", "0.50", "1.00", "2.00"},
		"-0.5..0.5+0.5": {"-0.5", "0.0", "0.5"},
		"1..1000*10":    {"1", "10", "100", "1000"},
		"9223372036854775806..9223372036854775807":         {"9223372036854775806", "9223372036854775807"},
		"4611686018427387904..9223372036854775807*2":       {"4611686018427387904"},
		"9223372036854775000..9223372036854775807+1000000": {"9223372036854775000"},
	} {
		if got, err := expandRange(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("expandRange(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"4..1", "1..8*1", "1..8*0", "0..8*2", "1..8+0", "1..2000000", "01..3",
		"1..99999999999999999999", "1..8*1.5", "1", "1..", "..3", "1..2..3"} {
		if got, err := expandRange(text); err == nil {
			t.Errorf("expandRange(%q) = %q, want an error", text, got)
		}
	}
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"1..4", "8..512*2", "1..9+2", "0.5..0.9+0.1", "-3..3", "1..9223372036854775807*3",
		"0.25..2*2", "01..2", "1..2+0.0", "a..b", "1..1000000", "9007199254740993..9007199254740995"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		values, err := expandRange(text)
		if err != nil {
			return
		}
		if len(values) == 0 || len(values) > keys.MaxPoints {
			t.Fatalf("%q has %d values", text, len(values))
		}
		low, high, _ := strings.Cut(text, "..")
		// The step begins at the first * or + that is not part of a number.
		for i := 1; i < len(high); i++ {
			if high[i] == '*' || high[i] == '+' && high[i-1] != 'e' && high[i-1] != 'E' {
				high = high[:i]
			}
		}
		first, err1 := grammar.ParseNumber(low)
		last, err2 := grammar.ParseNumber(high)
		if err1 != nil || err2 != nil {
			t.Fatalf("%q: %v, %v", text, err1, err2)
		}
		if testing.Short() {
			values = values[:min(len(values), 1000)]
		}
		previous := first
		for i, v := range values {
			n, err := grammar.ParseNumber(v)
			if err != nil {
				t.Fatalf("%q gives %q: %v", text, v, err)
			}
			if n < previous || n > last || i == 0 && n != first {
				t.Fatalf("%q gives %q after %g, up to %g", text, v, previous, last)
			}
			previous = n
		}
	})
}
