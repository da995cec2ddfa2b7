package picture

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/figure"
)

// File is a chart as a file, with its data beside it.
type File struct {
	// Path is the file to write: its end is the format. Empty is the chart's name.
	Path string
	// Style is how the chart is drawn; its width follows from Columns if it is 0.
	Style figure.Style
	// Columns is the width in columns of a paper, 1 or 2.
	Columns int
	// DPI are the dots per inch of a PNG.
	DPI float64
}

// Widths of a figure in one and in two columns of a paper, in mm.
const (
	oneColumn  = 86
	twoColumns = 178
)

// fileFormats are the files that can be written, by the end of their names.
var fileFormats = []string{".svg", ".pdf", ".png"}

// Check refuses what no figure can have, named by the flags of llem plot, and sets what is left out.
func (f *File) Check(chart string) error {
	if f.Columns != 1 && f.Columns != 2 {
		return &Error{fmt.Sprintf("--columns %d is not a width of a figure", f.Columns), "use 1 or 2, or --width in mm"}
	}
	if f.Style.WidthMM == 0 {
		f.Style.WidthMM = []float64{oneColumn, twoColumns}[f.Columns-1]
	}
	for _, size := range []struct {
		flag        string
		v, low, top float64
	}{{"width", f.Style.WidthMM, 20, 2000}, {"height", f.Style.HeightMM, 20, 2000}, {"font", f.Style.FontPt, 3, 100},
		{"dpi", f.DPI, 10, 2400}} {
		if size.v != 0 && (size.v < size.low || size.v > size.top) {
			return &Error{fmt.Sprintf("--%s %g is out of range", size.flag, size.v),
				fmt.Sprintf("use %g to %g", size.low, size.top)}
		}
	}
	if f.Path == "" {
		f.Path = chart + fileFormats[0]
	}
	if end := f.end(); !slices.Contains(fileFormats, end) {
		last := len(fileFormats) - 1
		return &Error{fmt.Sprintf("-o %s: %q is not a format of figures", f.Path, end),
			"end the name with " + strings.Join(fileFormats[:last], ", ") + " or " + fileFormats[last]}
	}
	return nil
}

// end is the end of the file's name.
func (f *File) end() string { return strings.ToLower(filepath.Ext(f.Path)) }

// Data is the file of the data.
func (f *File) Data() string { return strings.TrimSuffix(f.Path, filepath.Ext(f.Path)) + ".csv" }

// Write writes a chart and its data. It does not replace a file that is not the data of a chart.
func (f *File) Write(p *Picture) error {
	if err := replaceable(f.Data()); err != nil {
		return err
	}
	drawing := p.Draw(f.Style)
	if err := disk.WriteFile(f.Path, func(w io.Writer) error { return f.draw(drawing, w) }); err != nil {
		return err
	}
	return disk.WriteFile(f.Data(), func(w io.Writer) error { return csv.NewWriter(w).WriteAll(p.Data) })
}

// replaceable refuses to replace a file that is not the data of a chart: it has the name that the data gets.
func replaceable(path string) error {
	text, err := disk.ReadFile(path, disk.MaxList)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if len(text) > 0 && !IsData(line) {
		return &Error{fmt.Sprintf("the data would replace %s, which is not the data of a chart", path),
			"name another file with -o"}
	}
	return nil
}

// draw writes a drawing in the format of the file's name.
func (f *File) draw(d *figure.Drawing, w io.Writer) error {
	switch f.end() {
	case ".pdf":
		return d.PDF(w)
	case ".png":
		return d.PNG(w, f.DPI, f.Style.Background())
	}
	return d.SVG(w)
}
