// Package surface reads the exported API of the public packages of a Go module: the number of exported identifiers
// and struct fields, and which of them have no comment. It reads only the source and needs no build.
package surface

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Package is the exported API of one public package.
type Package struct {
	// Dir is the folder of the package, below the module's.
	Dir string
	// Identifiers counts functions, types, methods, constants and variables.
	Identifiers int
	// Fields counts fields of exported structs.
	Fields int
	// Bare lists identifiers and fields without a comment, each with its position.
	Bare []string
}

// Read reads all public packages of the module in root: the packages that another module can import. Tests and
// programs are left out.
func Read(root string) ([]Package, error) {
	found := map[string]*Package{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == "internal" || name == "testdata" || name == "bench" ||
			path != root && strings.HasPrefix(name, ".")):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if f.Name.Name == "main" {
			return nil
		}
		p := found[dir]
		if p == nil {
			p = &Package{Dir: dir}
			found[dir] = p
		}
		r := reader{Package: p, at: func(n ast.Node) string {
			return fmt.Sprintf("%s:%d", filepath.Join(dir, d.Name()), fset.Position(n.Pos()).Line)
		}}
		r.file(f)
		return nil
	})
	var all []Package
	for _, p := range found {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b Package) int { return strings.Compare(a.Dir, b.Dir) })
	return all, err
}

// reader adds the declarations of a file to its package.
type reader struct {
	*Package
	at func(ast.Node) string
}

func (r *reader) file(f *ast.File) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || receives(d.Recv)) {
				r.identifier(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				r.spec(d, s)
			}
		}
	}
}

// receives reports whether the receiver's type is exported.
func receives(recv *ast.FieldList) bool {
	t := recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

func (r *reader) spec(d *ast.GenDecl, s ast.Spec) {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return
		}
		r.identifier(s.Name, s.Doc, s.Comment, d.Doc)
		r.members(s.Name.Name, s.Type)
	case *ast.ValueSpec:
		// The comment of a group describes what its members have in common; each name adds the rest.
		for _, name := range s.Names {
			if name.IsExported() {
				r.identifier(name, s.Doc, s.Comment, d.Doc)
			}
		}
	}
}

// members counts fields of a struct and methods of an interface.
func (r *reader) members(of string, t ast.Expr) {
	switch t := t.(type) {
	case *ast.StructType:
		for _, f := range t.Fields.List {
			for _, name := range f.Names {
				if name.IsExported() {
					r.Fields++
					r.bare(name, of+"."+name.Name, f.Doc, f.Comment)
				}
			}
			if len(f.Names) > 0 && f.Names[0].IsExported() {
				r.members(of+"."+f.Names[0].Name, f.Type)
			}
		}
	case *ast.InterfaceType:
		for _, m := range t.Methods.List {
			for _, name := range m.Names {
				if name.IsExported() {
					r.Identifiers++
					r.bare(name, of+"."+name.Name, m.Doc, m.Comment)
				}
			}
		}
	case *ast.ArrayType:
		r.members(of, t.Elt)
	case *ast.StarExpr:
		r.members(of, t.X)
	case *ast.MapType:
		r.members(of, t.Value)
	}
}

func (r *reader) identifier(name *ast.Ident, comments ...*ast.CommentGroup) {
	r.Identifiers++
	r.bare(name, name.Name, comments...)
}

// bare records a name that has no comment.
func (r *reader) bare(name *ast.Ident, full string, comments ...*ast.CommentGroup) {
	for _, c := range comments {
		if strings.TrimSpace(c.Text()) != "" {
			return
		}
	}
	r.Bare = append(r.Bare, r.at(name)+": "+full)
}
