// Package termsvg draws what a program printed on a terminal as an SVG picture, for documents. It reads
// the escape sequences of colours, bold and faint text (SGR); other sequences are dropped. Each run of
// characters of one style is a text element as wide as its columns, so that columns stay in line whatever
// font a browser takes. The same text gives the same bytes.
package termsvg

import (
	"encoding/xml"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Sizes in pixels: of a character and of the frame around the text.
const (
	charWidth  = 8.4
	lineHeight = 18
	margin     = 14
	titleBar   = 26
)

// palette has the eight colours and their bright forms, on a dark ground.
var palette = [16]string{
	"#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4",
	"#6e7681", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#f0f6fc",
}

// style is how characters look.
type style struct {
	color       string // "" is the colour of the text
	bold, faint bool
}

// attributes returns the attributes of a text element.
func (s style) attributes() string {
	var b strings.Builder
	if s.color != "" {
		fmt.Fprintf(&b, ` fill="%s"`, s.color)
	}
	if s.bold {
		b.WriteString(` font-weight="bold"`)
	}
	if s.faint {
		b.WriteString(` opacity="0.6"`)
	}
	return b.String()
}

// escape is an escape sequence of a terminal; the first group are the parameters of a style.
var escape = regexp.MustCompile("\x1b\\[([0-9;]*)m|\x1b\\[[0-9;?]*[A-Za-ln-z]")

// SVG returns the picture of a text with escape sequences, at least that many columns wide.
func SVG(text string, columns int) []byte {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for _, line := range lines {
		columns = max(columns, ansi.StringWidth(line))
	}
	width, height := int(float64(columns)*charWidth)+2*margin, len(lines)*lineHeight+2*margin+titleBar
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" rx="8" fill="#0d1117"/>`+"\n", width, height)
	for i, dot := range []string{"#ff5f56", "#ffbd2e", "#27c93f"} {
		fmt.Fprintf(&b, `<circle cx="%d" cy="%d" r="5" fill="%s"/>`+"\n", margin+6+i*18, margin+4, dot)
	}
	b.WriteString(`<g fill="#e6edf3" font-size="14" xml:space="preserve" ` +
		`font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace">` + "\n")
	var now style
	for i, line := range lines {
		now = drawLine(&b, line, now, margin+titleBar+i*lineHeight+14)
	}
	b.WriteString("</g>\n</svg>\n")
	return []byte(b.String())
}

// drawLine draws a line and returns the style at its end.
func drawLine(b *strings.Builder, line string, now style, y int) style {
	column, at := 0, 0
	for _, m := range append(escape.FindAllStringSubmatchIndex(line, -1), []int{len(line), len(line), -1, -1}) {
		column = drawText(b, line[at:m[0]], now, column, y)
		if at = m[1]; m[2] >= 0 {
			now = now.after(line[m[2]:m[3]])
		}
	}
	return now
}

// drawText draws characters of one style and returns the column behind them. Stretches of two spaces
// and more are left out.
func drawText(b *strings.Builder, text string, s style, column, y int) int {
	for text != "" {
		part := text
		if gap := strings.Index(text, "  "); gap >= 0 {
			part = text[:gap]
		}
		if n := ansi.StringWidth(part); n > 0 {
			fmt.Fprintf(b, `<text x="%.1f" y="%d" textLength="%.1f"%s>`, margin+float64(column)*charWidth, y,
				float64(n)*charWidth, s.attributes())
			_ = xml.EscapeText(b, []byte(part))
			b.WriteString("</text>\n")
			column += n
		}
		rest := strings.TrimLeft(text[len(part):], " ")
		column += len(text) - len(part) - len(rest)
		text = rest
	}
	return column
}

// after is the style after the parameters of an SGR sequence.
func (s style) after(parameters string) style {
	codes := strings.Split(parameters, ";")
	for i := 0; i < len(codes); i++ {
		switch n, _ := strconv.Atoi(codes[i]); {
		case n == 0:
			s = style{}
		case n == 1:
			s.bold = true
		case n == 2:
			s.faint = true
		case n == 22:
			s.bold, s.faint = false, false
		case n >= 30 && n <= 37:
			s.color = palette[n-30]
		case n >= 90 && n <= 97:
			s.color = palette[n-90+8]
		case n == 39:
			s.color = ""
		case n == 38 && i+2 < len(codes) && codes[i+1] == "5": // of 256 colours the first 16
			if c, _ := strconv.Atoi(codes[i+2]); c < len(palette) {
				s.color = palette[c]
			}
			i += 2
		}
	}
	return s
}
