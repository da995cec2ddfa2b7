package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/shell"
)

// TestWidth: notes follow the terminal within limits, and nothing else depends on
// it.
func TestWidth(t *testing.T) {
	for name, q := range map[string]struct {
		tty     bool
		columns string
		window  func() int
		want    int
	}{
		"no terminal":             {false, "70", func() int { return 80 }, 0},
		"window":                  {true, "", func() int { return 80 }, 80},
		"COLUMNS wins":            {true, "70", func() int { return 80 }, 70},
		"COLUMNS is not a number": {true, "wide", func() int { return 80 }, 80},
		"very wide":               {true, "", func() int { return 300 }, 100},
		"very narrow":             {true, "12", nil, 40},
		"unknown":                 {true, "", func() int { return 0 }, 0},
		"unknown, nobody to ask":  {true, "", nil, 0},
	} {
		env := Env{StdoutTTY: q.tty, Columns: q.window, Getenv: func(k string) string {
			if k == "COLUMNS" {
				return q.columns
			}
			return ""
		}}
		if got := env.width(); got != q.want {
			t.Errorf("%s: %d, want %d", name, got, q.want)
		}
	}
}

// TestCanDraw: a terminal that cannot move its cursor, and one that nobody watches, get
// plain lines.
func TestCanDraw(t *testing.T) {
	for _, c := range []struct {
		tty  bool
		vars map[string]string
		want bool
	}{
		{true, nil, true},
		{true, map[string]string{"TERM": "xterm-256color", "NO_COLOR": "1"}, true},
		{true, map[string]string{"TERM": "dumb"}, false},
		{true, map[string]string{"CI": "true"}, false},
		{false, nil, false},
	} {
		env := Env{StderrTTY: c.tty, Getenv: func(name string) string { return c.vars[name] }}
		if got := env.canDraw(); got != c.want {
			t.Errorf("terminal %v with %v: %v, want %v", c.tty, c.vars, got, c.want)
		}
	}
}

// TestMessagesFold: on a terminal, messages keep within its width and its characters, but for commands to paste and
// lines of a file; elsewhere they are one line.
func TestMessagesFold(t *testing.T) {
	const command = "  next: llem run --model random:smollm2-135m --estimate --output results\n"
	for tty, want := range map[bool]string{
		true:  "llem: the engine needs 4 x 12 GiB, and\n  the GPU has fewer\n" + command,
		false: "llem: the engine needs 4 x 12 GiB, and the GPU has fewer\n" + command,
	} {
		var out strings.Builder
		env := Env{Stderr: &out, StdoutTTY: tty, StderrTTY: tty, Columns: func() int { return 40 },
			Getenv: func(key string) string { return map[string]string{"LC_ALL": "C"}[key] }}
		env.explain(&usageError{"the engine needs 4 × 12 GiB, and the GPU has fewer",
			"llem run --model random:smollm2-135m --estimate --output results"})
		if got := out.String(); got != want {
			t.Errorf("terminal %v: %q, want %q", tty, got, want)
		}
	}
}

// TestCalledByPath: a program that was called by its path prints commands that begin with it.
func TestCalledByPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"llem": "", "bin/llem": "bin/llem", "my bin/llem": "'my bin/llem'"} {
		if got := calledAs(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	for _, q := range []struct {
		args []string
		want string
	}{
		{[]string{"report", "--best", "nope", t.TempDir()}, "next: `bin/llem report --metrics`"},
		{[]string{"run", "--frobnicate"}, "see `bin/llem run --help`"},
		{[]string{"run", "--help"}, "  bin/llem run study.yaml"},
	} {
		var out bytes.Buffer
		Main(Env{Program: "bin/llem", Args: q.args, Stdout: &out, Stderr: &out,
			Getenv: func(string) string { return "" }})
		if !strings.Contains(out.String(), q.want) {
			t.Errorf("%q is not in %s", q.want, out.String())
		}
	}
}

// TestCalledKnowsEveryCommand: every command that a message may name begins as the program was called.
func TestCalledKnowsEveryCommand(t *testing.T) {
	for _, cmd := range newRoot(&Env{Getenv: func(string) string { return "" }}).Commands() {
		if cmd.Hidden || cmd.Name() == "completion" {
			continue
		}
		want := "bin/llem " + cmd.Name() + " x"
		if got := shell.Called("bin/llem", "llem "+cmd.Name()+" x"); got != want {
			t.Errorf("%q, want %q: name the command in internal/shell", got, want)
		}
	}
}
