package study

import (
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/grammar"
)

func TestParseWhole(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "-0": 0, "7": 7, "+7": 7, "-7": -7, "1.0": 1, "1.": 1, "1e3": 1000, "1E+3": 1000, "1.5e1": 15,
		"150e-1": 15, "0e999": 0, "0.0": 0,
		"9223372036854775807": 9223372036854775807, "-9223372036854775808": -9223372036854775808,
		"9.223372036854775807e18":   9223372036854775807,
		"1000000000000000000000e-3": 1000000000000000000, "1.00000000000000000000000000000": 1,
	} {
		if got, err := grammar.ParseWhole(text); err != nil || got != want {
			t.Errorf("parseWhole(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " 1", "1 ", "010", "00", "-01", "1.5", "1e-1", "1.00000000000000000000000000001", "9223372036854775808",
		"1e19", "1e99999999999", "1_000", "0x10",
		"1,000", "nan", "inf", ".", "-", "e3", "1e", "--1", "1..2", "١",
	} {
		if got, err := grammar.ParseWhole(text); err == nil {
			t.Errorf("parseWhole(%q) = %d, want an error", text, got)
		}
	}
}

func TestParseNumber(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "-0": 0, "-0.0": 0, ".5": 0.5, "5.": 5, "1e3": 1000,
		"1e-3": 0.001, "-2.5E+1": -25, "0e-999": 0} {
		got, err := grammar.ParseNumber(text)
		if err != nil || got != want || 1/got != 1/(want+0) {
			t.Errorf("parseNumber(%q) = %g, %v, want %g", text, got, err, want)
		}
	}
	for _, text := range []string{"", "01.5", "1e999", "1e-999", ".nan", "NaN", "inf", "-.inf", "0x1p3", "1_0",
		"1:30", "."} {
		if got, err := grammar.ParseNumber(text); err == nil {
			t.Errorf("parseNumber(%q) = %g, want an error", text, got)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "1h30m": 90 * time.Minute,
		"0.5h": 30 * time.Minute, "250ms": 250 * time.Millisecond} {
		v, err := grammar.TimeSpan().Parse(text)
		if err != nil || time.Duration(v.Whole) != want {
			t.Errorf("%s: %v, %v", text, time.Duration(v.Whole), err)
		}
		var back Duration
		if err := back.UnmarshalText([]byte(Duration(want).String())); err != nil || time.Duration(back) != want {
			t.Errorf("%v is written as %s and read as %v, %v", want, Duration(want), back, err)
		}
		if again, err := grammar.TimeSpan().Parse(Duration(want).String()); err != nil || again != v {
			t.Errorf("%s cannot be read back: %v", Duration(want), err)
		}
	}
	for _, text := range []string{"", "30", "1:30", "-5s", "0s", "1d", "1h 30m", "10001h", "s", "1us"} {
		if v, err := grammar.TimeSpan().Parse(text); err == nil {
			t.Errorf("%q = %v, want an error", text, v)
		}
	}
}

// TestEveryFieldIsPutAndGot: a value put into an experiment is returned unchanged, and no two keys share a place.
func TestEveryFieldIsPutAndGot(t *testing.T) {
	for i, f := range allKeys.Fields {
		if f.Slot != i {
			t.Errorf("%s has slot %d, want %d", f.Key, f.Slot, i)
		}
	}
	for _, f := range allKeys.common {
		if f.Preset {
			continue
		}
		v := grammar.Value{Text: "x"}
		if f.Kind.Basic == grammar.IsNumber {
			v = grammar.Value{Whole: 7, Number: 7}
			if !f.Kind.Whole {
				v.Whole = 0
			}
		}
		if f.Kind.Basic == grammar.IsBool {
			v = grammar.Value{Text: grammar.True}
		}
		var e, untouched Experiment
		f.write(&e, v)
		if got := f.read(&e); got != v {
			t.Errorf("%s: put %v, got %v", f.Key, v, got)
		}
		for _, other := range allKeys.common {
			if other.Field != f.Field && other.read(&e) != other.read(&untouched) {
				t.Errorf("%s and %s share a place", f.Key, other.Key)
			}
		}
	}
}
