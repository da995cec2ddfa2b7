package printed

import "strings"

// longestLine is how much of the decisive line is kept.
const longestLine = 400

// Line is a line without what surrounds it, cut where it is very long, as part of a message.
func Line(line string) string {
	line = strings.ToValidUTF8(strings.TrimSpace(line), "�")
	if r := []rune(line); len(r) > longestLine {
		line = string(r[:longestLine]) + "…"
	}
	return line
}
