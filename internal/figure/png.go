package figure

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"
	"slices"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// PNG writes a drawing as an image of dots per inch, such as 300, on its background.
func (d *Drawing) PNG(w io.Writer, dpi float64, background Colour) error {
	scale := dpi / 72
	width, height := int(math.Ceil(d.Width*scale)), int(math.Ceil(d.Height*scale))
	if width < 1 || height < 1 || width*height > 1<<28 {
		return fmt.Errorf("an image of %d by %d pixels cannot be drawn: choose a size in mm and a resolution in dpi "+
			"that give fewer", width, height)
	}
	c := canvas{image: image.NewRGBA(image.Rect(0, 0, width, height)), scale: scale}
	draw.Draw(c.image, c.image.Bounds(), image.NewUniform(background.rgba()), image.Point{}, draw.Src)
	for _, o := range d.ops {
		switch {
		case o.path != nil:
			c.path(o.path)
		case o.text != nil:
			if err := c.text(o.text); err != nil {
				return err
			}
		}
	}
	return png.Encode(w, c.image)
}

func (c Colour) rgba() color.NRGBA { return color.NRGBA{c.R, c.G, c.B, uint8(math.Round(255 * c.A))} }

// canvas draws onto an image.
type canvas struct {
	image *image.RGBA
	scale float64 // pixels per point
}

func (c *canvas) path(p *Path) {
	if p.Fill.A > 0 {
		c.areas([][]Point{p.Points}, p.Fill)
	}
	if p.Width > 0 && p.Stroke.A > 0 {
		points := p.Points
		if p.Closed {
			points = append(slices.Clip(points), points[0])
		}
		c.areas(outline(points, p.Width/2, p.Dash), p.Stroke)
	}
}

// areas fills polygons. Where they overlap, the colour is not darker.
func (c *canvas) areas(polygons [][]Point, fill Colour) {
	bounds := c.image.Bounds()
	r := vector.NewRasterizer(bounds.Dx(), bounds.Dy())
	for _, polygon := range polygons {
		if area(polygon) < 0 { // one orientation for all, or overlaps would cancel out
			polygon = reversed(polygon)
		}
		for i, at := range polygon {
			x, y := float32(at.X*c.scale), float32(at.Y*c.scale)
			if i == 0 {
				r.MoveTo(x, y)
			} else {
				r.LineTo(x, y)
			}
		}
		r.ClosePath()
	}
	r.Draw(c.image, bounds, image.NewUniform(fill.rgba()), image.Point{})
}

func area(p []Point) (twice float64) {
	for i, at := range p {
		next := p[(i+1)%len(p)]
		twice += at.X*next.Y - next.X*at.Y
	}
	return twice
}

func reversed(p []Point) []Point {
	out := make([]Point, len(p))
	for i, at := range p {
		out[len(p)-1-i] = at
	}
	return out
}

// outline returns the area of a line: a rectangle for each piece, and a disc at each corner.
func outline(points []Point, half, dash float64) [][]Point {
	var out [][]Point
	left, drawn := dash, true
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		length := math.Hypot(b.X-a.X, b.Y-a.Y)
		if length == 0 {
			continue
		}
		ux, uy := (b.X-a.X)/length, (b.Y-a.Y)/length
		for done := 0.0; done < length; {
			step := length - done
			if dash > 0 {
				step = min(step, left)
			}
			if drawn {
				out = append(out, piece(Point{a.X + ux*done, a.Y + uy*done},
					Point{a.X + ux*(done+step), a.Y + uy*(done+step)}, -uy*half, ux*half))
			}
			done, left = done+step, left-step
			if dash > 0 && left <= 1e-9 {
				left, drawn = dash, !drawn
			}
		}
		if dash == 0 && i+1 < len(points) {
			out = append(out, disc(b, half))
		}
	}
	return out
}

func piece(a, b Point, nx, ny float64) []Point {
	return []Point{{a.X + nx, a.Y + ny}, {b.X + nx, b.Y + ny}, {b.X - nx, b.Y - ny}, {a.X - nx, a.Y - ny}}
}

func disc(at Point, radius float64) []Point {
	const corners = 8
	out := make([]Point, corners)
	for i := range out {
		angle := 2 * math.Pi * float64(i) / corners
		out[i] = Point{at.X + radius*math.Cos(angle), at.Y + radius*math.Sin(angle)}
	}
	return out
}

// text draws a line of text, turned if it runs upwards.
func (c *canvas) text(t *Text) error {
	file := goregular.TTF
	if t.Bold {
		file = gobold.TTF
	}
	parsed, err := opentype.Parse(file)
	if err != nil {
		return fmt.Errorf("read the font: %w", err)
	}
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: t.Size * c.scale, DPI: 72})
	if err != nil {
		return fmt.Errorf("read the font: %w", err)
	}
	width := font.MeasureString(face, t.Text)
	shift := fixed.Int26_6(float64(width) * [...]float64{Start: 0, Middle: 0.5, End: 1}[t.Anchor])
	source := image.NewUniform(t.Colour.rgba())
	x, y := fixed.Int26_6(t.At.X*c.scale*64), fixed.Int26_6(t.At.Y*c.scale*64)
	if !t.Upwards {
		(&font.Drawer{Dst: c.image, Src: source, Face: face, Dot: fixed.Point26_6{X: x - shift, Y: y}}).DrawString(
			t.Text)
		return face.Close()
	}
	up, down := face.Metrics().Ascent.Ceil()+1, face.Metrics().Descent.Ceil()+1
	flat := image.NewAlpha(image.Rect(0, 0, width.Ceil()+2, up+down))
	(&font.Drawer{Dst: flat, Src: image.Opaque, Face: face, Dot: fixed.P(0, up)}).DrawString(t.Text)
	turned := image.NewAlpha(image.Rect(0, 0, flat.Rect.Dy(), flat.Rect.Dx()))
	for py := range flat.Rect.Dy() {
		for px := range flat.Rect.Dx() {
			turned.SetAlpha(py, flat.Rect.Dx()-1-px, flat.AlphaAt(px, py))
		}
	}
	at := image.Pt(x.Round()-up, (y+shift).Round()-turned.Rect.Dy())
	draw.DrawMask(c.image, turned.Rect.Add(at), source, image.Point{}, turned, image.Point{}, draw.Over)
	return face.Close()
}
