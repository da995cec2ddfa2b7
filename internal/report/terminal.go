package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/unit"
)

// Terminal prints results as text. The zero value prints without colour.
type Terminal struct {
	Color bool
	// Width at which long notes are broken; 0 means 100.
	Width int
}

// Study prints every run in full when there are few, and a table otherwise.
func (t Terminal) Study(w io.Writer, s *result.StudyResult) error {
	var b strings.Builder
	if len(s.Runs) > 1 {
		t.table(&b, s)
	} else {
		for _, r := range s.Runs {
			t.run(&b, NewView(r))
		}
	}
	if s.Dir != "" {
		fmt.Fprintf(&b, "\nresults: %s\n", s.Dir)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t Terminal) style(code, s string) string {
	if !t.Color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t Terminal) bold(s string) string { return t.style("1", s) }
func (t Terminal) dim(s string) string  { return t.style("2", s) }
func (t Terminal) red(s string) string  { return t.style("31", s) }
func (t Terminal) warn(s string) string { return t.style("33", s) }

func (t Terminal) run(b *strings.Builder, v View) {
	fmt.Fprintf(b, "%s\n%s\n", t.bold(v.Title), t.dim(v.Subtitle))
	if v.Failure != nil {
		t.failure(b, v.Failure)
	}
	for _, s := range v.Sections {
		b.WriteString("\n")
		t.section(b, s)
	}
	if len(v.Warnings) > 0 {
		b.WriteString("\n")
		for _, w := range v.Warnings {
			t.wrap(b, t.warn("warning")+": ", "         ", w)
		}
	}
	if v.Line != "" {
		fmt.Fprintf(b, "\n%s\n", v.Line)
	}
}

func (t Terminal) failure(b *strings.Builder, f *result.Failure) {
	fmt.Fprintf(b, "\n%s (%s): %s\n", t.red("failed"), f.Class, f.Message)
	if f.Hint != "" {
		t.wrap(b, "  next: ", "        ", f.Hint)
	}
	if f.LogTail != "" {
		lines := strings.Split(f.LogTail, "\n")
		if n := len(lines); n > logLines {
			lines = lines[n-logLines:]
		}
		fmt.Fprintf(b, "  last lines of the engine's log:\n")
		for _, l := range lines {
			fmt.Fprintf(b, "    %s\n", t.dim(l))
		}
	}
}

// logLines is how much of an engine's log the terminal shows.
const logLines = 8

func (t Terminal) section(b *strings.Builder, s Section) {
	rows := append([]Row{{Label: s.Name, Cells: s.Columns}}, s.Rows...)
	if len(s.Columns) == 0 {
		fmt.Fprintln(b, t.bold(s.Name))
	} else {
		// A long name gets a line of its own, so that columns stay close.
		if utf8.RuneCountInString(s.Name) > 14 {
			fmt.Fprintln(b, t.bold(s.Name))
			rows[0].Label = ""
		}
		t.columns(b, rows)
	}
	if s.Note != "" {
		for line := range strings.SplitSeq(s.Note, "\n") {
			t.wrap(b, "  ", "    ", line)
		}
	}
}

// columns prints rows with the label left and the cells right, the first row as
// the head.
func (t Terminal) columns(b *strings.Builder, rows []Row) {
	label, widths := 0, make([]int, len(rows[0].Cells))
	for _, r := range rows {
		label = max(label, utf8.RuneCountInString(r.Label))
		for i, c := range r.Cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for i, r := range rows {
		line := pad(r.Label, label)
		for j, c := range r.Cells {
			line += "  " + strings.Repeat(" ", widths[j]-utf8.RuneCountInString(c)) + c
		}
		line = strings.TrimRight(line, " ")
		if i == 0 {
			line = t.bold(line)
		}
		fmt.Fprintf(b, "  %s\n", line)
	}
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// wrap prints text with a first and a following indent, broken at spaces.
func (t Terminal) wrap(b *strings.Builder, first, next, text string) {
	width := t.Width
	if width <= 0 {
		width = 100
	}
	b.WriteString(first)
	column := utf8.RuneCountInString(next)
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+n > width:
			b.WriteString("\n" + next)
			column = utf8.RuneCountInString(next)
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	b.WriteString("\n")
}

// table prints one line per run.
func (t Terminal) table(b *strings.Builder, s *result.StudyResult) {
	fmt.Fprintf(b, "%s\n", t.bold(fmt.Sprintf("%s: %d of %d runs ok", orName(s.Name), s.OK, s.Planned)))
	rows := []Row{{Label: "configuration", Cells: []string{"cycle", "tok/s", "TTFT p50", "ITL p50", "J/out token", "prefill", "decode", "W", "energy"}}}
	for _, r := range s.Runs {
		rows = append(rows, tableRow(r))
	}
	t.columns(b, rows)
	for _, r := range s.Runs {
		if r.Failure != nil {
			fmt.Fprintf(b, "\n%s cycle %d", r.Config.Label(), r.Cycle)
			t.failure(b, r.Failure)
		}
	}
}

func orName(s string) string {
	if s == "" {
		return "study"
	}
	return s
}

func tableRow(r *result.Record) Row {
	row := Row{Label: r.Config.Label(), Cells: []string{fmt.Sprint(r.Cycle)}}
	if r.Status != result.OK {
		class := string(r.Status)
		if r.Failure != nil {
			class = r.Failure.Class
		}
		row.Cells = append(row.Cells, class, missing, missing, missing, missing, missing, missing, missing)
		return row
	}
	row.Cells = append(row.Cells, unit.Significant(r.Throughput.OutputTokensPerS, 3), p50(r.Latency.TTFT), p50(r.Latency.ITL))
	e := r.Energy
	if e.PerOutputTokenJ == nil {
		row.Cells = append(row.Cells, missing, missing, missing, missing, "not measured")
		return row
	}
	prefill, decode := missing, missing
	if p := e.Phases; p != nil && p.Prefill.JPerToken != nil {
		prefill = unit.SI(*p.Prefill.JPerToken, "J")
	}
	if p := e.Phases; p != nil && p.Decode.JPerToken != nil {
		decode = unit.SI(*p.Decode.JPerToken, "J")
	}
	row.Cells = append(row.Cells, unit.SI(e.PerOutputTokenJ.Value, "J"), prefill, decode,
		unit.Significant(e.MeanW.Value, 3), string(e.Provenance))
	return row
}

func p50(d *result.Distribution) string {
	if d == nil {
		return missing
	}
	return duration(d.P50)
}
