package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/llenergymeasure/llem/cmd/llem/internal/cli"
)

// TestPage: every part of a command has its place on the page; no text is taken for a request or is pasted wrong.
func TestPage(t *testing.T) {
	root := &cobra.Command{Use: "tool", Short: "Weigh things"}
	cmd := &cobra.Command{
		Use: "weigh FILE", Short: "Weigh a file; is it heavy?",
		Long: "Weigh a file with `tool weigh`, as in\n./here or\n.there. It's done.\n\n" +
			"  fast    without a check\n  long words  with a check\n\n  key: 1\n  .b: [~a]\n\n" +
			"The last paragraph. Exit codes: 0 done, 1 a file is heavy, or\ntoo heavy, 2 usage.",
		Example: "  tool weigh --mode 'a b'\n  .x",
		Run:     func(*cobra.Command, []string) {},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringP("mode", "m", "fast", "how; \\ is kept – and so is this")
	cmd.Flags().Bool("all", false, "everything")
	cmd.Flags().String("at", "", "only at `TIME`")
	cmd.Flags().Lookup("at").NoOptDefVal = "now"
	cmd.Flags().Bool("secret", false, "not shown")
	cmd.Flags().Lookup("secret").Hidden = true
	root.AddCommand(cmd)

	want := `.TH "TOOL\-WEIGH" "1" "2026-11-29" "tool v1.2.3\-rc1" "User Commands"
.ad l
.nh
.SH "NAME"
tool\-weigh \- Weigh a file; is it heavy?
.SH "SYNOPSIS"
\fBtool weigh\fR FILE [flags]
.SH "DESCRIPTION"
Weigh a file with \fBtool weigh\fR, as in ./here or .there. It\(aqs done.
.TP
\fBfast\fR
without a check
.TP
\fBlong words\fR
with a check
.PP
.EX
  key: 1
  .b: [\(tia]
.EE
.PP
The last paragraph.
.SH "OPTIONS"
.TP
\fB\-m\fR, \fB\-\-mode\fR \fIstring\fR
how; \e is kept \[u2013] and so is this (default fast)
.TP
\fB\-\-all\fR
everything
.TP
\fB\-\-at\fR[=\fITIME\fR]
only at TIME; without a value: now
.SH "EXIT STATUS"
.TP
\fB0\fR
done.
.TP
\fB1\fR
a file is heavy, or too heavy.
.TP
\fB2\fR
usage.
.SH "EXAMPLES"
.EX
  tool weigh \-\-mode \(aqa b\(aq
  .x
.EE
.SH "SEE ALSO"
\fBtool\fR(1)
.PP
Documents that are named docs/NAME.md are in /usr/share/doc/tool/docs where a
package installed the program, and in its archive.
`
	if diff := cmp.Diff(want, page(cmd, edition{"v1.2.3-rc1", "2026-11-29"})); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

// TestLine: a line that begins like a request after it was folded is text still.
func TestLine(t *testing.T) {
	var r roff
	r.line(strings.Repeat("word ", 15) + "and ./file")
	if want := strings.Repeat("word ", 15) + "and\n\\&./file\n"; r.String() != want {
		t.Errorf("folded to\n%q, want\n%q", r.String(), want)
	}
}

// TestExitCodes: lists in each form that help texts have.
func TestExitCodes(t *testing.T) {
	long, codes := exitCodes("Text.\n\nExit codes: the command's own; 127 not found; 1 of 3 files, 2 usage.")
	want := []exit{{"", "the command's own"}, {"127", "not found"}, {"1", "of 3 files"}, {"2", "usage"}}
	if diff := cmp.Diff(want, codes, cmp.AllowUnexported(exit{})); diff != "" || long != "Text." {
		t.Errorf("text %q, codes (-want +got):\n%s", long, diff)
	}
}

// TestAllCommands: every command that the help lists has a page with all its flags and its exit codes, and each shell a
// script.
func TestAllCommands(t *testing.T) {
	dir := t.TempDir()
	root := cli.Commands()
	if err := write(dir, root, edition{"v1.2.3", "2026-11-29"}); err != nil {
		t.Fatal(err)
	}
	commands := documented(root)
	if len(commands) < 12 {
		t.Fatalf("%d commands have a page", len(commands))
	}
	for _, cmd := range commands {
		text := read(t, dir, "man", pageName(cmd)+".1")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if want := escape("--" + f.Name); !f.Hidden && !strings.Contains(text, want) {
				t.Errorf("the page of %s lacks %s", cmd.CommandPath(), f.Name)
			}
		})
		if strings.Contains(cmd.Long, "Exit codes:") != strings.Contains(text, `.SH "EXIT STATUS"`) {
			t.Errorf("the page of %s has its exit codes in a paragraph", cmd.CommandPath())
		}
		if cmd != root && !strings.Contains(read(t, dir, "man", "llem.1"), bold(pageName(cmd))+"(1)") {
			t.Errorf("llem.1 lacks %s", cmd.Name())
		}
	}
	for name, want := range map[string]string{
		"bash/llem": "complete -o default -F __start_llem llem", "zsh/_llem": "#compdef llem",
		"fish/llem.fish": "complete -c llem",
	} {
		if !strings.Contains(read(t, dir, name), want) {
			t.Errorf("%s lacks %q", name, want)
		}
	}
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
