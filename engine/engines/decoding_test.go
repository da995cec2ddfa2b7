package engines

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/grammar"
)

var update = flag.Bool("update", false, "write the table of decoding settings into docs/backends.md")

// TestDocsHaveTheDecoding: docs/backends.md has the table of engines and decoding settings; -update writes it.
func TestDocsHaveTheDecoding(t *testing.T) {
	const begin, end = "<!-- decoding: go test ./engine/engines -update -->\n", "<!-- end of decoding -->\n"
	file := filepath.Join("..", "..", "docs", "backends.md")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no %q and %q", file, begin, end)
	}
	want := decodingTable()
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s is not up to date: go test ./engine/engines -run DocsHaveTheDecoding -update", file)
	}
}

// decodingTable returns a row for each setting, and below it the remarks and reasons of the engines.
func decodingTable() string {
	var b, remarks strings.Builder
	row := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	head, rule := []string{"`decoding`"}, []string{"---"}
	for _, d := range All() {
		head, rule = append(head, "`"+d.Name+"`"), append(rule, "---")
	}
	row(head)
	row(rule)
	for _, setting := range grammar.DecodingKeys() {
		cells := []string{"`" + setting + "`"}
		for _, d := range All() {
			remark, has := d.Decoding[setting]
			word := map[bool]string{true: "yes", false: "no"}[has]
			if !has {
				remark = d.Lacks[grammar.DecodingPrefix+setting]
			}
			if remark != "" {
				word += " *"
				fmt.Fprintf(&remarks, "- `%s`, `%s`: %s\n", d.Name, setting, remark)
			}
			cells = append(cells, word)
		}
		row(cells)
	}
	return "\n" + b.String() + "\n\\* with a remark:\n\n" + remarks.String() + "\n"
}
