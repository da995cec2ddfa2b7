package figure

import "strings"

// frame is the area of a chart between its axes.
type frame struct {
	d                        *Drawing
	style                    Style
	x, y                     scale
	left, right, top, bottom float64
	below                    float64 // height of what is drawn below over the same x
}

// textWidth estimates the width of a text in Helvetica or a font like it, in points.
func textWidth(text string, size float64) float64 {
	var em float64
	for _, r := range text {
		switch {
		case strings.ContainsRune("iljtfI.,:;'|!()[] ·", r):
			em += 0.3
		case strings.ContainsRune("mwMW%@…→", r):
			em += 0.86
		case r >= 'A' && r <= 'Z':
			em += 0.69
		default:
			em += 0.56
		}
	}
	return em * size
}

// fit cuts a text to a width, with an ellipsis. A mark in brackets at its end stays.
func fit(text string, size, width float64) string {
	if textWidth(text, size) <= width+1e-6 { // a width made of this text's own
		return text
	}
	if at := strings.LastIndex(text, " ["); at > 0 && strings.HasSuffix(text, "]") {
		if room := width - textWidth(text[at:], size); room > 2*size {
			return fit(text[:at], size, room) + text[at:]
		}
	}
	runes := []rune(text)
	for len(runes) > 0 && textWidth(string(runes)+"…", size) > width {
		runes = runes[:len(runes)-1]
	}
	return strings.TrimRight(string(runes), " ") + "…"
}

// newFrame draws the axes around the values, with room at the top for a legend of so many lines.
func newFrame(d *Drawing, style Style, x, y Axis, xs, ys []float64, legend int) frame {
	return newFrameAbove(d, style, x, y, xs, ys, legend, 0)
}

// newFrameAbove is newFrame with room below for more that has the same x.
func newFrameAbove(d *Drawing, style Style, x, y Axis, xs, ys []float64, legend int, below float64) frame {
	size := style.font()
	f := frame{d: d, style: style, top: size * (0.8 + 1.35*float64(legend)), bottom: d.Height - 3.1*size - below,
		right: d.Width - size, below: below}
	f.y = newScale(y, ys, f.bottom, f.top, 2.2*size)
	widest := 0.0
	for _, t := range f.y.ticks {
		widest = max(widest, textWidth(t.label, size))
	}
	f.left = widest + 2.4*size
	f.x = newScale(x, xs, f.left, f.right, 5*size)
	f.grid()
	f.labels(x, y)
	return f
}

// grid draws the ticks of both axes.
func (f *frame) grid() {
	size, ink, faint := f.style.font(), f.style.ink(), f.style.faint()
	for _, t := range f.y.ticks {
		y := f.y.at(t.at)
		f.d.line(Point{f.left, y}, Point{f.right, y}, 0.4, faint)
		f.d.text(Text{At: Point{f.left - 0.4*size, y + 0.35*size}, Text: t.label, Size: size, Colour: ink, Anchor: End})
	}
	last := f.left - 100
	for _, t := range f.x.ticks {
		x, half := f.x.at(t.at), textWidth(t.label, size)/2
		f.d.line(Point{x, f.top}, Point{x, f.bottom + f.below}, 0.4, faint)
		at := min(x, f.d.Width-1.15*half)
		if at-half < last+0.5*size {
			continue
		}
		last = at + half
		f.d.text(Text{At: Point{at, f.bottom + f.below + 1.2*size}, Text: t.label, Size: size, Colour: ink,
			Anchor: Middle})
	}
	f.d.line(Point{f.left, f.bottom}, Point{f.right, f.bottom}, 0.8, ink)
	f.d.line(Point{f.left, f.top}, Point{f.left, f.bottom}, 0.8, ink)
}

func (f *frame) labels(x, y Axis) {
	size, ink := f.style.font(), f.style.ink()
	f.d.text(Text{At: Point{(f.left + f.right) / 2, f.d.Height - 0.6*size},
		Text: fit(x.Label, size, f.right-f.left+size), Size: size, Colour: ink, Anchor: Middle})
	f.d.text(Text{At: Point{1.1 * size, (f.top + f.bottom) / 2}, Text: fit(y.Label, size, f.bottom-f.top+2*size),
		Size: size, Colour: ink, Anchor: Middle, Upwards: true})
}

// key is an entry of a legend.
type key struct {
	label string
	// draw draws the sample of the entry around a point.
	draw func(at Point)
}

// legendLines returns how many lines the entries of a legend take.
func (s Style) legendLines(width float64, labels []string) int {
	if len(labels) == 0 {
		return 0
	}
	size, lines, x := s.font(), 1, 0.0
	for _, l := range labels {
		w := min(textWidth(l, size), width-3*size) + 3*size
		if x > 0 && x+w > width {
			lines, x = lines+1, 0
		}
		x += w
	}
	return lines
}

// several returns the entries of a legend of series; one alone needs no legend.
func several[T any](keys []T) []T {
	if len(keys) < 2 {
		return nil
	}
	return keys
}

// legend draws the entries from left to right above the frame.
func (f *frame) legend(keys []key) {
	size := f.style.font()
	left, width := size, f.d.Width-2*size
	x, y := left, 1.1*size
	for _, k := range keys {
		label := fit(k.label, size, width-3*size)
		w := textWidth(label, size) + 3*size
		if x > left && x+w > left+width {
			x, y = left, y+1.35*size
		}
		k.draw(Point{x + 0.7*size, y - 0.3*size})
		f.d.text(Text{At: Point{x + 1.7*size, y}, Text: label, Size: size, Colour: f.style.ink()})
		x += w
	}
}
