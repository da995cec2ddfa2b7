package study

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/grammar"
)

// parseAlone reads a study that has no other files to name.
func parseAlone(data []byte) (*Study, error) {
	b := newBuilder(nil)
	b.source = "s.yaml"
	b.read = func(string) ([]byte, error) { return nil, os.ErrNotExist }
	b.file("s.yaml", data)
	return b.build()
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	more, _ := filepath.Glob("../examples/*.yaml")
	for _, file := range append(files, more...) {
		if data, err := os.ReadFile(file); err == nil && !strings.Contains(file, "huge") &&
			!strings.Contains(file, "long") {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Count(data, []byte("..")) > 2 || bytes.Count(data, []byte("*")) > 40 {
			return // large sweeps are valid, and slow
		}
		s, err := parseAlone(data)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a message")
			}
			return
		}
		if len(s.Experiments) == 0 {
			t.Fatal("neither an experiment nor an error")
		}
		if len(s.Experiments) > 1000 {
			return
		}
		text, err := s.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseAlone([]byte(text))
		if err != nil {
			t.Fatalf("the frozen study cannot be read: %v\n%s", err, text)
		}
		if len(again.Experiments) != len(s.Experiments) {
			t.Fatalf("%d experiments, frozen and read %d", len(s.Experiments), len(again.Experiments))
		}
		for i := range s.Experiments {
			if s.Experiments[i].ID() != again.Experiments[i].ID() {
				t.Errorf("experiment %d has the IDs %s and %s", i, s.Experiments[i].ID(), again.Experiments[i].ID())
			}
		}
	})
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
		if len(values) == 0 || len(values) > maxPoints {
			t.Fatalf("%q has %d values", text, len(values))
		}
		low, high, _ := strings.Cut(text, "..")
		// The step begins at the first * or + that belongs to no number.
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

func FuzzWhere(f *testing.F) {
	for _, s := range []string{
		"workload.prompts * batch <= 8192", "dtype in ('float16', \"bfloat16\") and not backend == 'fake'",
		"1 / (seed - 1) > 0", "(1+2)*3 % 4 == -1",
		"vllm.enforce_eager == true or false", "batch not in (1, 2)", "((((1))))>0", "1e400 > 1", "and and", "\"",
		"batch = 3", "ü > 3", "1 < 2 < 3",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, backend := range engines.All().Names() {
			s := grammarOfAll().defaults()
			s.Model, s.Backend = "m/n", backend
			before := settings{}
			before.copyFrom(&s)
			e, err := grammarOfAll().compile(text)
			if err != nil {
				p, ok := errors.AsType[*syntaxError](err)
				if !ok || p.msg == "" || p.from < 0 || p.width < 0 || p.from+p.width > len([]rune(text))+1 {
					t.Fatalf("%q: %#v", text, err)
				}
				return
			}
			x := &scratch{settings: &s}
			first, second := evaluate(e, x), evaluate(e, x)
			if first != second {
				t.Fatalf("%q is %v and then %v", text, first, second)
			}
			if !reflect.DeepEqual(s, before) {
				t.Fatalf("%q changes the settings", text)
			}
		}
	})
}

// evaluate gives the value of an expression, with the bits of a number.
func evaluate(e *expression, x *scratch) any {
	switch e.basic {
	case grammar.IsNumber:
		return math.Float64bits(e.num(x))
	case grammar.IsText:
		return e.str(x)
	}
	return e.truth(x)
}
