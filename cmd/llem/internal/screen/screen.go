// Package screen prints the first thing that a user sees of a result: a run in one screen of a terminal, with the
// answer first, and a study as values with their intervals on a common scale. It reads records and power series from
// disk only. Package report prints everything else that is known.
//
//	result.json ─┐
//	power.parquet ─▶ run.go ─▶ page ─▶ at most 24 lines of 80 columns
//	summary.json ──▶ study.go ─┘
package screen

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
)

// Screen prints results. What it has in common with the full report is in Terminal: characters, colour, width, and for
// studies columns, order and limit.
type Screen struct {
	report.Terminal
	// Continues reports that the caller prints the command that continues an interrupted study.
	Continues bool
}

// defaultWidth is the width where it is not known, as of what is piped.
const defaultWidth = 80

// Study prints the run of a study with a single one, and a table with intervals otherwise.
func (s Screen) Study(w io.Writer, res *result.StudyResult) error {
	p := &page{Screen: s, width: s.Width}
	if p.width <= 0 {
		p.width = defaultWidth
	}
	_, part := res.Caveats.Find(codes.ShardOnly) // of a study with more runs
	if r := res.Experiment(); r != nil && res.Planned <= 1 && len(s.Show) == 0 && !part {
		p.run(r, res)
	} else if err := p.study(res); err != nil {
		return err
	}
	if res.Dir != "" {
		p.line("results: " + res.Dir)
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

// page is a screen that is being written.
type page struct {
	Screen
	width int
	b     strings.Builder
}

// narrow is the width below which lines leave out what they can do without.
const narrow = 60

func (p *page) narrow() bool { return p.width < narrow }

// Codes of the terminal.
const (
	plain  = ""
	bold   = "1"
	dim    = "2"
	red    = "31"
	yellow = "33"
)

// command writes a command to paste behind what it is for; where there is no room for both, on a line of its own. It is
// never broken or cut.
func (p *page) command(what, command string, more ...string) {
	line := what + ": " + command
	if all := strings.Join(append([]string{line}, more...), separator); table.Width(all) <= p.width {
		p.b.WriteString(p.paint(dim, p.Style.Text(what+": ")+command+
			p.Style.Text(strings.TrimPrefix(all, line))) + "\n")
		return
	}
	if len(more) > 0 {
		what += " (" + strings.Join(more, "; ") + ")"
	}
	p.painted(dim, "", "  ", what+":", 0)
	p.b.WriteString(p.paint(dim, "  "+command) + "\n")
}

// line writes a line as it is.
func (p *page) line(text string) {
	p.b.WriteString(strings.TrimRight(p.Style.Text(text), " ") + "\n")
}

// painted writes a text, broken into at most so many lines (0: all), in a colour; the lines after the first are
// indented by next.
func (p *page) painted(code, first, next, text string, most int) {
	lines := strings.Split(strings.TrimSuffix(table.Wrap(first, next, p.Style.Text(text), p.width), "\n"), "\n")
	if most > 0 && len(lines) > most {
		lines = lines[:most]
		last := &lines[most-1]
		*last = strings.TrimRight(table.Cut(*last, p.width-2), "… ") + p.Style.Text(" …")
	}
	for _, l := range lines {
		p.b.WriteString(p.paint(code, strings.TrimRight(l, " ")) + "\n")
	}
}

// next writes the next step after a run without a result.
func (p *page) next(first, next string, status result.Status, step string) {
	if step != "" && (status != result.Interrupted || !p.Continues) {
		p.painted(plain, first, next, step, 0)
	}
}

func (p *page) paint(code, text string) string {
	if code == plain {
		return text
	}
	return p.Paint(code, text)
}

// separator stands between facts.
const separator = " · "

// facts writes short texts beside each other, broken between them, and within one only where it is too long.
func (p *page) facts(code, first, next string, all []string) {
	line, indent, fresh := "", first, true
	flush := func() {
		p.painted(code, indent, next+"  ", line, 0)
		line, indent, fresh = "", next, true
	}
	for _, fact := range all {
		if !fresh && table.Width(indent+p.Style.Text(line+separator+fact)) > p.width {
			flush()
		}
		if !fresh {
			line += separator
		}
		line += fact
		fresh = false
	}
	flush()
}

// labelled writes facts behind a label.
func (p *page) labelled(label string, all ...string) {
	first := p.label(label)
	p.facts(plain, first, blanks(table.Width(first)), all)
}

// label is a label with its indent, in the column of labels.
func (p *page) label(text string) string {
	if p.narrow() {
		return table.Pad(text, 9) + " "
	}
	return "  " + table.Pad(text, 9) + "  "
}

func blanks(n int) string { return strings.Repeat(" ", max(0, n)) }

// blank writes an empty line.
func (p *page) blank() { p.b.WriteString("\n") }

// percent prints a share with its sign.
func percent(share float64) string {
	return fmt.Sprintf("%d %%", int(math.Round(100*share)))
}
