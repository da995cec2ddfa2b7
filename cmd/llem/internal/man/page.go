package main

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// edition is what stands at the foot of a page.
type edition struct {
	version string
	date    string // YYYY-MM-DD
}

// pageName returns the name of the page of a command: llem, llem-run.
func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// page returns the page of a command in the macros of man(7).
func page(cmd *cobra.Command, at edition) string {
	var r roff
	name, root := pageName(cmd), cmd.Root()
	r.WriteString(`.TH "` + escape(strings.ToUpper(name)) + `" "1" "` + at.date + `" "` +
		escape(root.Name()+" "+at.version) + "\" \"User Commands\"\n")
	r.macro("ad l") // neither stretched lines nor broken words: they are read on a terminal, and pasted
	r.macro("nh")
	r.macro("SH", "NAME")
	r.line(text(name) + ` \- ` + text(cmd.Short))
	r.macro("SH", "SYNOPSIS")
	synopsis(&r, cmd)
	r.macro("SH", "DESCRIPTION")
	long := cmd.Long
	if long == "" {
		long = sentence(cmd.Short)
	}
	prose, codes := exitCodes(long)
	description(&r, prose)
	if cmd == root {
		r.macro("SH", "COMMANDS")
		for _, c := range documented(root)[1:] {
			r.term(bold(pageName(c))+"(1)", text(sentence(c.Short)))
		}
	}
	if cmd.HasAvailableLocalFlags() {
		r.macro("SH", "OPTIONS")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { option(&r, f) })
	}
	if len(codes) > 0 {
		r.macro("SH", "EXIT STATUS")
		for _, c := range codes {
			head := italic("other")
			if c.code != "" {
				head = bold(c.code)
			}
			r.term(head, text(sentence(c.meaning)))
		}
	}
	if cmd.HasExample() {
		r.macro("SH", "EXAMPLES")
		r.block(strings.Split(strings.TrimRight(cmd.Example, "\n"), "\n"))
	}
	r.macro("SH", "SEE ALSO")
	seeAlso(&r, cmd)
	return r.String()
}

// sentence returns a phrase with a full stop.
func sentence(s string) string {
	if strings.HasSuffix(s, "?") || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// synopsis writes how a command is called: the words of it bold, the rest as in its help.
func synopsis(r *roff, cmd *cobra.Command) {
	if cmd == cmd.Root() {
		r.line(bold(cmd.Name()) + " " + italic("COMMAND") + " [" + italic("ARGUMENTS") + "] [" + italic("FLAGS") + "]")
		r.macro("br")
		r.line(bold(cmd.Name()) + " " + bold("--version"))
		return
	}
	r.line(bold(cmd.CommandPath()) + text(strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath())))
}

// seeAlso names the other pages, and where documents are that texts name.
func seeAlso(r *roff, cmd *cobra.Command) {
	var others []string
	for _, c := range documented(cmd.Root()) {
		if c != cmd {
			others = append(others, bold(pageName(c))+"(1)")
		}
	}
	r.line(strings.Join(others, ",\n"))
	r.macro("PP")
	r.line(text("Documents that are named docs/NAME.md are in /usr/share/doc/" + cmd.Root().Name() +
		"/docs where a package installed the program, and in its archive."))
}

// option writes a flag with its text.
func option(r *roff, f *pflag.Flag) {
	if f.Hidden {
		return
	}
	value, usage := pflag.UnquoteUsage(f)
	head := bold("--" + f.Name)
	if f.Shorthand != "" {
		head = bold("-"+f.Shorthand) + ", " + head
	}
	switch {
	case value == "":
	case f.NoOptDefVal != "":
		head += "[=" + italic(value) + "]"
		usage += "; without a value: " + f.NoOptDefVal
	default:
		head += " " + italic(value)
	}
	if !zero(f.DefValue) {
		usage += " (default " + f.DefValue + ")"
	}
	r.term(head, text(usage))
}

// zero reports whether a default is what a flag has without one, which pflag does not print either.
func zero(value string) bool {
	switch value {
	case "", "0", "0s", "false", "[]":
		return true
	}
	return false
}

// exit is an exit code with its meaning; without a code, the meaning of all others.
type exit struct{ code, meaning string }

// exitSentence begins the list of exit codes in a help text; codeStart begins a code in it.
var (
	exitSentence = regexp.MustCompile(`(?s)\s*Exit codes: (.*)$`)
	codeStart    = regexp.MustCompile(`(?:^|[,;] )(\d+) `)
)

// exitCodes divides a help text into what is before the list of exit codes, which ends it, and the codes.
func exitCodes(long string) (string, []exit) {
	found := exitSentence.FindStringSubmatch(long)
	if found == nil {
		return long, nil
	}
	list := strings.TrimSuffix(strings.Join(strings.Fields(found[1]), " "), ".")
	codes := []exit{}
	starts := codeStart.FindAllStringSubmatchIndex(list, -1)
	for i, at := range starts {
		end := len(list)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		if i == 0 && at[0] > 0 {
			codes = append(codes, exit{"", list[:at[0]]}) // other codes, such as the ones of a child
		}
		codes = append(codes, exit{list[at[2]:at[3]], list[at[1]:end]})
	}
	return long[:len(long)-len(found[0])], codes
}

// gap separates a term from its explanation in an indented line of a help text.
var gap = regexp.MustCompile(`^ +(\S+(?: \S+)*) {2,}(.*)$`)

// description writes a help text. Successive lines are a paragraph; indented ones are terms with explanations in a
// second column, or else an example.
func description(r *roff, long string) {
	var paragraph, indented []string
	between := "" // paragraphs are kept apart
	flush := func() {
		if len(paragraph) > 0 {
			r.WriteString(between)
			r.line(text(strings.Join(paragraph, " ")))
		}
		if len(indented) > 0 {
			list(r, indented)
		}
		paragraph, indented, between = nil, nil, ".PP\n"
	}
	for line := range strings.Lines(long) {
		line = strings.TrimRight(line, " \n")
		switch {
		case line == "":
			flush()
		case line[0] == ' ':
			if len(paragraph) > 0 {
				flush()
			}
			indented = append(indented, line)
		default:
			if len(indented) > 0 {
				flush()
			}
			paragraph = append(paragraph, line)
		}
	}
	flush()
}

// list writes indented lines.
func list(r *roff, lines []string) {
	terms := make([][]string, len(lines))
	for i, line := range lines {
		if terms[i] = gap.FindStringSubmatch(line); terms[i] == nil {
			r.macro("PP")
			r.block(lines)
			return
		}
	}
	for _, t := range terms {
		r.term(bold(t[1]), text(t[2]))
	}
}
