package engines

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// knowing maps the files outside of engine/ that name an engine to the reason.
var knowing = map[string]string{
	"cmd/llem/internal/cli/doctor.go": "the load of a self-test is made by PyTorch, which is a value of --load",
	"internal/sensor/source.go":       "the fake sensor, which is not the fake engine",
	"internal/powerfake/fake.go":      "the fake sensor",
	"result/record.go":                "results from before provenance had a value for simulated energy",
	"study/identity.go":               "IDs of earlier versions: what dtype auto stood for",
	"result/earlier.go":               "latencies of earlier versions, which hold the queue on these engines",
}

// TestOnlyEnginesNameEngines: a fact about an engine is in the engine's folder. Other packages use its descriptor
// and import no engine, so that they need no change for a new one.
func TestOnlyEnginesNameEngines(t *testing.T) {
	const root = "../.."
	names := All().Names()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (slices.Contains([]string{"engine", "bench", "testdata", "internal/servertest"}, rel) ||
			rel != "." && strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") || knowing[rel] != "":
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		for _, i := range file.Imports {
			_, name, found := strings.Cut(strings.Trim(i.Path.Value, `"`), "llem/engine/")
			if first, _, _ := strings.Cut(name, "/"); found && slices.Contains(names, first) {
				t.Errorf("%s imports the engine %s", files.Position(i.Pos()), first)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if _, ok := n.(*ast.ImportSpec); ok {
				return false
			}
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err == nil && slices.Contains(names, text) {
				t.Errorf("%s names the engine %s", files.Position(lit.Pos()), text)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
