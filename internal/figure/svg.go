package figure

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// SVG writes a drawing as a file of its own, of its size in millimetres.
func (d *Drawing) SVG(w io.Writer) error { return d.svg(w, true) }

// Inline writes a drawing as an element of a page, which scales it to its place.
func (d *Drawing) Inline(w io.Writer) error { return d.svg(w, false) }

func (d *Drawing) svg(w io.Writer, alone bool) error {
	b := bufio.NewWriter(w)
	size := ""
	if alone {
		b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
		size = fmt.Sprintf(` width="%smm" height="%smm"`, number(d.Width/pointsPerMM), number(d.Height/pointsPerMM))
	}
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg"%s viewBox="0 0 %s %s" role="img" `+
		`font-family="Helvetica,Arial,'Liberation Sans',sans-serif">`+"\n", size, number(d.Width), number(d.Height))
	fmt.Fprintf(b, "<title>%s</title>\n", escape(d.Title))
	if d.Description != "" {
		fmt.Fprintf(b, "<desc>%s</desc>\n", escape(d.Description))
	}
	for _, o := range d.ops {
		switch {
		case o.path != nil:
			o.path.svg(b, alone)
		case o.text != nil:
			o.text.svg(b, alone)
		}
	}
	b.WriteString("</svg>\n")
	return b.Flush()
}

func (p *Path) svg(b *bufio.Writer, alone bool) {
	b.WriteString(`<path d="`)
	for i, at := range p.Points {
		b.WriteByte("LM"[btoi(i == 0)])
		b.WriteString(number(at.X))
		b.WriteByte(' ')
		b.WriteString(number(at.Y))
	}
	if p.Closed {
		b.WriteByte('Z')
	}
	b.WriteByte('"')
	colour(b, "fill", p.Fill, alone)
	if p.Width > 0 && p.Stroke.A > 0 {
		colour(b, "stroke", p.Stroke, alone)
		fmt.Fprintf(b, ` stroke-width="%s"`, number(p.Width))
		if p.Dash > 0 {
			fmt.Fprintf(b, ` stroke-dasharray="%s"`, number(p.Dash))
		}
	}
	if p.Title != "" {
		fmt.Fprintf(b, "><title>%s</title></path>\n", escape(p.Title))
		return
	}
	b.WriteString("/>\n")
}

func (t *Text) svg(b *bufio.Writer, alone bool) {
	x, y := number(t.At.X), number(t.At.Y)
	fmt.Fprintf(b, `<text x="%s" y="%s" font-size="%s"`, x, y, number(t.Size))
	colour(b, "fill", t.Colour, alone)
	if t.Anchor != Start {
		fmt.Fprintf(b, ` text-anchor="%s"`, [...]string{"start", "middle", "end"}[t.Anchor])
	}
	if t.Bold {
		b.WriteString(` font-weight="bold"`)
	}
	if t.Upwards {
		fmt.Fprintf(b, ` transform="rotate(-90 %s %s)"`, x, y)
	}
	fmt.Fprintf(b, ">%s</text>\n", escape(t.Text))
}

// colour writes the attribute of a colour and its opacity. Inside a page, the ink and the background of the page are
// used, so that lines are light on a dark page.
func colour(b *bufio.Writer, attribute string, c Colour, alone bool) {
	if c.A <= 0 {
		fmt.Fprintf(b, ` %s="none"`, attribute)
		return
	}
	name := fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B)
	opaque := Colour{c.R, c.G, c.B, 1}
	switch {
	case !alone && opaque == Style{}.ink():
		name = "currentColor"
	case !alone && opaque == white:
		name = "var(--page)"
	}
	fmt.Fprintf(b, ` %s="%s"`, attribute, name)
	if c.A < 1 {
		fmt.Fprintf(b, ` %s-opacity="%s"`, attribute, number(c.A))
	}
}

// number prints a coordinate to a hundredth, the same on every machine.
func number(v float64) string {
	text := strconv.FormatFloat(v, 'f', 2, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		return "0"
	}
	return text
}

// escape makes a text safe in an element or an attribute, whatever it holds.
func escape(text string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(text)); err != nil {
		return ""
	}
	return b.String()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
