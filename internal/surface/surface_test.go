package surface

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEverythingHasAComment: every exported identifier, struct field and method of an
// interface of the module's public packages has a comment.
func TestEverythingHasAComment(t *testing.T) {
	packages, err := Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 10 {
		t.Fatalf("%d packages, want those of the module", len(packages))
	}
	for _, p := range packages {
		for _, name := range p.Bare {
			t.Errorf("%s has no comment", name)
		}
	}
}

// TestRead counts what another module can name, and finds what has no comment.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a/a.go": `package a

// T is one.
type T struct {
	// A is one.
	A int
	B, C int
	d int
	E struct{ F int } // E is one
}

type u struct{ G int }

// M is one.
func (T) M()  {}
func (*T) N() {}
func (u) O()  {}

// Words of a kind.
const (
	P = 1
	q = 2
)

// I is one.
type I interface {
	// R is one.
	R()
	S()
}
`,
		"a/a_test.go":     "package a\n\nfunc Test() {}\n",
		"internal/b/b.go": "package b\n\nfunc B() {}\n",
		"c/main.go":       "package main\n\nfunc C() {}\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []Package{{Dir: "a", Identifiers: 7, Fields: 5,
		Bare: []string{"a/a.go:7: T.B", "a/a.go:7: T.C", "a/a.go:9: T.E.F", "a/a.go:16: N", "a/a.go:29: I.S"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
}
