package table

import (
	"slices"
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

// Width is how many columns of a terminal a line takes: wide characters take two, colours none.
func Width(s string) int { return ansi.StringWidth(s) }

// Pad fills a text with blanks up to a width.
func Pad(s string, width int) string { return s + blanks(width-Width(s)) }

// padLeft fills a text with blanks in front up to a width.
func padLeft(s string, width int) string { return blanks(width-Width(s)) + s }

func blanks(n int) string { return strings.Repeat(" ", max(0, n)) }

// ellipsis marks what was cut, in one column.
const ellipsis = "…"

// Cut shortens a text to a width at its end.
func Cut(s string, width int) string { return ansi.Truncate(s, width, ellipsis) }

// CutFront shortens a text to a width at its front.
func CutFront(s string, width int) string {
	if n := Width(s); n > width {
		return ellipsis + ansi.TruncateLeft(s, n-width+1, "")
	}
	return s
}

// cutMiddle shortens a text to a width in its middle.
func cutMiddle(s string, width int) string {
	n := Width(s)
	if n <= width {
		return s
	}
	head := (width - 1) / 2
	return ansi.Truncate(s, head, "") + ellipsis + ansi.TruncateLeft(s, n-(width-1-head), "")
}

// mostShortened is up to how many different texts are shortened.
const mostShortened = 2000

// Shorten cuts texts to a width, or to the least one above it at which texts that differ still do: in the middle, at
// the front or at the end. Texts that fit stay as they are.
func Shorten(texts []string, width int) []string {
	short := shortened(texts, max(width, 2+context))
	out := make([]string, len(texts))
	for i, s := range texts {
		out[i] = short[s]
	}
	return out
}

// shortened maps each text to what is left of it.
func shortened(texts []string, width int) map[string]string {
	full := map[string]string{}
	widest := 0
	for _, s := range texts {
		full[s] = s
		widest = max(widest, Width(s))
	}
	if len(full) > mostShortened {
		return full
	}
	for ; width < widest; width++ {
		for _, cut := range []func(string, int) string{cutMiddle, CutFront, Cut} {
			if _, ok := apart(full, cut, width-context); !ok {
				continue
			}
			if short, ok := apart(full, cut, width); ok {
				return short
			}
		}
	}
	return full
}

// context is how much more of a text is left than what it differs by.
const context = 4

// apart cuts all texts to a width, and reports whether they still differ.
func apart(full map[string]string, cut func(string, int) string, width int) (map[string]string, bool) {
	short, seen := make(map[string]string, len(full)), make(map[string]bool, len(full))
	for s := range full {
		c := cut(s, width)
		if seen[c] {
			return nil, false
		}
		short[s], seen[c] = c, true
	}
	return short, true
}

// least is the smallest width, from the floor on, at which texts that differ still do.
func least(texts []string, floor int) int {
	n := 0
	for _, s := range shortened(texts, floor) {
		n = max(n, Width(s))
	}
	return n
}

// Wrap breaks a text at its blanks into lines of a width, with one indent for the first line and one for the others. A
// word that is longer stands alone; what is quoted for a shell ('my folder/a') is one word, and so is a command between
// backquotes, which is to be pasted. A next step that is a command stays whole. The text ends in a newline.
func Wrap(first, next, text string, width int) string {
	if isCommand(first + text) {
		return first + Clean(text) + "\n"
	}
	return strings.ReplaceAll(wrap(first, next, words(whole(text)), width), tie, " ")
}

// Fold breaks the lines of a text that are wider than a width; 0 leaves them as they are. What is folded is indented
// below the line's second column, or else deeper than the line. A next step that is a command stays whole, since it is
// to be pasted.
func Fold(text string, width int) string {
	if width <= 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		bare := strings.TrimSuffix(line, "\n")
		body := strings.TrimLeft(bare, " ")
		if Width(bare) <= width || isCommand(body) {
			b.WriteString(line)
			continue
		}
		indent := len(bare) - len(body)
		first, hang := bare[:indent], indent+2
		if label, rest, ok := strings.Cut(body, "  "); ok {
			rest = strings.TrimLeft(rest, " ")
			if n := Width(bare) - Width(rest); n <= width/2 {
				first, hang, body = blanks(indent)+Pad(label, n-indent), n, rest
			}
		}
		b.WriteString(strings.TrimSuffix(Wrap(first, blanks(hang), body, width), "\n") + line[len(bare):])
	}
	return b.String()
}

// tie stands for a blank at which a line is not broken: a character of no script, one column wide.
const tie = "\ue000"

// whole ties what stands between backquotes together: a command to paste.
func whole(text string) string {
	parts := strings.Split(text, "`")
	for i := 1; i < len(parts)-1; i += 2 {
		parts[i] = strings.ReplaceAll(parts[i], " ", tie)
	}
	return strings.Join(parts, "`")
}

// isCommand reports whether a line has a command to paste: a next step that begins with a program, or a chain of them.
func isCommand(line string) bool {
	for _, mark := range []string{"next: ", "get it: "} {
		if _, step, ok := strings.Cut(line, mark); ok {
			program, _, _ := strings.Cut(step, " ")
			return strings.Contains(step, " && ") || slices.Contains([]string{"llem", "python3", "pip", "docker",
				"podman", "git", "sudo", "apt-get"}, program)
		}
	}
	return false
}

// words splits a text at its blanks, but not within the quotes of a shell.
func words(text string) []string {
	var out []string
	for text = strings.TrimSpace(text); text != ""; {
		end := endOfWord(text)
		out = append(out, text[:end])
		text = strings.TrimSpace(text[end:])
	}
	return out
}

// endOfWord returns where the first word of a text ends. A quote opens at the beginning of a word, or behind =, ` or $;
// others are apostrophes, as are quotes that nothing closes.
func endOfWord(text string) int {
	plain := strings.IndexFunc(text, unicode.IsSpace)
	if plain < 0 {
		return len(text)
	}
	open := strings.IndexByte(text[:plain], '\'')
	if open < 0 || open > 0 && !strings.ContainsRune("=`$", rune(text[open-1])) {
		return plain
	}
	within := false
	for i := open; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'':
			within = !within
		case within:
		case c == '\\':
			i++
		case c == ' ' || c == '\n' || c == '\t':
			return i
		}
	}
	if within {
		return plain
	}
	return len(text)
}

func wrap(first, next string, words []string, width int) string {
	var b strings.Builder
	b.WriteString(first)
	column := Width(first)
	for i, word := range words {
		n := Width(word)
		switch {
		case i == 0:
		case column+1+n > width:
			b.WriteString("\n" + next)
			column = Width(next)
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	b.WriteString("\n")
	return b.String()
}

// Clean makes one line of a text that others wrote, without blanks around it: nothing in it moves the cursor.
func Clean(s string) string { return strings.TrimSpace(oneLine(s)) }

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
