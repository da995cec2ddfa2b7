package cli

import (
	"strings"
	"testing"
)

// TestWrongFlags: a mistyped flag of any command gets the one that was meant, and one of another command is named as
// such.
func TestWrongFlags(t *testing.T) {
	t.Parallel()
	hint := func(args ...string) string {
		root := newRoot(&Env{})
		root.SetArgs(args)
		_, err := root.ExecuteC()
		return nextOf(err)
	}
	for _, c := range newRoot(&Env{}).Commands() {
		if c.Hidden {
			continue
		}
		if got := hint(c.Name(), "--hepl"); !strings.HasPrefix(got,
			"did you mean --help? See `llem "+c.Name()+" --help`") {
			t.Errorf("llem %s --hepl: next: %s", c.Name(), got)
		}
	}
	for args, want := range map[string]string{
		"run --mdel x":      "did you mean --model?",
		"run --batchsize 4": "did you mean --batch-size?",
		"run --out x":       "did you mean --output?",
		"report --metric":   "did you mean --metrics?",
		"plot --out x":      "did you mean --output?",
		"config --jsno":     "did you mean --json?",
		"--vrsion":          "did you mean --version?",
		"compare --pareto":  "--pareto is a flag of `llem report`; see `llem compare --help`",
		"run --no-colour":   "did you mean --no-color?",
		"run --xyzzyxxy":    "see `llem run --help`",
		"run -Z":            "see `llem run --help`",
		"reprot":            `did you mean "report"?`,
	} {
		if got := hint(strings.Fields(args)...); !strings.HasPrefix(got, want) {
			t.Errorf("llem %s: next: %s, want %s", args, got, want)
		}
	}
}
