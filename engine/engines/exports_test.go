package engines

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// exported returns the exported names of a file that are not methods.
func exported(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []*ast.Ident
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				names = append(names, d.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names = append(names, s.Name)
				case *ast.ValueSpec:
					names = append(names, s.Names...)
				}
			}
		}
	}
	var out []string
	for _, n := range names {
		if n.IsExported() {
			out = append(out, n.Name)
		}
	}
	return out
}

// TestEnginesExportTheirDescriptor: an engine's package exports only its descriptor. An engine that runs in this
// program also exports the code of its process.
func TestEnginesExportTheirDescriptor(t *testing.T) {
	for _, d := range All() {
		dir := filepath.Join("..", d.Name)
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range files {
			if name := f.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
				got = append(got, exported(t, filepath.Join(dir, name))...)
			}
		}
		got = slices.DeleteFunc(got, func(n string) bool { return n == "WorkerMain" })
		if !slices.Equal(got, []string{"Descriptor"}) {
			t.Errorf("package %s exports %v, want Descriptor alone", d.Name, got)
		}
	}
}
