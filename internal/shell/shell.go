// Package shell writes file names for commands that a user pastes into a shell: relative to the working directory
// where that is shorter, and quoted where a shell would take a character for something else.
package shell

import (
	"path/filepath"
	"strings"
	"unicode"
)

// Path returns a file name as an argument: the shorter one of the name and the name from the working directory, quoted.
func Path(name string) string { return Quote(Short(name)) }

// Short returns the shorter one of a file name and the name from the working directory.
func Short(name string) string {
	here, err := filepath.Abs(".")
	if err != nil {
		return name
	}
	return from(here, name)
}

// from is Short in a folder.
func from(here, name string) string {
	if !filepath.IsAbs(name) {
		return name
	}
	if rel, err := filepath.Rel(here, name); err == nil && len(rel) < len(name) {
		return rel
	}
	return name
}

// Quote returns a text as one argument of a POSIX shell. Texts that a shell leaves alone stay as they are. A file name
// that looks like a flag begins with "./".
func Quote(text string) string {
	if strings.HasPrefix(text, "-") {
		text = "./" + text
	}
	switch {
	case text != "" && strings.IndexFunc(text, special) < 0:
		return text
	case strings.IndexFunc(text, unicode.IsControl) >= 0:
		return "$'" + escapes.Replace(strings.Map(noControl, text)) + "'"
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// special reports whether a shell may read a character as something else. It does not of letters of any script.
func special(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune("_@%+=:,./-", r)
}

// escapes are the escapes of texts in $'…' with the control characters that names of files have.
var escapes = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\t", `\t`, "\r", `\r`, "\x1b", `\033`)

// noControl replaces control characters that have no escape.
func noControl(r rune) rune {
	if unicode.IsControl(r) && !strings.ContainsRune("\n\t\r\x1b", r) {
		return '?'
	}
	return r
}
