package page

import (
	"bytes"
	"encoding/csv"
	"html"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
)

var (
	pageCell = regexp.MustCompile(`<td[^>]*>(.*?)</td>`)
	pageHead = regexp.MustCompile(`<th scope="col"[^>]*>([^<]*)</th>`)
	pageRow  = regexp.MustCompile(`(?m)^<tr id="c-([^"]*)".*$`)
	markup   = regexp.MustCompile(`<[^>]*>`)
)

// printed is a table by the heads of its columns.
type printed struct {
	heads []string
	rows  [][]string
}

// at returns the cells of a column; nil if there is none. Of equal heads it takes the first.
func (p printed) at(head string) (out []string) {
	if k := slices.Index(p.heads, head); k >= 0 {
		for _, r := range p.rows {
			out = append(out, r[k])
		}
	}
	return out
}

// ofPage reads the table of configurations of a page. Intervals become columns of their own, as elsewhere.
func ofPage(t *testing.T, text string) (out printed) {
	t.Helper()
	_, text, _ = strings.Cut(text, `<table id="table">`)
	text, _, found := strings.Cut(text, "</table>")
	if !found {
		t.Fatal("the page has no table of configurations")
	}
	for _, m := range pageHead.FindAllStringSubmatch(text, -1) {
		if out.heads = append(out.heads, html.UnescapeString(m[1])); m[1] == metric.Head(view.EnergyMetric) {
			out.heads = append(out.heads, view.SpreadHead)
		}
	}
	for _, row := range pageRow.FindAllString(text, -1) {
		var cells []string
		for _, m := range pageCell.FindAllStringSubmatch(row, -1) {
			value, interval, has := strings.Cut(m[1], ` <span class="pm">`)
			cells = append(cells, html.UnescapeString(strings.TrimSpace(markup.ReplaceAllString(value, ""))))
			if len(cells) < len(out.heads) && out.heads[len(cells)] == view.SpreadHead {
				if interval = strings.TrimPrefix(markup.ReplaceAllString(interval, ""), "±"); !has {
					interval = table.Missing
				}
				cells = append(cells, html.UnescapeString(interval))
			}
		}
		out.rows = append(out.rows, cells)
	}
	return out
}

// ofMarkdown reads the first table of a document.
func ofMarkdown(text string) (out printed) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		var cells []string
		for c := range strings.SplitSeq(strings.Trim(line, "|"), " | ") {
			cells = append(cells, strings.TrimSpace(c))
		}
		if out.heads == nil {
			out.heads = cells
		} else {
			out.rows = append(out.rows, cells)
		}
	}
	return out
}

// TestOneView: the page has the same cells as Markdown, and the numbers of the CSV file in three digits; so are
// the reasons of missing numbers.
func TestOneView(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"simulated", "queued", "ends"} {
		opened, _ := store.Open(filepath.Join("../../../../testdata/stored", name))
		if opened == nil {
			t.Fatalf("%s cannot be read", name)
		}
		s := opened.StudyResult
		page := write(t, "view-"+name+".html", s, Options{})
		var md, sheet bytes.Buffer
		if err := (report.Terminal{Limit: -1}).Markdown(&md, s); err != nil {
			t.Fatal(err)
		}
		if err := report.CSV(&sheet, s, -1); err != nil {
			t.Fatal(err)
		}
		got, want := ofPage(t, page), ofMarkdown(md.String())
		if len(want.heads) < 5 || len(want.rows) != len(s.Experiments) {
			t.Fatalf("%s: Markdown %q", name, want.heads)
		}
		for _, head := range want.heads {
			if a, b := got.at(head), want.at(head); !slices.Equal(a, b) {
				t.Errorf("%s: %s is %q on the page, %q in Markdown", name, head, a, b)
			}
		}
		for line := range strings.SplitSeq(md.String(), "\n") {
			_, reason, _ := strings.Cut(strings.TrimSuffix(line, "."), ": ") // the page has more columns to name
			if strings.HasPrefix(line, "no ") && !strings.Contains(html.UnescapeString(page), reason) {
				t.Errorf("%s: the page does not hold %q", name, reason)
			}
		}
		matchesCSV(t, name, got, &sheet)
	}
}

// matchesCSV compares the columns of metrics with the CSV file.
func matchesCSV(t *testing.T, name string, got printed, sheet *bytes.Buffer) {
	t.Helper()
	rows, err := csv.NewReader(sheet).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, m := range result.Metrics() {
		cells := got.at(m.Label)
		if cells == nil || m.Label == view.OriginHead {
			continue
		}
		k := slices.Index(rows[0], m.Name)
		for i, cell := range cells {
			want := table.Missing
			if v, err := strconv.ParseFloat(rows[i+1][k], 64); err == nil {
				want = view.Number(m, v)
			}
			if cell != want {
				t.Errorf("%s: %s of row %d is %s on the page, %s in CSV", name, m.Name, i+1, cell, want)
			}
			compared++
		}
	}
	if compared < 8 {
		t.Errorf("%s: %d cells are compared", name, compared)
	}
}
