package exchange

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/named"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/foreign"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
)

// Beside are two sides, at least one not measured by llem: numbers beside each other, and no verdict,
// because the program that measured them states no spread.
type Beside struct {
	// Verdict is why there is none.
	Verdict string `json:"verdict"`
	// A is the first side, B the second.
	A Side `json:"a"`
	B Side `json:"b"`
	// Metrics are the numbers that both have.
	Metrics []Pair `json:"metrics"`
	// Apart are the numbers of others whose definition forbids a comparison, with the reason.
	Apart []string `json:"not_comparable,omitempty"`
}

// Side is where the numbers of one side are from.
type Side struct {
	// MeasuredBy is the program, with its version.
	MeasuredBy string `json:"measured_by"`
	// Imported reports that it was not llem.
	Imported bool `json:"imported"`
	// What is the model and the configuration.
	What string `json:"what"`

	values map[string]foreign.Value
}

// Pair is a number of both sides, in llem's unit.
type Pair struct {
	// Metric is llem's name.
	Metric string `json:"metric"`
	// Unit is llem's unit.
	Unit string `json:"unit"`
	// A is the value of the first side, B of the second.
	A float64 `json:"a"`
	B float64 `json:"b"`
	// Ratio is B over A; null if A is 0.
	Ratio *float64 `json:"ratio"`
	// Differs is how the definitions differ; empty if they are the same.
	Differs string `json:"differs,omitempty"`
}

// noVerdict is what Verdict says.
const noVerdict = "none: numbers of others have no spread over runs, and were measured elsewhere"

// Compare sets two sides beside each other if one at least is imported; otherwise it returns nil.
func Compare(a, b string, tell func(string)) (*Beside, error) {
	dirA, _ := named.Split(a)
	dirB, _ := named.Split(b)
	if dirB == "" {
		b, dirB = dirA+b, dirA
	}
	if !foreign.IsImported(dirA) && !foreign.IsImported(dirB) {
		return nil, nil
	}
	out := &Beside{Verdict: noVerdict}
	for _, s := range []struct {
		arg  string
		into *Side
	}{{a, &out.A}, {b, &out.B}} {
		side, err := sideOf(s.arg, tell)
		if err != nil {
			return nil, err
		}
		*s.into = side
	}
	for _, m := range result.Metrics() {
		x, inA := out.A.values[m.Name]
		y, inB := out.B.values[m.Name]
		if !inA || !inB {
			continue
		}
		if x.Apart || y.Apart {
			out.Apart = append(out.Apart, m.Name+": "+x.Differs+y.Differs)
			continue
		}
		p := Pair{Metric: m.Name, Unit: m.Unit, A: *x.Converted, B: *y.Converted, Differs: differs(x, y)}
		if p.A != 0 {
			ratio := p.B / p.A
			p.Ratio = &ratio
		}
		out.Metrics = append(out.Metrics, p)
	}
	if len(out.Metrics) == 0 {
		return nil, &foreign.Mistake{What: "the two sides have no number in common",
			Next: "llem report prints the numbers of each"}
	}
	return out, nil
}

// differs joins the differences of both sides.
func differs(a, b foreign.Value) string {
	if a.Differs == b.Differs || b.Differs == "" {
		return a.Differs
	}
	return strings.TrimPrefix(a.Differs+"; "+b.Differs, "; ")
}

// sideOf reads one side: an imported result as DIR or DIR:2, or a configuration.
func sideOf(arg string, tell func(string)) (Side, error) {
	dir, id := named.Split(arg)
	if !foreign.IsImported(dir) {
		return configuration(arg, tell)
	}
	i, err := foreign.Open(dir)
	if err != nil {
		return Side{}, err
	}
	n := 1
	if id != "" {
		n, _ = strconv.Atoi(id)
	}
	if n < 1 || n > len(i.Results) || id == "" && len(i.Results) > 1 {
		return Side{}, &foreign.Mistake{
			What: fmt.Sprintf("%s has %s", dir, digits.Count(len(i.Results), "imported result")),
			Next: fmt.Sprintf("name one: %s:1 to %s:%d", dir, dir, len(i.Results))}
	}
	r := i.Results[n-1]
	out := Side{MeasuredBy: Source(r), Imported: true, values: map[string]foreign.Value{},
		What: strings.Join(strings.Fields(r.Model+" "+r.Backend+" "+r.Label), " ")}
	for _, v := range r.Values {
		if v.Metric != "" && v.Converted != nil {
			out.values[v.Metric] = v
		}
	}
	return out, nil
}

// configuration are the means of a configuration of llem.
func configuration(arg string, tell func(string)) (Side, error) {
	c, err := named.ConfigurationOf(arg, tell)
	if err != nil {
		return Side{}, err
	}
	e := c.Summary
	out := Side{MeasuredBy: "llem", values: map[string]foreign.Value{},
		What: strings.TrimSpace(fmt.Sprintf("%s, %s", e.Config.Label(), digits.Count(len(c.Runs), "run")))}
	if p := e.Provenance; p != "" && p != result.Measured {
		out.MeasuredBy += " (energy " + string(p) + ")"
	}
	for _, m := range result.Metrics() {
		if f, ok := view.FigureOf(&e, m.Name); ok {
			v := f.Value
			out.values[m.Name] = foreign.Value{Value: v, Converted: &v}
		}
	}
	return out, nil
}

// Text is the two sides for a terminal.
func (x *Beside) Text(width int) string {
	var b strings.Builder
	write := func(first, next, text string) { b.WriteString(wrapped(first, next, text, width)) }
	write("", "", "Beside each other, without a verdict: "+strings.TrimPrefix(x.Verdict, "none: "))
	for i, s := range []Side{x.A, x.B} {
		by := "measured by " + s.MeasuredBy
		if s.Imported {
			by = "NOT MEASURED BY LLEM, but by " + s.MeasuredBy
		}
		write(string(rune('A'+i))+"  ", "   ", by+": "+table.Clean(s.What))
	}
	b.WriteString("\n")
	t := table.Table{Head: []string{"", "A", "B", "B / A", ""}, Names: 1, Text: true, Indent: 2}
	notes := []string{}
	for _, p := range x.Metrics {
		ratio, differs := table.Missing, ""
		if p.Ratio != nil {
			ratio = digits.Significant(*p.Ratio, 3)
		}
		if p.Differs != "" {
			differs = "~"
			notes = append(notes, p.Metric+": "+p.Differs)
		}
		t.Rows = append(t.Rows, []string{p.Metric, amount(p.A, p.Unit), amount(p.B, p.Unit), ratio, differs})
	}
	head, rows := t.Lines(width)
	for _, line := range append([]string{head}, rows...) {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	if len(notes)+len(x.Apart) > 0 {
		b.WriteString("\n")
	}
	for _, n := range grouped(notes) {
		write("  ~ ", "    ", n)
	}
	for _, n := range grouped(x.Apart) {
		write("  ! ", "    ", n)
	}
	return b.String()
}

// grouped joins the metrics that share a note.
func grouped(notes []string) (out []string) {
	byNote := map[string][]string{}
	order := []string{}
	for _, n := range notes {
		metric, note, _ := strings.Cut(n, ": ")
		if byNote[note] == nil {
			order = append(order, note)
		}
		byNote[note] = append(byNote[note], metric)
	}
	for _, note := range order {
		out = append(out, strings.Join(byNote[note], ", ")+": "+note)
	}
	return out
}
