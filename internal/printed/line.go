package printed

import "strings"

// longestLine is the maximum length of the decisive line.
const longestLine = 400

// Line returns a line as part of a message: without surrounding decoration, and shortened if it is very long.
func Line(line string) string {
	line = strings.ToValidUTF8(strings.TrimSpace(line), "�")
	if r := []rune(line); len(r) > longestLine {
		line = string(r[:longestLine]) + "…"
	}
	return line
}
