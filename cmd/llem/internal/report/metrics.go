package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/table"
)

// listWidth is the width of the list where it is not known, as of what is piped.
const listWidth = 80

// Metrics prints all metrics: the head and the name of each, its unit and its meaning.
func (t Terminal) Metrics(w io.Writer) error {
	if t.Width <= 0 {
		t.Width = listWidth
	}
	var b strings.Builder
	t.wrap(&b, "", "", "Metrics, by the head of their column or by their name, in any case. --sort, --best, --where, "+
		"--columns and --pareto of llem report take both, as do llem compare --metric and llem plot --x and --y. "+
		"Lower is better except where marked.")
	head, name := 0, 0
	for _, m := range metric.All() {
		head, name = max(head, table.Width(m.Head)), max(name, table.Width(m.Name))
	}
	group := ""
	for _, m := range metric.All() {
		if of, _, _ := strings.Cut(m.Name, "."); of != group {
			group = of
			fmt.Fprintf(&b, "\n%s\n", t.bold(group))
		}
		unit := m.Unit
		if m.Higher {
			unit = strings.TrimSpace(unit + " (higher)")
		}
		line := "  " + table.Pad(m.Head, head) + "  " + table.Pad(m.Name, name) + "  " + unit
		if table.Width(line) > t.width() {
			line = "  " + m.Head + "\n    " + strings.TrimSpace(m.Name+"  "+unit)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		t.wrap(&b, "      ", "      ", m.Meaning)
	}
	_, err := io.WriteString(w, t.Style.Text(b.String()))
	return err
}
