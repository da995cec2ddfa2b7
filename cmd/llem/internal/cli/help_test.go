package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/cmd/llem/internal/help"
	"github.com/llenergymeasure/llem/internal/table"
)

// TestHelpFitsTheTerminal: no line of a help text is wider than the terminal, but for examples, which are commands to
// paste; they fit 80 columns.
func TestHelpFitsTheTerminal(t *testing.T) {
	t.Parallel()
	for _, width := range []int{40, 60, 80, 200} {
		var out bytes.Buffer
		env := Env{Stdout: &out, Stderr: &out, StdoutTTY: true, Columns: func() int { return width },
			Getenv: func(string) string { return "" }}
		commands := [][]string{{"--help"}}
		for _, c := range newRoot(&env).Commands() {
			if !c.Hidden {
				commands = append(commands, []string{c.Name(), "--help"})
			}
		}
		if len(commands) < 9 {
			t.Fatalf("%d commands", len(commands))
		}
		for _, args := range commands {
			out.Reset()
			env.Args = args
			if code := Main(env); code != 0 || out.Len() < 100 {
				t.Errorf("%q: %d, %s", args, code, out.String())
			}
			if args[0] == "plot" && !strings.Contains(out.String(), "\n  power     power over the") {
				t.Errorf("%d columns: the charts and what they show are not in two columns: %s", width, out.String())
			}
			for line := range strings.Lines(out.String()) {
				line = strings.TrimSuffix(line, "\n")
				most := min(width, help.Width)
				if strings.HasPrefix(strings.TrimSpace(line), "llem ") {
					most = help.Width
				}
				if table.Width(line) > most {
					t.Errorf("%q in %d columns: %q", args, width, line)
				}
			}
		}
	}
}
