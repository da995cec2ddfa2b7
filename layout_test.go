package llem_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the import rules of .golangci.yml from docs/layout.md")

const (
	module     = "github.com/llenergymeasure/llem"
	layoutFile = "docs/layout.md"
	lintFile   = ".golangci.yml"
	// maxLines bounds the size of a package, so that one person can know all of it.
	maxLines = 3000
)

// room is a row of the table of docs/layout.md: a package, its allowed imports, and the reason.
type room struct {
	imports, modules []string
	why              string
}

// readLayout reads the table of rooms.
func readLayout(t *testing.T) map[string]room {
	t.Helper()
	text, err := os.ReadFile(layoutFile)
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| room | imports | modules | what it is |\n|---|---|---|---|\n")
	if !found {
		t.Fatalf("%s has no table of rooms", layoutFile)
	}
	rooms := map[string]room{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 {
			break
		}
		name := strings.Trim(strings.TrimSpace(cells[0]), "`")
		if _, twice := rooms[name]; twice {
			t.Errorf("%s: %s has two rows", layoutFile, name)
		}
		rooms[name] = room{strings.Fields(cells[1]), strings.Fields(cells[2]), strings.TrimSpace(cells[3])}
	}
	return rooms
}

// source is a package as its files are: its imports and its length, tests left out.
type source struct {
	imports, modules map[string]bool
	lines            int
}

// readSources reads the packages of the module. The root package is called llem.
func readSources(t *testing.T) map[string]*source {
	t.Helper()
	all := map[string]*source{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "testdata" || name == "bench" || name != "." && strings.HasPrefix(name, ".")):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		return addFile(all, file)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func addFile(all map[string]*source, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
	if err != nil {
		return err
	}
	name := roomOf(path.Join(module, filepath.ToSlash(filepath.Dir(file))))
	s := all[name]
	if s == nil {
		s = &source{imports: map[string]bool{}, modules: map[string]bool{}}
		all[name] = s
	}
	s.lines += bytes.Count(text, []byte("\n"))
	for _, i := range parsed.Imports {
		imported, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return err
		}
		switch first, _, _ := strings.Cut(imported, "/"); {
		case imported == module || strings.HasPrefix(imported, module+"/"):
			s.imports[roomOf(imported)] = true
		case strings.Contains(first, "."):
			s.modules[imported] = true
		}
	}
	return nil
}

// roomOf names a package by its path in the module.
func roomOf(importPath string) string {
	if importPath == module {
		return "llem"
	}
	return strings.TrimPrefix(importPath, module+"/")
}

// TestLayout: the table of docs/layout.md has every package with exactly its imports, and
// no package is too long for one person to know.
func TestLayout(t *testing.T) {
	rooms, sources := readLayout(t), readSources(t)
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		s, r := sources[name], rooms[name]
		if r.why == "" {
			t.Errorf("%s has no row for %s", layoutFile, name)
			continue
		}
		want := slices.Sorted(slices.Values(r.imports))
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(s.imports))); diff != "" {
			t.Errorf("imports of %s (-%s +code):\n%s", name, layoutFile, diff)
		}
		for m := range s.modules {
			if !slices.ContainsFunc(r.modules, func(w string) bool { return within(m, w) }) {
				t.Errorf("%s imports the module %s, which %s does not allow", name, m, layoutFile)
			}
		}
		for _, w := range r.modules {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(s.modules)), func(m string) bool { return within(m, w) }) {
				t.Errorf("%s allows %s the module %s, which it does not import", layoutFile, name, w)
			}
		}
		if s.lines > maxLines {
			t.Errorf("%s has %d lines, more than %d", name, s.lines, maxLines)
		}
	}
	for name := range rooms {
		if sources[name] == nil {
			t.Errorf("%s has a row for %s, which is not a package", layoutFile, name)
		}
	}
}

// TestWidth: no line of code is wider than a screen, a tab being 4 columns. The linter holds
// it for Go alone. An address is not split.
func TestWidth(t *testing.T) {
	const most = 120
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != "." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir() || !slices.Contains([]string{".go", ".py"}, filepath.Ext(file)):
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			columns := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    "))
			if columns > most && !strings.Contains(line, "https://") {
				t.Errorf("%s:%d is %d columns wide, more than %d", file, i+1, columns, most)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func within(imported, prefix string) bool {
	return imported == prefix || strings.HasPrefix(imported, prefix+"/")
}

// Marks around the generated rules.
const (
	rulesBegin = "        # Rules of the rooms, from the table of docs/layout.md: go test . -run ImportRules -update\n"
	rulesEnd   = "        # End of the rules of the rooms.\n"
)

// TestImportRules: the linter guards every arrow of docs/layout.md.
func TestImportRules(t *testing.T) {
	text, err := os.ReadFile(lintFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), rulesBegin)
	_, after, ended := strings.Cut(rest, rulesEnd)
	if !found || !ended {
		t.Fatalf("%s lacks the marks around the rules of the rooms", lintFile)
	}
	want := before + rulesBegin + importRules(readLayout(t)) + rulesEnd + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("the import rules of %s differ from the table of %s: go test . -run ImportRules -update", lintFile,
			layoutFile)
	}
	if err := os.WriteFile(lintFile, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// importRules writes one rule for each package.
func importRules(rooms map[string]room) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		r := rooms[name]
		files := "${config-path}/" + name + "/*.go"
		if name == "llem" {
			files = "${config-path}/*.go"
		}
		fmt.Fprintf(&b, "        %s:\n          list-mode: strict\n", strings.ReplaceAll(name, "/", "-"))
		fmt.Fprintf(&b, "          files: [%q, \"!$test\"]\n          allow:\n", files)
		fmt.Fprintln(&b, "            - $gostd")
		for _, i := range r.imports {
			if i == "llem" {
				fmt.Fprintf(&b, "            - %s$\n", module)
				continue
			}
			fmt.Fprintf(&b, "            - %s/%s$\n", module, i)
		}
		for _, m := range r.modules {
			fmt.Fprintf(&b, "            - %s\n", m)
		}
		fmt.Fprintf(&b, "          deny:\n            - pkg: %s/\n              desc: %q\n", module,
			name+" imports only what docs/layout.md allows it: "+r.why)
	}
	return b.String()
}
