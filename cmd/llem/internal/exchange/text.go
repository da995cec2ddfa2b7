package exchange

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/foreign"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/table"
)

// Text is imported numbers for a terminal, in lines of a width; 0 does not limit it.
func Text(i *foreign.Imported, width int) string {
	var b strings.Builder
	write := func(first, next, text string) { b.WriteString(wrapped(first, next, text, width)) }
	write("", "", fmt.Sprintf("NOT MEASURED BY LLEM: %s of others, imported %s",
		digits.Count(len(i.Results), "result"), i.When.Format("2006-01-02")))
	for n, r := range i.Results {
		b.WriteString("\n")
		write(fmt.Sprintf("%d  ", n+1), "   ", "measured by "+Source(r))
		for _, about := range [][2]string{{"model", r.Model}, {"backend", r.Backend}, {"benchmark", r.Label}} {
			if about[1] != "" {
				write("   ", "     ", about[0]+" "+table.Clean(about[1]))
			}
		}
		write("   ", "     ", fmt.Sprintf("file %s, sha256 %.12s…", table.Clean(r.File), r.SHA256))
		b.WriteString("\n")
		numbers(&b, r, width)
		if r.EnergyJ == nil {
			write("   ", "     ", "no energy: "+r.EnergyReason)
		}
	}
	b.WriteString("\n")
	write("", "  ", "~ defined differently than llem's metric, ! too differently to compare: "+
		"`llem report "+shell.Path(i.Dir)+" --json` has the difference beside each number.")
	return b.String()
}

// Source is the program and its version.
func Source(r foreign.Numbers) string {
	return r.MeasuredBy + " " + cmp.Or(table.Clean(r.Version), "(version not stated)")
}

// numbers is the table of one benchmark.
func numbers(b *strings.Builder, r foreign.Numbers, width int) {
	t := table.Table{Head: []string{"theirs", "value", "llem's name"}, Names: 1, Text: true, Indent: 3}
	for _, v := range r.Values {
		t.Rows = append(t.Rows,
			[]string{short(v.Key), amount(v.Value, v.Unit), mark(v) + cmp.Or(v.Metric, table.Missing)})
	}
	head, rows := t.Lines(width)
	for _, line := range append([]string{head}, rows...) {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// mark shows that a definition differs.
func mark(v foreign.Value) string {
	switch {
	case v.Apart:
		return "! "
	case v.Differs != "" && v.Metric != "":
		return "~ "
	}
	return "  "
}

// short leaves out the parts of a key that all keys of its program have.
func short(key string) string {
	parts := slices.DeleteFunc(strings.Split(key, "."), func(p string) bool {
		return p == "metrics" || p == "successful" || p == "percentiles"
	})
	return strings.Join(parts, ".")
}

// amount is a value with its unit, as in the file: without a prefix.
func amount(v float64, unit string) string {
	return strings.TrimSpace(digits.Significant(v, 4) + " " + unit)
}

// wrapped breaks a text into lines of a width; 0 does not limit them.
func wrapped(first, next, text string, width int) string {
	return table.Wrap(first, next, text, cmp.Or(width, 1<<20))
}
