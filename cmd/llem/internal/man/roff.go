package main

import (
	"fmt"
	"regexp"
	"strings"
)

// roff is a page in the making.
type roff struct{ strings.Builder }

// macro writes a request with its arguments.
func (r *roff) macro(name string, arguments ...string) {
	r.WriteString("." + name)
	for _, a := range arguments {
		fmt.Fprintf(r, ` "%s"`, escape(a))
	}
	r.WriteByte('\n')
}

// line writes text that is escaped already, in lines of a length that formatters accept.
func (r *roff) line(s string) {
	const most = 78
	for len(s) > most {
		at := strings.LastIndexByte(s[:most+1], ' ')
		if at < 0 {
			if at = strings.IndexByte(s, ' '); at < 0 {
				break
			}
		}
		r.WriteString(start(s[:at]) + "\n")
		s = s[at+1:]
	}
	r.WriteString(start(s) + "\n")
}

// term writes a term with its explanation, both escaped already.
func (r *roff) term(head, explanation string) {
	r.macro("TP")
	r.line(head)
	r.line(explanation)
}

// block writes lines as they are, for commands and files.
func (r *roff) block(lines []string) {
	r.macro("EX")
	for _, l := range lines {
		r.WriteString(start(escape(l)) + "\n") // not folded: they are pasted
	}
	r.macro("EE")
}

// escapes are characters that roff takes for something else, or prints as a character that cannot be pasted.
var escapes = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `~`, `\(ti`, `^`, `\(ha`, `"`, `\(dq`)

// escape returns a text as roff that prints it, on any line but at its start.
func escape(s string) string {
	var b strings.Builder
	for _, c := range escapes.Replace(s) {
		if c < 0x80 {
			b.WriteRune(c)
		} else {
			fmt.Fprintf(&b, `\[u%04X]`, c)
		}
	}
	return b.String()
}

// start protects a line that roff would take for a request.
func start(s string) string {
	if strings.HasPrefix(s, ".") {
		return `\&` + s
	}
	return s
}

// quoted is a part of a help text in backquotes: a command.
var quoted = regexp.MustCompile("`([^`]*)`")

// text returns prose; commands in backquotes become bold.
func text(s string) string {
	var b strings.Builder
	last := 0
	for _, at := range quoted.FindAllStringSubmatchIndex(s, -1) {
		b.WriteString(escape(s[last:at[0]]) + bold(s[at[2]:at[3]]))
		last = at[1]
	}
	return b.String() + escape(s[last:])
}

func bold(s string) string { return `\fB` + escape(s) + `\fR` }

func italic(s string) string { return `\fI` + escape(s) + `\fR` }
