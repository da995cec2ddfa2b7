package figure

import (
	"io"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
)

// PDF writes a drawing as a page of its size, with its font embedded. The same drawing gives the same bytes.
func (d *Drawing) PDF(w io.Writer) error {
	f := fpdf.NewCustom(&fpdf.InitType{UnitStr: "pt", Size: fpdf.SizeType{Wd: d.Width, Ht: d.Height}})
	f.SetMargins(0, 0, 0)
	f.SetAutoPageBreak(false, 0)
	f.SetCatalogSort(true)
	f.SetCreationDate(time.Unix(0, 0).UTC())
	f.SetModificationDate(time.Unix(0, 0).UTC())
	f.SetTitle(d.Title, true)
	f.SetSubject(d.Description, true)
	f.AddUTF8FontFromBytes("go", "", goregular.TTF)
	f.AddUTF8FontFromBytes("go", "B", gobold.TTF)
	f.AddPage()
	for _, o := range d.ops {
		switch {
		case o.path != nil:
			o.path.pdf(f)
		case o.text != nil:
			o.text.pdf(f)
		}
	}
	return f.Output(w)
}

func (p *Path) pdf(f *fpdf.Fpdf) {
	trace := func() {
		f.MoveTo(p.Points[0].X, p.Points[0].Y)
		for _, at := range p.Points[1:] {
			f.LineTo(at.X, at.Y)
		}
		if p.Closed {
			f.ClosePath()
		}
	}
	if p.Fill.A > 0 {
		f.SetFillColor(int(p.Fill.R), int(p.Fill.G), int(p.Fill.B))
		f.SetAlpha(p.Fill.A, "Normal")
		trace()
		f.DrawPath("F")
	}
	if p.Width > 0 && p.Stroke.A > 0 {
		f.SetDrawColor(int(p.Stroke.R), int(p.Stroke.G), int(p.Stroke.B))
		f.SetAlpha(p.Stroke.A, "Normal")
		f.SetLineWidth(p.Width)
		f.SetLineJoinStyle("round")
		var dash []float64
		if p.Dash > 0 {
			dash = []float64{p.Dash, p.Dash}
		}
		f.SetDashPattern(dash, 0)
		trace()
		f.DrawPath("D")
	}
}

func (t *Text) pdf(f *fpdf.Fpdf) {
	style := ""
	if t.Bold {
		style = "B"
	}
	f.SetFont("go", style, t.Size)
	f.SetTextColor(int(t.Colour.R), int(t.Colour.G), int(t.Colour.B))
	f.SetAlpha(max(t.Colour.A, 0), "Normal")
	shift := [...]float64{Start: 0, Middle: 0.5, End: 1}[t.Anchor] * f.GetStringWidth(t.Text)
	if !t.Upwards {
		f.Text(t.At.X-shift, t.At.Y, t.Text)
		return
	}
	f.TransformBegin()
	f.TransformRotate(90, t.At.X, t.At.Y)
	f.Text(t.At.X-shift, t.At.Y, t.Text)
	f.TransformEnd()
}
