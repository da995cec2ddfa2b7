package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/chart"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// Terminal prints results as text. The zero value prints without colour.
type Terminal struct {
	Color bool
	// Style is the set of characters.
	Style chart.Style
	// Width at which long notes are broken, in columns; 0 means 100.
	Width int
	// Columns is how wide tables of a study may be; 0 means Width.
	Columns int
	// Limit is how many lines a table has at most; 0 means DefaultLimit, less than 0 all.
	Limit int
	// Front names the metrics of the Pareto front; empty: the metrics of the summary.
	Front []string
	// Show names the metrics of the columns; empty: the usual ones.
	Show []string
	// Sort names the metric by which the configurations are ordered, if any.
	Sort string
}

// DefaultLimit is how many lines a table has if nothing else is asked for.
const DefaultLimit = 50

// Limited returns how many of n lines are shown.
func (t Terminal) Limited(n int) int {
	switch {
	case t.Limit < 0:
		return n
	case t.Limit == 0:
		return min(n, DefaultLimit)
	}
	return min(n, t.Limit)
}

// Study prints a study with a single run in full, and a table of any other study or of requested columns.
func (t Terminal) Study(w io.Writer, s *result.StudyResult) error {
	var b strings.Builder
	if r := s.Experiment(); r != nil && s.Planned <= 1 && len(t.Show) == 0 {
		t.run(&b, NewView(r))
		t.ofStudy(&b, s)
	} else {
		if err := t.table(&b, s); err != nil {
			return err
		}
	}
	if s.Dir != "" {
		fmt.Fprintf(&b, "\nresults: %s\n", s.Dir)
	}
	_, err := io.WriteString(w, t.Style.Text(b.String()))
	return err
}

// Paint adds a colour or a weight to a text by its code, if the terminal has colours.
func (t Terminal) Paint(code, s string) string {
	if !t.Color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t Terminal) bold(s string) string { return t.Paint("1", s) }
func (t Terminal) dim(s string) string  { return t.Paint("2", s) }
func (t Terminal) red(s string) string  { return t.Paint("31", s) }
func (t Terminal) warn(s string) string { return t.Paint("33", s) }

func (t Terminal) run(b *strings.Builder, v View) {
	t.styled(b, t.bold, v.Title)
	t.styled(b, t.dim, v.Subtitle)
	if v.Failure != nil {
		b.WriteString("\n")
		t.failure(b, v.Status, v.Failure)
		t.log(b, v.Failure.LogTail)
	}
	for _, s := range v.Sections {
		b.WriteString("\n")
		t.section(b, s)
	}
	if len(v.Warnings) > 0 {
		b.WriteString("\n")
		for _, w := range v.Warnings {
			t.wrap(b, t.warn(codes.WordOf(w.Code))+": ", "         ", w.Message)
		}
	}
	if v.Line != "" {
		b.WriteString("\n")
		fmt.Fprintln(b, v.Line)
	}
}

// failure prints what happened and the next step.
func (t Terminal) failure(b *strings.Builder, status result.Status, f *note.Failure) {
	switch {
	case status != result.Interrupted:
		t.wrap(b, t.red(string(status))+" ("+string(f.Class)+"): ", "  ", f.Message)
	case f.Message == string(status):
		fmt.Fprintln(b, t.red(string(status)))
	default:
		t.wrap(b, t.red(string(status))+": ", "  ", f.Message)
	}
	if f.Next != "" {
		t.wrap(b, "  next: ", "        ", f.Next)
	}
}

// log shows the end of an engine's log.
func (t Terminal) log(b *strings.Builder, tail string) {
	tail = strings.TrimRight(tail, "\n ")
	if tail == "" {
		return
	}
	lines := strings.Split(tail, "\n")
	lines = lines[max(0, len(lines)-logLines):]
	fmt.Fprintf(b, "  last lines of the engine's log:\n")
	for _, l := range lines {
		fmt.Fprintf(b, "    %s\n", t.dim(strings.TrimRight(l, "\r ")))
	}
}

// logLines is how much of an engine's log the terminal shows.
const logLines = 8

func (t Terminal) section(b *strings.Builder, s Section) {
	switch {
	case len(s.Columns) == 0:
		t.styled(b, t.bold, s.Name)
	case table.Width(s.Name) > 14:
		// A long name gets a line of its own, so that columns stay close.
		t.styled(b, t.bold, s.Name)
		t.columns(b, 2, append([]Row{{Cells: s.Columns}}, s.Rows...))
	default:
		t.columns(b, 0, append([]Row{{Label: s.Name, Cells: s.Columns}}, s.Rows...))
	}
	t.notes(b, s.Note)
	t.notes(b, s.Detail)
}

func (t Terminal) notes(b *strings.Builder, notes string) {
	if notes == "" {
		return
	}
	for line := range strings.SplitSeq(notes, "\n") {
		t.wrap(b, "  ", "    ", line)
	}
}

// styled prints a heading, broken if it is too long.
func (t Terminal) styled(b *strings.Builder, style func(string) string, text string) {
	var plain strings.Builder
	t.wrap(&plain, "", "  ", text)
	for line := range strings.SplitSeq(strings.TrimSuffix(plain.String(), "\n"), "\n") {
		fmt.Fprintln(b, style(line))
	}
}

// columns prints rows with the label left and the cells right, the first row as
// the head. indent applies to the head; other rows are indented by two.
func (t Terminal) columns(b *strings.Builder, indent int, rows []Row) {
	all := table.Table{Names: 1, Indent: 2, Outdent: 2 - indent}
	for i, r := range rows {
		if cells := append([]string{r.Label}, r.Cells...); i == 0 {
			all.Head = cells
		} else {
			all.Rows = append(all.Rows, cells)
		}
	}
	head, lines := all.Lines(0)
	fmt.Fprintln(b, t.bold(head))
	for _, l := range lines {
		fmt.Fprintln(b, l)
	}
}

func (t Terminal) width() int {
	if t.Width <= 0 {
		return 100
	}
	return t.Width
}

// wrap prints text with a first and a following indent, broken at spaces.
func (t Terminal) wrap(b *strings.Builder, first, next, text string) {
	if strings.TrimSpace(first+text) == "" {
		return
	}
	b.WriteString(table.Wrap(first, next, text, t.width()))
}
