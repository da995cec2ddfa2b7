package figure

// The palette of Okabe and Ito ("Color Universal Design", 2008), which readers with any kind of colour vision can tell
// apart, without its yellow, which is too light for lines on white.
var okabeIto = []Colour{
	{0, 114, 178, 1}, {213, 94, 0, 1}, {0, 158, 115, 1}, {204, 121, 167, 1}, {86, 180, 233, 1}, {230, 159, 0, 1},
}

var white = Colour{255, 255, 255, 1}

// series returns the colour of series i.
func (s Style) series(i int) Colour {
	if s.Grey {
		light := uint8(30 + 35*(i%len(okabeIto)))
		if s.Dark {
			light = 255 - light
		}
		return Colour{light, light, light, 1}
	}
	return okabeIto[i%len(okabeIto)]
}

// dash returns the length of the dashes of series i: those beyond the colours, and all but the
// first in grey, are dashed.
func (s Style) dash(i int) float64 {
	if s.Grey {
		return 1.5 * float64(i%4)
	}
	return 1.5 * float64(i/len(okabeIto)%4)
}

// ink is the colour of text and axes, faint of grid lines.
func (s Style) ink() Colour {
	if s.Dark {
		return Colour{230, 230, 230, 1}
	}
	return Colour{34, 34, 34, 1}
}

func (s Style) faint() Colour {
	c := s.ink()
	c.A = 0.18
	return c
}

// Background is the colour of the page.
func (s Style) Background() Colour {
	if s.Dark {
		return Colour{18, 18, 18, 1}
	}
	return white
}

// phaseColours are the colours of prefill, decode, the rest, and what is not attributed, in this order.
func (s Style) phase(i int) Colour {
	if s.Grey {
		return []Colour{{60, 60, 60, 1}, {125, 125, 125, 1}, {185, 185, 185, 1}, {225, 225, 225, 1}}[i%4]
	}
	return []Colour{okabeIto[0], okabeIto[5], {150, 150, 150, 1}, {205, 205, 205, 1}}[i%4]
}
