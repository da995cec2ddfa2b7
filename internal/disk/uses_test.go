package disk

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// exceptions are what opens files without this package, by folder and function, and why that is no
// danger. Paths that begin with /proc or /sys, and files that are made and must not exist
// (os.O_EXCL), need no line.
var exceptions = map[string]string{
	"backend os.Open":                     "the log of an engine, which this program has made",
	"backend os.OpenFile":                 "the log, and named pipes of its own to containers",
	"backend/internal/client os.ReadFile": "a constant path of the kernel",
	"internal/claim os.Open":              "a folder to list",
	"internal/merge os.Open":              "folders of its own, to lock",
	"internal/gpulock os.OpenFile":        "locks: opened without waiting or following links, and hardly read",
	"internal/metering os.OpenFile":       "the terminal, by its constant name",
	"internal/share os.OpenFile":          "a temporary file of its own",
	"cmd/llem/internal/publish os.Open":   "a folder of its own, to lock",
	"internal/disk os.Open":               "this package: a folder to sync",
	"internal/disk os.OpenFile":           "this package",
	"internal/printed os.OpenFile":        "the log of an engine, which this program has made",
	"internal/portowner os.ReadFile":      "the kernel's tables of connections",
	"internal/surface os.ReadFile":        "the sources of this module",
	"internal/tenants os.ReadFile":        "the kernel's accounts of processes, below a root that only tests give",
	"power/sensors os.Open":               "the kernel's sensors, below a root that only tests give",
	"power/sensors os.ReadFile":           "the kernel's sensors, below a root that only tests give",
}

// TestFilesAreOpenedHere: files from outside are opened with Open, OpenFile and ReadFile of this
// package. Tests, packages for tests and programs of their own may do as they like.
func TestFilesAreOpenedHere(t *testing.T) {
	const root = "../.."
	used, seen := map[string]bool{}, 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == "testdata" || name == "bench" || strings.HasSuffix(name, "test") ||
			path != root && strings.HasPrefix(name, ".")):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		seen++
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, open := range opens(f) {
			place := filepath.ToSlash(dir) + " " + open.name
			used[place] = true
			if exceptions[place] == "" {
				t.Errorf("%s: %s waits for a pipe and reads a device without end; use Open, OpenFile or ReadFile of "+
					"internal/disk, or give the reason in the list of exceptions", files.Position(open.at), open.name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 100 {
		t.Fatalf("only %d files were found", seen)
	}
	for place := range exceptions {
		if !used[place] {
			t.Errorf("the exception %q is not needed any more", place)
		}
	}
}

// TestOpensAreFound tests the check above with examples.
func TestOpensAreFound(t *testing.T) {
	for text, want := range map[string]int{
		`os.Open(path)`: 1, `os.ReadFile(filepath.Join(dir, "x"))`: 1, `os.OpenFile(p, os.O_RDWR, 0)`: 1,
		`ioutil.ReadFile(p)`: 1, `read := os.ReadFile; read(p)`: 1, `disk.Open(path, 1)`: 0, `os.Stat(p)`: 0,
		`os.OpenFile(p, os.O_RDWR|os.O_EXCL, 0)`: 0, `os.ReadFile("/proc/stat")`: 0,
		`os.Open(filepath.Join("/sys", x))`: 0, `os.Open("/process")`: 1, `os.DirFS(root)`: 0,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "p.go", "package p\nfunc f() { "+text+" }", 0)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := opens(f); len(got) != want {
			t.Errorf("%s: found %v, want %d", text, got, want)
		}
	}
}

// use is a place that opens a file.
type use struct {
	name string
	at   token.Pos
}

// opens lists the uses of package os that open an existing file for the first time.
func opens(f *ast.File) []use {
	var out []use
	harmless := map[ast.Expr]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			harmless[n.Fun] = ofKernel(n) || isNew(n)
		case *ast.SelectorExpr:
			pkg, ok := n.X.(*ast.Ident)
			if !ok || harmless[n] || pkg.Name != "os" && pkg.Name != "ioutil" {
				break
			}
			switch n.Sel.Name {
			case "Open", "OpenFile", "ReadFile":
				out = append(out, use{pkg.Name + "." + n.Sel.Name, n.Pos()})
			}
		}
		return true
	})
	return out
}

// ofKernel reports whether the path of a call begins with /proc or /sys.
func ofKernel(call *ast.CallExpr) bool {
	found := false
	for _, arg := range call.Args {
		ast.Inspect(arg, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				s, _ := strconv.Unquote(l.Value)
				found = found || s == "/proc" || s == "/sys" || strings.HasPrefix(s, "/proc/") ||
					strings.HasPrefix(s, "/sys/")
			}
			return true
		})
	}
	return found
}

// isNew reports whether one of the arguments is os.O_EXCL.
func isNew(call *ast.CallExpr) bool {
	found := false
	for _, arg := range call.Args {
		ast.Inspect(arg, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			found = found || ok && s.Sel.Name == "O_EXCL"
			return true
		})
	}
	return found
}
