package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

// product is an engine that comes as a package with a program.
var product = Product{Name: "some", Title: "Some", Program: "some-serve", Package: "some", Install: "pip install some"}

// TestProbe: which program is queried for the version, and the failure if none knows it.
func TestProbe(t *testing.T) {
	module, file := product, product
	module.Program, module.Module = "", "some.serve"
	file.Device = func(version string) string { return "on " + version }
	for name, q := range map[string]struct {
		product Product
		// python answers for the package, program for the program; empty for none.
		python, program string
		version         string
		fails           string
	}{
		"package":            {file, "echo 1.2", "echo some 1.3", "1.2", ""},
		"program":            {file, "exit 1", "echo some 1.3", "1.3", ""},
		"program, no answer": {file, "exit 1", "exit 1", "", "does not report its version"},
		"no program": {file, "echo 1.2", "", "",
			"Some is not installed: there is no program some-serve beside"},
		"no interpreter":    {file, "", "echo some 1.3", "", "Some is not installed: the given interpreter"},
		"module":            {module, "echo 2.1", "", "2.1", ""},
		"no module":         {module, "echo PackageNotFoundError >&2; exit 1", "", "", "has no package some"},
		"module, no python": {module, "", "", "", "Some is not installed: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, body := range map[string]string{"python3": q.python, "some-serve": q.program} {
				if body == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			info, err := Backend{Product: q.product, Python: filepath.Join(dir, "python3")}.Probe(t.Context())
			if q.fails == "" {
				if err != nil || info.Version != q.version || info.Versions["some"] != q.version {
					t.Errorf("%+v, %v, want version %s", info, err, q.version)
				}
				if q.product.Device != nil && info.Device != "on "+q.version {
					t.Errorf("device %q does not match the version", info.Device)
				}
				return
			}
			if f := fault.As(err); f.Class != codes.ClassNotInstalled || f.Next == "" ||
				!strings.Contains(f.Error(), q.fails) {
				t.Errorf("%v (%s, %q), want a failure with %q", err, f.Class, f.Next, q.fails)
			}
		})
	}
}

// TestWhichInterpreter: which interpreter has the engine, and the failure if none has.
func TestWhichInterpreter(t *testing.T) {
	write := func(path, text string) string {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	elsewhere := write(filepath.Join(t.TempDir(), "python3.12"), "#!/bin/sh\n")
	for name, q := range map[string]struct {
		first, beside string
		named         string
		want          string // the end of the path, or text of the failure
		fails         bool
	}{
		"of the program":   {first: "#!" + elsewhere, want: elsewhere},
		"beside":           {first: "#!/bin/sh", beside: "python3", want: "/python3"},
		"gone, and beside": {first: "#!/nowhere/python3", beside: "python3", want: "/python3"},
		"none":             {first: "#!/nowhere/python3", want: "does not name its interpreter", fails: true},
		"named":            {first: "#!/bin/sh", named: elsewhere, want: elsewhere},
		"named, not there": {first: "#!/bin/sh", named: "/nowhere/python", want: "/nowhere/python", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if q.beside != "" {
				write(filepath.Join(dir, q.beside), "#!/bin/sh\n")
			}
			b := Backend{Command: &backend.Command{Path: write(filepath.Join(dir, "vllm"), q.first+"\n")},
				Python: q.named, Product: product}
			got, err := b.Interpreter(t.Context())
			if !q.fails {
				if err != nil || !strings.HasSuffix(got, q.want) {
					t.Errorf("%q, %v, want %q", got, err, q.want)
				}
				return
			}
			if f := fault.As(err); f == nil || f.Class != codes.ClassNotInstalled ||
				!strings.Contains(f.Error(), q.want) || f.Next == "" {
				t.Errorf("%q, %v, want a failure with %q", got, err, q.want)
			}
		})
	}
}
