package study

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/expression"
)

// parseAlone reads a study that cannot name other files.
func parseAlone(data []byte) (*Study, error) {
	b := newReading(nil)
	b.Read = func(string) ([]byte, error) { return nil, os.ErrNotExist }
	b.Text("s.yaml", data)
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
			values := pointWith(map[string]any{"model": "m/n", "backend": backend})
			before := slices.Clone(values)
			e, err := expression.Compile(grammarOfAll().Set, text)
			if err != nil {
				p, ok := errors.AsType[*expression.SyntaxError](err)
				if !ok || p.Msg == "" || p.From < 0 || p.Width < 0 || p.From+p.Width > len([]rune(text))+1 {
					t.Fatalf("%q: %#v", text, err)
				}
				return
			}
			x := &expression.Scratch{Values: values}
			first, second := evaluate(e, x), evaluate(e, x)
			if first != second {
				t.Fatalf("%q is %v and then %v", text, first, second)
			}
			if !slices.Equal(values, before) {
				t.Fatalf("%q changes the settings", text)
			}
		}
	})
}

// evaluate returns the value of an expression, with the bits of a number.
func evaluate(e *expression.Expression, x *expression.Scratch) any {
	switch e.Basic {
	case grammar.IsNumber:
		return math.Float64bits(e.Number(x))
	case grammar.IsText:
		return e.Text(x)
	}
	return e.Truth(x)
}
