package surface

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Inner lists where the public packages of the module in root mention a type of an internal package in what
// another module sees: signatures of exported functions and methods, exported and embedded fields, methods of
// interfaces, and types that exported names stand for. A type that is not exported counts if an exported name
// leads to it.
func Inner(root string) ([]string, error) {
	packages, err := Read(root)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, fmt.Errorf("read the name of the module: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	module := strings.TrimSpace(strings.TrimPrefix(first, "module"))
	var all []string
	for _, p := range packages {
		found, err := innerOf(root, p.Dir, module)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// pkg is a public package, read to find what its exported names lead to.
type pkg struct {
	fset   *token.FileSet
	module string
	// types are the declared types, methods the methods of each, with the imports of their files.
	types   map[string]declared
	methods map[string][]declared
	seen    map[string]bool
	found   map[string]bool
}

// declared is a part of a file with its imports by name.
type declared struct {
	node    ast.Node
	imports map[string]string
}

func innerOf(root, dir, module string) ([]string, error) {
	p := &pkg{fset: token.NewFileSet(), module: module, types: map[string]declared{},
		methods: map[string][]declared{}, seen: map[string]bool{}, found: map[string]bool{}}
	names, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(p.fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		files = append(files, f)
		p.declare(f)
	}
	for _, f := range files {
		p.exported(f)
	}
	return slices.Sorted(maps.Keys(p.found)), nil
}

// declare records the types of a file and their exported methods.
func (p *pkg) declare(f *ast.File) {
	imports := importsOf(f)
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv != nil && d.Name.IsExported() {
				of := receiver(d.Recv.List[0].Type)
				p.methods[of] = append(p.methods[of], declared{d.Type, imports})
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if t, ok := s.(*ast.TypeSpec); ok {
					p.types[t.Name.Name] = declared{t, imports}
				}
			}
		}
	}
}

// importsOf returns the paths that a file imports, by their names in the file.
func importsOf(f *ast.File) map[string]string {
	out := map[string]string{}
	for _, i := range f.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue // the parser has refused it
		}
		name := path[strings.LastIndexByte(path, '/')+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		out[name] = path
	}
	return out
}

// receiver returns the name of the type that has a method.
func receiver(t ast.Expr) string {
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// exported follows the exported names of a file.
func (p *pkg) exported(f *ast.File) {
	imports := importsOf(f)
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.IsExported() {
				p.follow(d.Type, imports)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() {
						p.local(s.Name.Name)
					}
				case *ast.ValueSpec:
					p.value(s, imports)
				}
			}
		}
	}
}

// value follows the type of exported constants and variables. If it is inferred, their values are followed.
func (p *pkg) value(s *ast.ValueSpec, imports map[string]string) {
	if !slices.ContainsFunc(s.Names, (*ast.Ident).IsExported) {
		return
	}
	if s.Type != nil {
		p.follow(s.Type, imports)
		return
	}
	for _, v := range s.Values {
		p.follow(v, imports)
	}
}

// local follows a type of the package, and its exported methods, once.
func (p *pkg) local(name string) {
	t, ok := p.types[name]
	if !ok || p.seen[name] {
		return
	}
	p.seen[name] = true
	spec := t.node.(*ast.TypeSpec)
	if spec.TypeParams != nil {
		p.follow(spec.TypeParams, t.imports)
	}
	p.follow(spec.Type, t.imports)
	for _, m := range p.methods[name] {
		p.follow(m.node, m.imports)
	}
}

// follow examines all types that a node mentions, except in unexported fields and methods.
func (p *pkg) follow(node ast.Node, imports map[string]string) {
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.StructType:
			p.members(n.Fields, imports)
			return false
		case *ast.InterfaceType:
			p.members(n.Methods, imports)
			return false
		case *ast.Field: // a parameter: its name is not a type
			p.follow(n.Type, imports)
			return false
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && p.internal(imports[x.Name]) {
				at := p.fset.Position(n.Pos())
				p.found[fmt.Sprintf("%s:%d: %s.%s", at.Filename, at.Line, x.Name, n.Sel.Name)] = true
			}
			return false
		case *ast.Ident:
			p.local(n.Name)
		}
		return true
	})
}

// members follows exported members and embedded ones, whose own members are visible.
func (p *pkg) members(list *ast.FieldList, imports map[string]string) {
	for _, f := range list.List {
		if len(f.Names) == 0 || slices.ContainsFunc(f.Names, (*ast.Ident).IsExported) {
			p.follow(f.Type, imports)
		}
	}
}

// internal reports whether a path is a package of the module that others cannot import.
func (p *pkg) internal(path string) bool {
	return strings.HasPrefix(path, p.module+"/") && slices.Contains(strings.Split(path, "/"), "internal")
}
