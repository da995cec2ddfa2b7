// Package help writes the help of the commands within the width of a terminal, down to 40 columns.
package help

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/internal/table"
)

// Width of help texts off a terminal, and the largest on one: longer lines are hard to read.
const Width = 80

// Text writes help.
type Text struct {
	// Columns is the width of the terminal; 0 if there is none.
	Columns int
}

// width returns the width of the lines.
func (t Text) width() int {
	if t.Columns > 0 {
		return min(t.Columns, Width)
	}
	return Width
}

// Command returns the help of a command.
func (t Text) Command(cmd *cobra.Command) string {
	long := cmd.Long
	if long == "" {
		long = cmd.Short
	}
	return fold(long, t.width()) + "\n" + t.Usage(cmd)
}

// Usage returns how a command is used, with its flags within the width of a terminal. Examples are not folded: they are
// commands to paste.
func (t Text) Usage(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n%s", table.Wrap("  ", "    ", cmd.UseLine(), t.width()))
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableLocalFlags() {
		fmt.Fprintf(&b, "\nFlags:\n%s", t.flags(cmd))
	}
	return b.String()
}

// leastHelp is the least width of the texts of flags beside their names; with less, they follow on their own lines.
const leastHelp = 24

// flags returns the flags of a command with their texts.
func (t Text) flags(cmd *cobra.Command) string {
	width := t.width()
	text := cmd.LocalFlags().FlagUsagesWrapped(width)
	var b strings.Builder
	for line := range strings.Lines(text) {
		if width-textColumn(text) < leastHelp || table.Width(strings.TrimSuffix(line, "\n")) > width {
			return t.flagsBelow(cmd)
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
func (t Text) flagsBelow(cmd *cobra.Command) string {
	var b strings.Builder
	for line := range strings.Lines(cmd.LocalFlags().FlagUsages()) {
		name, text, found := strings.Cut(strings.TrimSpace(line), "   ")
		if !found {
			b.WriteString(line)
			continue
		}
		fmt.Fprintf(&b, "  %s\n%s", name, table.Wrap("      ", "      ", text, t.width()))
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
			term, rest, _ := strings.Cut(words, "  ")
			if text := strings.TrimLeft(rest, " "); text != "" && len(line)-len(text) <= width/2 {
				first := line[:len(line)-len(text)] // a term and its explanation in a second column
				b.WriteString(table.Wrap(first, strings.Repeat(" ", table.Width(first)), text, width))
				break
			} else if text != "" {
				words = term + ": " + text
			}
			b.WriteString(table.Wrap(indent, indent+"    ", words, width))
		}
	}
	flush()
	return b.String()
}

// Program returns the help of the program: its commands in the order of work, each with the first line of its
// examples.
func (t Text) Program(root *cobra.Command, commands []*cobra.Command) string {
	width := t.width()
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
