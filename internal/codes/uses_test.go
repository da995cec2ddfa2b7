package codes

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestNoLiteralIsACode: outside of this package, a code or a class is a constant, never a string literal.
func TestNoLiteralIsACode(t *testing.T) {
	files := sources(t)
	if len(files) < 100 {
		t.Fatalf("only %d files were found", len(files))
	}
	raises := raisers(files)
	if want := (function{"../../internal/measure", "warn"}); raises[want] == nil {
		t.Errorf("%v was not recognised as a function that takes a code", want)
	}
	for path, f := range files {
		for _, s := range literalCodes(filepath.Dir(path), f, raises) {
			t.Errorf("%s: %s is a literal; use a constant of package codes", path, s)
		}
	}
}

// TestLiteralCodesAreFound tests the check above with examples.
func TestLiteralCodesAreFound(t *testing.T) {
	const head = "package p\nfunc say(a, b int, code note.Code, x string) {}\nfunc f() { "
	for text, want := range map[string]int{
		`say(1, 2, "x", "y")`: 1, `say(1, 2, note.X, "y")`: 0, `q.say(1, 2, "x", "y")`: 1,
		`_ = note.Note{Code: "x"}`: 1, `_ = note.Note{"x", "y", ""}`: 1, `_ = note.Note{note.X, "y", ""}`: 0,
		`_ = note.Failure{Class: "x"}`: 1, `_ = note.Code("x")`: 1, `_ = note.Class(x)`: 0,
		`_ = n.Code == "x"`: 1, `_ = "x" != n.Class`: 1, `_ = n.Code == ""`: 0, `n.Code = "x"`: 1,
		`switch n.Class { case "x", note.Y: }`: 1, `other("x")`: 0, `_ = []note.Note{{"x", "y", ""}, {Code: "x"}}`: 2,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "p.go", head+text+" }", 0)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := literalCodes(".", f, raisers(map[string]*ast.File{"p.go": f})); len(got) != want {
			t.Errorf("%s: found %q, want %d", text, got, want)
		}
	}
}

// root is the folder of the module.
const root = "../.."

// sources returns the files of the module without tests and without this package.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	out := map[string]*ast.File{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || path != root && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		case filepath.Dir(path) == filepath.Join(root, "internal", "codes"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		out[path] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// function is the name of a function; an unexported one also has its package's folder.
type function struct{ dir, name string }

func functionOf(dir, name string) function {
	if ast.IsExported(name) {
		dir = ""
	}
	return function{dir, name}
}

// raisers returns the functions and methods with parameters that are a code or a class, by name, with the
// indices of these parameters. It includes variables of a function type.
func raisers(files map[string]*ast.File) map[function][]int {
	out := map[function][]int{{"", "Warn"}: {0}, {"", "Warnf"}: {0}, {"", "Failf"}: {0}}
	dir := ""
	add := func(name string, typ *ast.FuncType) {
		at := functionOf(dir, name)
		i := 0
		for _, p := range typ.Params.List {
			n := max(1, len(p.Names))
			if isCode(p.Type) {
				for k := range n {
					if !slices.Contains(out[at], i+k) {
						out[at] = append(out[at], i+k)
					}
				}
			}
			i += n
		}
	}
	for path, f := range files {
		dir = filepath.Dir(path)
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				add(n.Name.Name, n.Type)
			case *ast.Field:
				if typ, ok := n.Type.(*ast.FuncType); ok && len(n.Names) > 0 {
					add(n.Names[0].Name, typ)
				}
			case *ast.AssignStmt:
				if fn, ok := n.Rhs[0].(*ast.FuncLit); ok {
					if id, ok := n.Lhs[0].(*ast.Ident); ok {
						add(id.Name, fn.Type)
					}
				}
			}
			return true
		})
	}
	return out
}

// isCode reports whether a type is note.Code or note.Class.
func isCode(typ ast.Expr) bool {
	s, ok := typ.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	id, ok := s.X.(*ast.Ident)
	return ok && id.Name == "note" && (s.Sel.Name == "Code" || s.Sel.Name == "Class")
}

// spelling matches codes and classes.
var spelling = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// literalCodes lists the literals in place of a code or a class.
func literalCodes(dir string, f *ast.File, raises map[function][]int) []string {
	var out []string
	found := func(x ast.Expr) {
		if s, ok := literal(x); ok && spelling.MatchString(s) {
			out = append(out, strconv.Quote(s))
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			places := raises[functionOf(dir, called(n.Fun))]
			if isCode(n.Fun) {
				places = []int{0}
			}
			for _, i := range places {
				if i < len(n.Args) {
					found(n.Args[i])
				}
			}
		case *ast.CompositeLit:
			inComposite(n, found)
		case *ast.BinaryExpr:
			if n.Op != token.EQL && n.Op != token.NEQ {
				break
			}
			if named(n.X) {
				found(n.Y)
			}
			if named(n.Y) {
				found(n.X)
			}
		case *ast.AssignStmt:
			for i, x := range n.Lhs {
				if named(x) && i < len(n.Rhs) {
					found(n.Rhs[i])
				}
			}
		case *ast.SwitchStmt:
			if n.Tag == nil || !named(n.Tag) {
				break
			}
			for _, c := range n.Body.List {
				for _, x := range c.(*ast.CaseClause).List {
					found(x)
				}
			}
		}
		return true
	})
	return out
}

// inComposite checks the fields Code and Class of a struct literal, and the first value of a note or failure
// without field names.
func inComposite(n *ast.CompositeLit, found func(ast.Expr)) {
	for _, e := range n.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if id, ok := kv.Key.(*ast.Ident); ok && (id.Name == "Code" || id.Name == "Class") {
				found(kv.Value)
			}
		}
	}
	elem := n.Type
	if list, ok := n.Type.(*ast.ArrayType); ok {
		for _, e := range n.Elts {
			if c, ok := e.(*ast.CompositeLit); ok && c.Type == nil && isNote(list.Elt) && len(c.Elts) > 0 {
				found(c.Elts[0])
			}
		}
	}
	if isNote(elem) && len(n.Elts) > 0 {
		found(n.Elts[0])
	}
}

func isNote(typ ast.Expr) bool {
	s, ok := typ.(*ast.SelectorExpr)
	return ok && (s.Sel.Name == "Note" || s.Sel.Name == "Failure")
}

// named reports whether an expression is a field Code or Class.
func named(x ast.Expr) bool {
	s, ok := x.(*ast.SelectorExpr)
	return ok && (s.Sel.Name == "Code" || s.Sel.Name == "Class")
}

// called returns the last name of a called function.
func called(fun ast.Expr) string {
	switch fun := fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		if id, ok := fun.X.(*ast.Ident); ok && id.Name == "errors" {
			return ""
		}
		return fun.Sel.Name
	}
	return ""
}
