package surface

import (
	"os"
	"path/filepath"
	"strings"
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
		t.Fatalf("%d packages, want the packages of the module", len(packages))
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

// TestPublicSignaturesHaveNoInternalTypes: a user of a public package can name every type that it returns or
// accepts.
func TestPublicSignaturesHaveNoInternalTypes(t *testing.T) {
	found, err := Inner("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Errorf("%s is a type of an internal package", f)
	}
}

// TestInner finds internal types wherever an exported name leads to them, and nowhere else.
func TestInner(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/m\n",
		"a/a.go": `package a

import (
	"strings"

	"example.com/m/internal/in"
	other "example.com/m/x/internal/out"
	"example.org/internal/foreign"
)

func F(a strings.Builder, b []*in.One) {}
func G() (func(in.Two), error)         { return nil, nil }
func h(in.Hidden)                      {}

type T struct {
	A map[string]in.Three
	b in.Hidden
	slot
	C foreign.Type
}

type slot struct{ D other.Four }

type unreached struct{ E in.Hidden }

func (t *T) M() in.Five      { return in.Five{} }
func (t *T) n() in.Hidden    { return in.Hidden{} }
func (u unreached) M(in.Hidden) {}

type Alias = in.Six

type I interface {
	M(in.Seven)
	n(in.Hidden)
}

var V = in.Eight{}

const C T2 = in.Constant

type T2 string

func (s slot) M2() in.Nine { return in.Nine{} }

type Of[P in.Ten] []P
`,
		"internal/in/in.go": "package in\n\nfunc F(One) {}\n",
		"a/a_test.go":       "package a\n\nimport \"example.com/m/internal/in\"\n\nfunc FT(in.Hidden) {}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Inner(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range found {
		got[f[strings.LastIndexByte(f, ' ')+1:]] = true
	}
	want := map[string]bool{"in.One": true, "in.Two": true, "in.Three": true, "other.Four": true, "in.Five": true,
		"in.Six": true, "in.Seven": true, "in.Eight": true, "in.Nine": true, "in.Ten": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("internal types (-want +got):\n%s", diff)
	}
}
