package study

import (
	"errors"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/expression"
)

func TestExpressions(t *testing.T) {
	values := pointWith(map[string]any{"model": "a/b", "backend": PyTorch, "dtype": "float16", "workload.prompts": 12,
		"pytorch.batch_size": 8, "vllm.enforce_eager": grammar.True})
	for text, want := range map[string]bool{
		"workload.prompts == 12": true, "workload.prompts != 12": false, "workload.prompts < 12.5": true,
		"workload.prompts >= 12":      true,
		"batch == pytorch.batch_size": true, "batch * workload.prompts == 96": true,
		"workload.prompts - batch / 2 == 8":   true,
		"(workload.prompts - batch) / 2 == 2": true, "workload.prompts % 5 == 2": true, "-batch < -7": true,
		"- - batch == 8":  true,
		"2 + 3 * 4 == 14": true, "2 - 3 - 4 == -5": true, "8 / 4 / 2 == 1": true, "1e3 == 1000": true,
		"1e-1 == 0.1": true, ".5 + .5 == 1": true,
		"dtype == 'float16'": true, `dtype != "float32"`: true, `dtype in ("float32", "float16")`: true,
		`dtype not in ("float32")`: true,
		"batch in (1, 8)":          true, "not batch in (1, 8)": false, "true": true, "not true": false,
		"true and not false":     true,
		"false and true or true": true, "false and (true or true)": false, "not false and false": false,
		"vllm.enforce_eager":         true,
		"vllm.enforce_eager == true": true, "vllm.async_scheduling": false, "(batch > 4) == true": true,
		"(((batch))) > 4": true,
		`model == "a/b"`:  true, "batch>4 and(batch<9)": true, "1-1 == 0": true, "batch -1 == 7": true,
	} {
		e, err := expression.CompileCondition(grammarOfAll().Set, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		x := &expression.Scratch{Values: values}
		if got := e.Truth(x); got != want || x.Undefined {
			t.Errorf("%s is %t (undefined %t), want %t", text, got, x.Undefined, want)
		}
	}
	for _, text := range []string{"1 / 0 > 1", "1 % 0 == 1", "batch / (batch - 8) > 1"} {
		e, err := expression.CompileCondition(grammarOfAll().Set, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		x := &expression.Scratch{Values: values}
		if e.Truth(x); !x.Undefined {
			t.Errorf("%s is defined", text)
		}
	}
}

// TestExpressionLimits: a hostile expression is a mistake, not a crash.
func TestExpressionLimits(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("(", 2000) + "1" + strings.Repeat(")", 2000), strings.Repeat("not ", 1000) + "true",
		strings.Repeat("-", 4000) + "1", strings.Repeat("1+", 5000) + "1 > 0",
	} {
		_, err := expression.CompileCondition(grammarOfAll().Set, text)
		if _, ok := errors.AsType[*expression.SyntaxError](err); !ok {
			t.Errorf("%.20s…: %v", text, err)
		}
	}
	if _, err := expression.CompileCondition(grammarOfAll().Set, strings.Repeat("1+", 1000)+"1 > 0"); err != nil {
		t.Errorf("a long sum: %v", err)
	}
}

// TestWhereIsABruteForceFilter: the points of a study with conditions are the points of the study without
// conditions that meet them.
func TestWhereIsABruteForceFilter(t *testing.T) {
	const axes = "model: m/n\nbackend: [embedded, fake]\nsweep:\n  dtype: [float32, float16, q8_0]\n  " +
		"embedded.batch_size: 1..16*2\n  fake.batch_size: [3, 9]\n  workload.prompts: 16..55+3\n  " +
		"workload.input_tokens: [16, 100]\n"
	all, err := Parse("s.yaml", []byte(axes))
	if err != nil {
		t.Fatal(err)
	}
	for text, keep := range map[string]func(Experiment) bool{
		"workload.prompts * batch <= 200": func(
			e Experiment) bool {
			return e.Workload.Prompts*e.BatchSize() <= 200
		},
		"dtype in ('float32', 'q8_0') or batch > 3": func(e Experiment) bool {
			return e.DType != "float16" ||
				e.BatchSize() > 3
		},
		"embedded.batch_size * 3 < workload.prompts": func(e Experiment) bool {
			return e.Backend != Embedded ||
				e.BatchSize()*3 < e.Workload.Prompts
		},
		"not (backend == 'fake' and workload.prompts > 30)": func(e Experiment) bool {
			return e.Backend != Fake ||
				e.Workload.Prompts <= 30
		},
		"workload.prompts % batch == 0 and workload.input_tokens - 16 == 0": func(e Experiment) bool {
			return e.Workload.Prompts%e.BatchSize() == 0 && e.Workload.InputTokens == 16
		},
	} {
		s, err := Parse("s.yaml", []byte(axes+"  where: \""+text+"\"\n"))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, e := range all.Experiments {
			if keep(e) {
				want = append(want, e.ID())
			}
		}
		if len(want) != len(s.Experiments) || s.Filtered != len(all.Experiments)-len(want) {
			t.Errorf("%s: %d points and %d filtered, want %d of %d", text, len(s.Experiments), s.Filtered, len(want),
				len(all.Experiments))
			continue
		}
		for i, e := range s.Experiments {
			if e.ID() != want[i] {
				t.Errorf("%s: point %d is %s, want %s", text, i, e.ID(), want[i])
				break
			}
		}
	}
}
