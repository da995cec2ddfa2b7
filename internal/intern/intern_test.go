package intern

import (
	"strings"
	"testing"
	"unsafe"
)

// TestShare: equal texts of two rows share one copy, also in lists and in embedded structs.
func TestShare(t *testing.T) {
	type code string
	type inner struct{ Text string }
	type row struct {
		inner
		ID    code
		Codes []code
		N     int
	}
	fresh := func() row {
		return row{inner{strings.Clone("a text")}, code(strings.Clone("id")), []code{code(strings.Clone("id"))}, 1}
	}
	p, a, b := &Pool{}, fresh(), fresh()
	p.Share(&a)
	p.Share(&b)
	same := func(x, y string) bool { return x == y && unsafe.StringData(x) == unsafe.StringData(y) }
	if !same(string(a.ID), string(b.ID)) || !same(string(a.ID), string(b.Codes[0])) || b.Text != "a text" || b.N != 1 {
		t.Errorf("%+v and %+v do not share their texts", a, b)
	}
}

// TestShareLists: equal lists of two rows share one copy, whether of texts or of structs; different lists do not.
func TestShareLists(t *testing.T) {
	type why struct {
		Of   string
		Runs int
	}
	type row struct {
		Codes []string
		Why   []why
	}
	p := &Pool{}
	a, b := row{[]string{"a", "b"}, []why{{"x", 1}}}, row{[]string{"a", "b"}, []why{{"x", 1}}}
	c := row{[]string{"a b"}, []why{{"x", 2}}}
	for _, r := range []*row{&a, &b, &c} {
		p.Share(r)
	}
	if &a.Codes[0] != &b.Codes[0] || &a.Why[0] != &b.Why[0] {
		t.Error("equal lists are not shared")
	}
	if c.Codes[0] != "a b" || c.Why[0].Runs != 2 {
		t.Errorf("%+v has changed", c)
	}
	if b.Codes = append(b.Codes, "c"); len(a.Codes) != 2 || cap(a.Codes) != 2 {
		t.Error("appending to one list writes into the other")
	}
}
