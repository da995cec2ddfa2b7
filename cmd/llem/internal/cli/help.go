package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/internal/table"
)

// usualHelpWidth is the width of help texts off a terminal, and the largest on one: longer lines are hard to read.
const usualHelpWidth = 80

// helpWidth is the width of help texts in columns.
func (env *Env) helpWidth() int {
	if n := env.tableWidth(); n > 0 {
		return min(n, usualHelpWidth)
	}
	return usualHelpWidth
}

// help returns the help of a command.
func (env *Env) help(cmd *cobra.Command) string {
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	return fold(text, env.helpWidth()) + "\n" + env.usage(cmd)
}

// usage returns how a command is used, with its flags within the width of a terminal. Examples are not folded: they are
// commands to paste.
func (env *Env) usage(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n%s", table.Wrap("  ", "    ", cmd.UseLine(), env.helpWidth()))
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableLocalFlags() {
		fmt.Fprintf(&b, "\nFlags:\n%s", env.flags(cmd))
	}
	return b.String()
}

// leastHelp is the least width of the texts of flags beside their names; with less, they follow on their own lines.
const leastHelp = 24

// flags returns the flags of a command with their texts.
func (env *Env) flags(cmd *cobra.Command) string {
	width := env.helpWidth()
	text := cmd.LocalFlags().FlagUsagesWrapped(width)
	var b strings.Builder
	for line := range strings.Lines(text) {
		if width-textColumn(text) < leastHelp || table.Width(strings.TrimSuffix(line, "\n")) > width {
			return env.flagsBelow(cmd)
		}
		b.WriteString(line)
	}
	return b.String()
}

// textColumn is the column at which the texts of flags begin.
func textColumn(text string) int {
	first, _, _ := strings.Cut(text, "\n")
	return strings.LastIndex(first, "   ") + len("   ")
}

// flagsBelow returns the flags of a command with each text below its name, for narrow terminals.
func (env *Env) flagsBelow(cmd *cobra.Command) string {
	var b strings.Builder
	for line := range strings.Lines(cmd.LocalFlags().FlagUsages()) {
		name, text, found := strings.Cut(strings.TrimSpace(line), "   ")
		if !found {
			b.WriteString(line)
			continue
		}
		fmt.Fprintf(&b, "  %s\n%s", name, table.Wrap("      ", "      ", text, env.helpWidth()))
	}
	return b.String()
}

// fold breaks a help text into lines of a width. Successive lines are one paragraph; a line that begins with a blank is
// kept apart, and what does not fit on it is indented further.
func fold(text string, width int) string {
	var b strings.Builder
	var paragraph []string
	flush := func() {
		if len(paragraph) > 0 {
			b.WriteString(table.Wrap("", "", strings.Join(paragraph, " "), width))
			paragraph = nil
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		words := strings.TrimLeft(line, " ")
		indent := line[:len(line)-len(words)]
		switch {
		case words == "":
			flush()
			b.WriteString("\n")
		case indent == "":
			paragraph = append(paragraph, words)
		case table.Width(line) <= width:
			flush()
			b.WriteString(line + "\n")
		default:
			flush()
			b.WriteString(table.Wrap(indent, indent+"    ", words, width))
		}
	}
	flush()
	return b.String()
}

// firstHelp returns the help of the program: its commands in the order of work, each with the first line of its
// examples.
func (env *Env) firstHelp(root *cobra.Command, commands []*cobra.Command) string {
	width := env.helpWidth()
	var b strings.Builder
	b.WriteString(fold(root.Long, width) + "\nCommands, in the order of work:\n")
	for _, c := range commands {
		example, _, _ := strings.Cut(strings.TrimSpace(c.Example), "\n")
		b.WriteString(table.Wrap(fmt.Sprintf("  %-8s ", c.Name()), strings.Repeat(" ", 11), c.Short, width))
		fmt.Fprintf(&b, "%s%s\n", strings.Repeat(" ", 13), example)
	}
	b.WriteString("\n" + fold("Options of a command: llem COMMAND --help. Version: llem --version.\n"+
		"Colour: --color auto, always or never; --no-color.\n", width))
	return b.String()
}
