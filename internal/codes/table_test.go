package codes

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/note"
)

var update = flag.Bool("update", false, "write docs/codes.md")

// constants returns the values of the constants of a type in a file of this package.
func constants(t *testing.T, file, typ string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if s, ok := v.Type.(*ast.SelectorExpr); ok && s.Sel.Name == typ {
			for _, x := range v.Values {
				text, _ := literal(x)
				out = append(out, text)
			}
		}
		return true
	})
	return out
}

// TestTableIsWhole: every constant has one line in the table, in the same order.
func TestTableIsWhole(t *testing.T) {
	var codes, classes []string
	for _, e := range Codes() {
		codes = append(codes, string(e.Code))
		checkLine(t, codes[len(codes)-1], e.Consequence, e.Meaning)
	}
	for _, e := range Classes() {
		classes = append(classes, string(e.Class))
		checkLine(t, classes[len(classes)-1], e.Consequence, e.Meaning)
	}
	if want := constants(t, "codes.go", "Code"); !slices.Equal(sorted(codes), sorted(want)) {
		t.Errorf("codes %q, want %q", sorted(codes), sorted(want))
	}
	if want := constants(t, "classes.go", "Class"); !slices.Equal(classes, want) {
		t.Errorf("classes %q, want %q", classes, want)
	}
	for _, all := range [][]string{codes, classes} {
		if n := len(slices.Compact(sorted(all))); n != len(all) {
			t.Errorf("%d of %d codes differ", n, len(all))
		}
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func checkLine(t *testing.T, code string, c Consequence, meaning string) {
	t.Helper()
	if !slices.ContainsFunc(consequences, func(q [2]string) bool { return q[0] == string(c) }) {
		t.Errorf("%s has the consequence %q, which is not explained", code, c)
	}
	if !strings.HasSuffix(meaning, ".") {
		t.Errorf("%s: %q is not a sentence", code, meaning)
	}
}

// consequences are the descriptions in the document.
var consequences = [][2]string{
	{string(Told), "nothing; the numbers are valid"},
	{string(Care), "the affected numbers need care in interpretation"},
	{string(Flagged), "a number may be off by more than its interval"},
	{string(Missing), "a number is null or was not determined"},
	{string(Excluded), "the run is excluded from means, comparisons, fronts and estimates"},
	{string(Withheld), "the number would measure a different quantity: it is null, and the run is excluded"},
	{string(Refused), "the affected study or run is not started"},
	{string(Failed), "the run has no result"},
	{string(Unmade), "the run counts as not executed, and is executed when the study is resumed"},
}

// document returns docs/codes.md.
func document() string {
	var b strings.Builder
	b.WriteString("# Codes\n\n<!-- Generated from package codes: go test ./internal/codes -update -->\n\n" +
		"Every doubt that llem raises has a `code`, a `message` and, if there is one, the `next` step; " +
		"every failure\nhas a `class`, a `message`, the `next` step and a `log_tail`. Codes and classes do not " +
		"change between versions; messages\nmay. Earlier versions wrote `hint` or `fix` for `next`, and `reason` or " +
		"`text` for some messages; both are read.\n\n" +
		"| consequence | | effect |\n|---|---|---|\n")
	for _, q := range consequences {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", q[0], q[1], Consequence(q[0]).Effect())
	}
	b.WriteString("\nThe effect is what happens to the numbers of a run with such a doubt. **refuse**: the " +
		"number is null " +
		"with the reason, and\nthe run is part of no mean, comparison, front or estimate. **flag**: the number is " +
		"printed, and every line of the run is\nmarked with the code: rows of tables, the column `flags` of CSV and " +
		"JSON, the one line to paste. **caution**: it is printed\nbeneath. A doubt that can turn a number into " +
		"a different " +
		"quantity refuses it; one that can change it by more than its interval flags it.\n" +
		"\n## Doubts\n\n| code | consequence | effect | meaning |\n|---|---|---|---|\n")
	for _, e := range Codes() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.Code, e.Consequence, e.Consequence.Effect(), e.Meaning)
	}
	b.WriteString("\n## Failures\n\n| class | consequence | meaning |\n|---|---|---|\n")
	for _, e := range Classes() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.Class, e.Consequence, e.Meaning)
	}
	return b.String()
}

// TestDocument: docs/codes.md is generated from the tables.
func TestDocument(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "codes.md")
	if *update {
		if err := os.WriteFile(path, []byte(document()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != document() {
		t.Errorf("%s is out of date: run go test ./internal/codes -update", path)
	}
}

// literal returns the value of a string literal.
func literal(x ast.Expr) (string, bool) {
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// TestFlags: the doubts that mark the lines of a run, and the doubts that exclude it, in order.
func TestFlags(t *testing.T) {
	all := []note.Code{Engine, Simulated, RequestsFailed, VirtualMachine, GPUForeignWork, Simulated, "unknown"}
	if got, want := FlagsOf(all), []note.Code{GPUForeignWork, RequestsFailed, Simulated}; !slices.Equal(got, want) {
		t.Errorf("flags %v, want %v", got, want)
	}
	for _, q := range []struct {
		list               []note.Code
		excluded, withheld note.Code
	}{{all, GPUForeignWork, GPUForeignWork}, {all[:4], RequestsFailed, ""}, {all[:2], "", ""}, {nil, "", ""}} {
		if e, w := ExcludedBy(q.list), WithheldBy(q.list); e != q.excluded || w != q.withheld {
			t.Errorf("%v: excluded by %q, withheld by %q; want %q and %q", q.list, e, w, q.excluded, q.withheld)
		}
	}
}
